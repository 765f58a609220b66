"""The manifests and notes that lie beside each case's values: what Helm makes of the case must be exactly that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .charts import CASES, UMBRELLA, relative
from .rendering import Rendered, difference
from .report import Outcome, Problem

UPDATE = "look at the difference; if it is what you want: tests/charts/run --update"


def expected_files(rendered: Rendered) -> dict[Path, str]:
    """Notes of charts in an umbrella are not shown by Helm."""
    files = {rendered.case.folder / "rendered.yaml": rendered.expected}
    if rendered.case.chart != UMBRELLA:
        files[rendered.case.folder / "notes.txt"] = rendered.notes
    return files


def compare(renders: list[Rendered]) -> Outcome:
    files = {path: text for rendered in renders for path, text in expected_files(rendered).items()}
    problems = [problem for path, text in files.items() for problem in _compare_file(path, text)]
    cases = {rendered.case.folder for rendered in renders}
    problems += [
        Problem(relative(path), "it belongs to no case that renders", "remove it, or give its folder a values.yaml")
        for pattern in ("*/*/rendered.yaml", "*/*/notes.txt")
        for path in CASES.glob(pattern)
        if path.parent not in cases
    ]
    return Outcome(f"{len(files)} files", problems)


def _compare_file(path: Path, text: str) -> Iterator[Problem]:
    if not path.exists():
        yield Problem(relative(path), "it is not there", "tests/charts/run --update writes it; look at it")
    elif path.read_text() != text:
        changes = difference(path.read_text(), text, "expected", "rendered")
        yield Problem(relative(path), "the chart now renders something else", UPDATE, changes)


def update(renders: list[Rendered]) -> list[Path]:
    """Writes what differs, and says which files that were."""
    changed = []
    for rendered in renders:
        for path, text in expected_files(rendered).items():
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
                changed.append(path)
    return changed
