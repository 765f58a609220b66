"""Values that a chart must refuse, and what it says then: tests/charts/<chart>/refused.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .charts import CASES, chart_names, load_yaml
from .rendering import Renderer, in_parallel
from .report import Outcome, Problem


def refuse(renderer: Renderer) -> Outcome:
    jobs = [
        (chart, number, entry)
        for chart in chart_names()
        if (CASES / chart / "refused.yaml").exists()
        for number, entry in enumerate(load_yaml((CASES / chart / "refused.yaml").read_text()), start=1)
    ]
    problems = [
        Problem(f"tests/charts/{chart}", "there is no refused.yaml", "list values that the chart must refuse")
        for chart in chart_names()
        if not (CASES / chart / "refused.yaml").exists()
    ]

    def attempt(job: tuple[str, int, dict[str, Any]]) -> Problem | None:
        chart, number, entry = job
        values = renderer.folder / f"refused-{chart}-{number}.yaml"
        values.write_text(yaml.safe_dump(entry["values"]))
        return _judge(renderer, chart, entry, values)

    problems += [problem for problem in in_parallel(attempt, jobs) if problem]
    return Outcome(f"{len(jobs)} sets of values", problems)


def _judge(renderer: Renderer, chart: str, entry: dict[str, Any], values: Path) -> Problem | None:
    process = renderer.helm_template("helm", chart, values)
    where = f"charts/{chart} with {entry['values']}"
    if process.returncode == 0:
        return Problem(where, "the chart takes these values", "refuse them in values.schema.json or by fail")
    if entry["message"] not in process.stderr:
        mend = f"it should say: {entry['message']}"
        return Problem(where, "the chart refuses these values with another message", mend, process.stderr)
    return None
