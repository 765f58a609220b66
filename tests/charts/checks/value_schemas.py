"""values.schema.json of each chart: it says the same as values.yaml, and lets nothing else through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce

import jsonschema

from .charts import CHARTS, Content, Mapping, chart_names, default_values, relative
from .report import Outcome, Problem
from .values import KeyPath, get, read_values, with_value

# What Helm and an umbrella chart may hand to any chart.
OF_EVERY_CHART: dict[KeyPath, Content] = {("global",): {"registry": "example"}, ("enabled",): True}

# One value of each type of JSON, such as nobody would give.
SAMPLES: Mapping = {
    "boolean": True,
    "number": 0.5,
    "string": "a value of the wrong type",
    "array": [["a value of the wrong type"]],
    "object": {"a key that no chart has": 1},
}


def check() -> Outcome:
    problems = []
    tried = 0
    for chart in chart_names():
        file = CHARTS / chart / "values.schema.json"
        if not file.exists():
            problems.append(Problem(relative(file), "it is not there", "write it"))
            continue
        schema = json.loads(file.read_text())
        jsonschema.Draft7Validator.check_schema(schema)
        attempts = list(_attempts(chart, schema))
        tried += len(attempts)
        found = [*_compare(chart, schema), *_open_objects(schema, ""), *(attempt for attempt in attempts if attempt)]
        problems += [Problem(relative(file), what, mend) for what, mend in found]
    return Outcome(f"{len(chart_names())} schemas, {tried} wrong values", problems)


Finding = tuple[str, str]


def _compare(chart: str, schema: Mapping) -> Iterator[Finding]:
    """The same values in both files, each described."""
    properties = dict(_properties(schema, schema, ()))
    defaults = default_values(chart)
    for value in read_values(chart):
        if value.path not in properties:
            yield f"{value.name} of values.yaml is missing", "add it, with a description"
        elif properties[value.path].get("description") != value.meaning:
            yield f"{value.name} is described in other words than in values.yaml", f"description: {value.meaning}"
    for path in properties:
        if path not in OF_EVERY_CHART and not _has_place(defaults, path):
            yield f"{'.'.join(path)} is not in values.yaml", "add it there, or remove it here"


def _has_place(defaults: Content, path: KeyPath) -> bool:
    """Below an empty mapping, such as `affinity: {}`, everything comes from users."""
    for key in path:
        if defaults == {}:
            return True
        if not isinstance(defaults, dict) or key not in defaults:
            return False
        defaults = defaults[key]
    return True


def _open_objects(node: Content, place: str) -> Iterator[Finding]:
    """Whatever names its keys must refuse others, in items of lists, too."""
    if isinstance(node, list):
        for part in node:
            yield from _open_objects(part, place)
    elif isinstance(node, dict):
        if isinstance(node.get("properties"), dict) and node.get("additionalProperties") is not False:
            yield f"{place or 'the root'} takes unknown keys", "set additionalProperties to false"
        for key, part in node.items():
            # A condition only looks at some keys.
            if key not in ("if", "then", "else", "not"):
                yield from _open_objects(part, place if key in ("properties", "items") else f"{place}.{key}".strip("."))


def _attempts(chart: str, schema: Mapping) -> Iterator[Finding | None]:
    """Puts an unknown key into each mapping, and values of wrong types into each place."""
    validator = jsonschema.Draft7Validator(schema)
    defaults = default_values(chart)
    for path, sample in OF_EVERY_CHART.items():
        refused = not validator.is_valid(with_value(defaults, path, sample))
        yield (f"{path[0]} is refused", "allow it, for use as a subchart") if refused else None
    for path, node in [((), schema), *_properties(schema, schema, ())]:
        name = ".".join(path) or "the root"
        if isinstance(get(defaults, path), dict) and "properties" in node:
            taken = validator.is_valid(with_value(defaults, (*path, "unknownKey"), 1))
            yield (f"{name} takes an unknown key", "set additionalProperties to false") if taken else None
        types = _types(node, schema)
        if not types:
            yield f"{name} has no type", "give it one"
        for kind, sample in SAMPLES.items():
            if path and kind not in types:
                taken = validator.is_valid(with_value(defaults, path, sample))
                yield (f"{name} takes a value of type {kind}", "narrow its type") if taken else None


def _types(node: Mapping, root: Mapping) -> set[str]:
    """The types that a part of the schema says to take; an integer is a number."""
    node = _resolve(node, root)
    said = node.get("type", [])
    types = {said} if isinstance(said, str) else set(said)
    for part in [*node.get("allOf", []), *node.get("anyOf", []), *node.get("oneOf", [])]:
        types |= _types(part, root)
    if "enum" in node and not types:
        types = {"string"}
    return types | ({"number"} if "integer" in types else set())


def _resolve(node: Mapping, root: Mapping) -> Mapping:
    if "$ref" not in node:
        return node
    target = reduce(lambda part, key: part[key], node["$ref"].removeprefix("#/").split("/"), root)
    return {**_resolve(target, root), **{key: value for key, value in node.items() if key != "$ref"}}


def _properties(node: Mapping, root: Mapping, path: KeyPath) -> Iterator[tuple[KeyPath, Mapping]]:
    for key, part in _resolve(node, root).get("properties", {}).items():
        resolved = _resolve(part, root)
        yield (*path, key), resolved
        yield from _properties(resolved, root, (*path, key))
