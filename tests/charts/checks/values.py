"""values.yaml of each chart: what a user may set, and the comments that say what it means."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, reduce
from typing import cast

import yaml

from .charts import CHARTS, Content, Mapping, chart_names, relative
from .report import Outcome, Problem

KeyPath = tuple[str, ...]

MEND = "write a line `# -- ...` above it"


@dataclass(frozen=True)
class Value:
    """A value that a user may set: one row of the table in the documentation."""

    path: KeyPath
    default: Content
    meaning: str
    line: int

    @property
    def name(self) -> str:
        return ".".join(self.path)


@cache
def read_values(chart: str) -> list[Value]:
    """A mapping whose own keys are described is a group; any other mapping is one value."""
    text = (CHARTS / chart / "values.yaml").read_text()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return list(_read_mapping(cast(yaml.MappingNode, root), (), text.splitlines()))


def _read_mapping(node: yaml.MappingNode, path: KeyPath, lines: list[str]) -> Iterator[Value]:
    for key, value in node.value:
        here = (*path, key.value)
        meaning = _comment_above(lines, key.start_mark.line)
        inner = list(_read_mapping(value, here, lines)) if isinstance(value, yaml.MappingNode) else []
        if inner and (not meaning or any(each.meaning for each in inner)):
            yield from inner
        else:
            default = yaml.safe_load(yaml.serialize(value))
            yield Value(here, default, meaning, key.start_mark.line + 1)


def _comment_above(lines: list[str], line: int) -> str:
    """The text from `# --` on, in the block of comments right above a line."""
    texts: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        texts.insert(0, lines[line].strip().removeprefix("#").strip())
        if texts[0].startswith("-- "):
            return " ".join(texts).removeprefix("-- ")
    return ""


def describe() -> Outcome:
    """Each value has a description in values.yaml."""
    problems = [
        Problem(f"{relative(CHARTS / chart / 'values.yaml')}:{value.line}", f"{value.name} is not described", MEND)
        for chart in chart_names()
        for value in read_values(chart)
        if not value.meaning
    ]
    return Outcome(f"{sum(len(read_values(chart)) for chart in chart_names())} values", problems)


def get(values: Content, path: KeyPath) -> Content:
    """The value at a path, None if there is none."""
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return None
        values = values[key]
    return values


def with_value(values: Mapping, path: KeyPath, value: Content) -> Mapping:
    result = copy.deepcopy(values)
    parent = reduce(lambda part, key: part.setdefault(key, {}), path[:-1], result)
    parent[path[-1]] = value
    return result


def without_value(values: Mapping, path: KeyPath) -> Mapping:
    result = copy.deepcopy(values)
    del get(result, path[:-1])[path[-1]]
    return result
