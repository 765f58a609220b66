"""tests/charts/run: all checks of the charts, one group after the other."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import (
    api_server,
    coverage,
    documentation,
    golden,
    lint,
    manifest_schemas,
    refusals,
    rules,
    scanners,
    value_schemas,
    values,
)
from .charts import relative
from .rendering import Rendered, Renderer, render_all
from .report import Outcome, run_group

LAYOUT = """\
tests/charts/CHART/CASE/values.yaml     what the chart is rendered with; each value of a chart is set in some case
tests/charts/CHART/CASE/rendered.yaml   the manifests that must come of it; --update writes it
tests/charts/CHART/CASE/notes.txt       the notes; --update writes it
tests/charts/CHART/CASE/findings.yaml   what scanners find because of what the case turns off, with the reasons
tests/charts/CHART/refused.yaml         values that the chart must refuse, and what it must say
docs/charts/CHART.md                    holds the table of values; --update writes the table
The chart umbrella has all others as dependencies."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/charts/run",
        description="Checks the charts; no cluster is needed.",
        epilog=LAYOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--update", action="store_true", help="write what is expected, instead of comparing with it")
    parser.add_argument(
        "--context", metavar="NAME", help="ask the API server of this context, too, and keep nothing there"
    )
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.context and not shutil.which("kubectl"):
        sys.exit("✗ kubectl was not found; --context needs it")
    with tempfile.TemporaryDirectory() as folder:
        return update(Path(folder)) if options.update else check(Path(folder), options.context)


def update(folder: Path) -> int:
    renders: list[Rendered] = []
    if not run_group("rendering", lambda: render_into(renders, Renderer(folder))):
        return 1
    for path in [*golden.update(renders), *documentation.update_tables()]:
        print(f"written: {relative(path)}")
    return 0


def render_into(renders: list[Rendered], renderer: Renderer) -> Outcome:
    """Renders once; all groups after it look at the same."""
    found, outcome = render_all(renderer)
    renders += found
    return outcome


def check(folder: Path, context: str | None) -> int:
    renderer = Renderer(folder / "charts")
    renders: list[Rendered] = []
    if not run_group("rendering, the same by Helm 3 and 4", lambda: render_into(renders, renderer)):
        sys.exit("✗ all else looks at what is rendered, and was left out")
    groups: dict[str, Callable[[], Outcome]] = {
        "expected manifests and notes": lambda: golden.compare(renders),
        "helm lint --strict by Helm 3 and 4": lambda: lint.helm_lint(renderer),
        "yamllint": lint.yaml_lint,
        "values are described": values.describe,
        "values.schema.json": value_schemas.check,
        "values have an effect": lambda: coverage.check(renderer, renders),
        "values that are refused": lambda: refusals.refuse(renderer),
        "schemas of Kubernetes": lambda: manifest_schemas.validate(renders),
        "kube-score": lambda: scanners.kube_score(renders, folder / "kube-score"),
        "checkov": lambda: scanners.checkov(renders, folder / "checkov"),
        "rules of our own": lambda: rules.check(renders),
        "tables of values in docs/charts": documentation.values_tables,
        "links of the documentation": lambda: documentation.links(renders),
    }
    if context:
        groups[f"API server of {context}"] = lambda: api_server.dry_run(renders, context)
    failed = [title for title, group in groups.items() if not run_group(title, group)]
    if failed:
        sys.exit(f"✗ {len(failed)} of {len(groups) + 1} groups failed: {'; '.join(failed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
