"""`helm lint --strict` by both Helms, and yamllint on what people write by hand."""

from __future__ import annotations

from itertools import product

from yamllint import linter
from yamllint.config import YamlLintConfig

from .charts import CASES, CHARTS, UMBRELLA, Case, cases, chart_names, relative
from .rendering import HELM, Renderer, in_parallel
from .report import Outcome, Problem

YAMLLINT = YamlLintConfig("""
extends: default
rules:
  line-length: {max: 120}
  document-start: disable
""")


def helm_lint(renderer: Renderer) -> Outcome:
    """Every chart with its own values and with those of each case."""
    jobs: list[tuple[str, Case | None]] = [(chart, None) for chart in chart_names()]
    jobs += [(case.chart, case) for case in cases()]

    def lint(job: tuple[tuple[str, Case | None], str]) -> list[Problem]:
        (chart, case), version = job
        process = renderer.helm_lint(HELM[version], chart, case.values_file if case else None)
        if process.returncode == 0:
            return []
        what = f"helm lint --strict of Helm {version} refuses it"
        return [Problem(str(case or f"charts/{chart}"), what, "mend what it says", process.stdout + process.stderr)]

    results = in_parallel(lint, product(jobs, HELM))
    return Outcome(f"{len(jobs)} sets of values", [problem for problems in results for problem in problems])


def yaml_lint() -> Outcome:
    files = [CHARTS / chart / name for chart in chart_names() for name in ("Chart.yaml", "values.yaml")]
    files += [CASES / UMBRELLA / "Chart.yaml", *(case.values_file for case in cases()), *CASES.glob("*/refused.yaml")]
    problems = [
        Problem(f"{relative(file)}:{found.line}", found.desc, f"write it as yamllint's rule {found.rule} wants")
        for file in files
        for found in linter.run(file.read_text(), YAMLLINT)
    ]
    return Outcome(f"{len(files)} files", problems)
