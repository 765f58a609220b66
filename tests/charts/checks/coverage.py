"""Each value of each chart is set by some case and changes what is rendered: no value is dead, none untested."""

from __future__ import annotations

import yaml

from .charts import chart_names
from .rendering import GENERATED, Rendered, Renderer, in_parallel, split
from .report import Outcome, Problem
from .values import Value, get, read_values, without_value

# They shape nothing but a certificate that is another one in each render.
ONLY_IN_GENERATED_CONTENT = {"postgres: tls.validityDays", "postgres: tls.clusterDomain"}


def check(renderer: Renderer, renders: list[Rendered]) -> Outcome:
    jobs = [(chart, value) for chart in chart_names() for value in read_values(chart)]

    def judge(job: tuple[str, Value]) -> Problem | None:
        chart, value = job
        setting = [
            rendered
            for rendered in renders
            if rendered.case.chart == chart and get(rendered.case.values, value.path) not in (None, value.default)
        ]
        if not setting:
            mend = f"set it to something else in a case of tests/charts/{chart}"
            return Problem(f"charts/{chart}", f"no case sets {value.name}", mend)
        if f"{chart}: {value.name}" in ONLY_IN_GENERATED_CONTENT:
            return None
        if not any(_has_effect(renderer, rendered, value) for rendered in setting):
            what = f"{value.name} changes nothing in {', '.join(str(rendered.case) for rendered in setting)}"
            return Problem(
                f"charts/{chart}", what, "use it in a template, or remove it; or the case lacks what it needs"
            )
        return None

    problems = [problem for problem in in_parallel(judge, jobs) if problem]
    return Outcome(f"{len(jobs)} values", problems)


def _has_effect(renderer: Renderer, rendered: Rendered, value: Value) -> bool:
    """Renders the case without the value."""
    file = renderer.folder / f"{rendered.case.chart}-{rendered.case.folder.name}-without-{value.name}.yaml"
    file.write_text(yaml.safe_dump(without_value(rendered.case.values, value.path)))
    process = renderer.helm_template("helm", rendered.case.chart, file)
    if process.returncode != 0:
        return True
    documents, notes = split(process.stdout)
    text = "".join(f"---\n{document.text}\n" for document in documents)
    return notes != rendered.notes or not _agrees(rendered.expected, text)


def _agrees(expected: str, text: str) -> bool:
    """True if the texts differ in generated content alone."""
    lines, others = expected.splitlines(), text.splitlines()
    return len(lines) == len(others) and all(
        other.startswith(line.removesuffix(GENERATED)) if line.endswith(GENERATED) else line == other
        for line, other in zip(lines, others, strict=True)
    )
