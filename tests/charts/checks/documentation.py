"""The pages of the charts show the values as they are, and no page has a link that leads nowhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from .charts import PROJECT, chart_names, relative
from .rendering import Rendered
from .report import Outcome, Problem
from .values import Value, read_values

BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"
TABLE = re.compile(f"(?<={BEGIN}\n).*?(?={END})", flags=re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)")
FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", flags=re.DOTALL | re.MULTILINE)
INLINE_CODE = re.compile(r"`[^`\n]*`")
ELSEWHERE = re.compile(r"^[a-z]+:")


def values_tables() -> Outcome:
    problems = [problem for chart in chart_names() for problem in _check_table(chart)]
    return Outcome(f"{len(chart_names())} tables", problems)


def page(chart: str) -> Path:
    return PROJECT / "docs" / "charts" / f"{chart}.md"


def _check_table(chart: str) -> Iterator[Problem]:
    file = page(chart)
    mend = f"write it, with the lines {BEGIN} and {END}, then: tests/charts/run --update"
    if not file.exists():
        yield Problem(relative(file), "it is not there", mend)
    elif len(TABLE.findall(file.read_text())) != 1:
        yield Problem(relative(file), "it has no place for the table of values", mend)
    elif TABLE.findall(file.read_text()) != [table(chart)]:
        yield Problem(relative(file), "its table is not that of values.yaml", "tests/charts/run --update")


def table(chart: str) -> str:
    rows = [f"| `{value.name}` | {_default(value)} | {_cell(value.meaning)} |" for value in read_values(chart)]
    return "\n".join(["", "| value | default | meaning |", "|---|---|---|", *rows, "", ""])


def _default(value: Value) -> str:
    return f"`{_cell(json.dumps(value.default, ensure_ascii=False))}`"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def update_tables() -> list[Path]:
    """Writes what differs, and says which pages that were."""
    changed = []
    for chart in chart_names():
        file = page(chart)
        if file.exists() and any(_check_table(chart)):
            file.write_text(_with_table(file.read_text(), table(chart)))
            changed.append(file)
    return changed


def _with_table(text: str, rows: str) -> str:
    return TABLE.sub(lambda _: rows, text)


def links(renders: list[Rendered]) -> Outcome:
    pages = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
    problems = [
        Problem(relative(file), f"the link {target} leads nowhere", "mend the link")
        for file in pages
        for target in LINK.findall(INLINE_CODE.sub("", FENCE.sub("", file.read_text())))
        if not ELSEWHERE.match(target) and not _leads_somewhere(file, target)
    ]
    problems += _pages_that_notes_name(renders)
    return Outcome(f"{len(pages)} pages, {len(renders)} notes", problems)


def _pages_that_notes_name(renders: list[Rendered]) -> Iterator[Problem]:
    for rendered in renders:
        for page_name in re.findall(r"docs/[\w./-]+\.md", rendered.notes):
            if not (PROJECT / page_name).exists():
                what = f"the notes send people to {page_name}, which is not there"
                yield Problem(str(rendered.case), what, "write the page, or mend NOTES.txt")


def _leads_somewhere(file: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    reached = file.parent / path if path else file
    return reached.exists() and (not anchor or reached.suffix != ".md" or anchor in _anchors(reached))


def _anchors(file: Path) -> set[str]:
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", file.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
