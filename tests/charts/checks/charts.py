"""The charts and the cases they are rendered for, as they lie in the project."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import yaml

PROJECT = Path(__file__).resolve().parents[3]
CHARTS = PROJECT / "charts"
CASES = PROJECT / "tests" / "charts"

# What YAML or JSON may hold.
Content: TypeAlias = Any
Mapping: TypeAlias = dict[str, Any]

# A chart of the tests that has all charts as dependencies.
UMBRELLA = "umbrella"


class UniqueKeyLoader(yaml.CSafeLoader):
    """YAML that names a key twice is refused: the standard loader silently takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Content, Content]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} is there twice", key.start_mark
                )
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Content:
    return yaml.load(text, Loader=UniqueKeyLoader)


@dataclass(frozen=True)
class Case:
    """A values file that a chart is rendered for, with the manifests expected beside it."""

    chart: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.chart}/{self.folder.name}"

    @property
    def values_file(self) -> Path:
        return self.folder / "values.yaml"

    @property
    def values(self) -> Mapping:
        return load_yaml(self.values_file.read_text()) or {}

    @property
    def findings(self) -> dict[str, dict[str, str]]:
        """By scanner: checks that rightly find something, since the case turns off what they want; and why."""
        file = self.folder / "findings.yaml"
        return load_yaml(file.read_text()) if file.exists() else {}


@cache
def chart_names() -> list[str]:
    return sorted(file.parent.name for file in CHARTS.glob("*/Chart.yaml"))


@cache
def cases() -> list[Case]:
    return [
        Case(chart, file.parent)
        for chart in [*chart_names(), UMBRELLA]
        for file in sorted((CASES / chart).glob("*/values.yaml"))
    ]


def cases_of(chart: str) -> list[Case]:
    return [case for case in cases() if case.chart == chart]


def default_values(chart: str) -> Mapping:
    return cast(Mapping, load_yaml((CHARTS / chart / "values.yaml").read_text()))


def merged(base: Mapping, over: Mapping) -> Mapping:
    """Values as Helm lays them over defaults: mappings are merged, anything else is replaced, null removes."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def values_by_chart(case: Case) -> dict[str, Mapping]:
    """All values, defaults included, of each chart that takes part in a case."""
    if case.chart != UMBRELLA:
        return {case.chart: merged(default_values(case.chart), case.values)}
    return {chart: merged(default_values(chart), case.values.get(chart, {})) for chart in chart_names()}


def relative(path: Path) -> str:
    return str(path.relative_to(PROJECT))
