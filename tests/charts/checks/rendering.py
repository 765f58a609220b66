"""Renders the charts with Helm 3 and 4, with all that would vary from machine to machine fixed."""

from __future__ import annotations

import difflib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar, cast

import yaml

from .charts import CASES, CHARTS, UMBRELLA, Case, Mapping, cases, chart_names, load_yaml
from .report import Outcome, Problem

HELM = {"4": "helm", "3": "helm3"}
NAMESPACE = "shop"
KUBERNETES_VERSION = "1.34.0"

# What a chart does not give twice in the same way can only be a password that it made up.
GENERATED = "<generated>"

# Helm renders NOTES.txt only when it installs, so the copy that is rendered shows them as one more manifest.
NOTES_KIND = "Notes"
NOTES_TEMPLATE = f"""\
apiVersion: v1
kind: {NOTES_KIND}
text: {{{{ include (print $.Template.BasePath "/NOTES.txt") . | toJson }}}}
"""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Document:
    """One rendered object: its text with comments, and what that says."""

    source: str
    text: str

    @cached_property
    def content(self) -> Mapping:
        return cast(Mapping, load_yaml(self.text))

    @property
    def kind(self) -> str:
        return str(self.content["kind"])

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.content['metadata']['name']}"

    @property
    def annotations(self) -> dict[str, str]:
        return self.content["metadata"].get("annotations") or {}


@dataclass(frozen=True)
class Rendered:
    """What Helm makes of a case. `expected` is the text for the golden file, with made-up passwords masked."""

    case: Case
    documents: list[Document]
    notes: str
    expected: str

    def where(self, document: Document) -> str:
        return f"{self.case} {document.name}"


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The work is done by other processes, so threads are enough."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(function, items))


class Renderer:
    """Works on copies of the charts in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for chart in chart_names():
            shutil.copytree(CHARTS / chart, folder / chart)
            (folder / chart / "templates" / "notes.yaml").write_text(NOTES_TEMPLATE)
            shutil.copytree(CHARTS / chart, folder / UMBRELLA / "charts" / chart)
        shutil.copy(CASES / UMBRELLA / "Chart.yaml", folder / UMBRELLA)
        # Helm warns of a chart without this folder.
        (folder / UMBRELLA / "templates").mkdir()

    def helm_template(self, helm: str, chart: str, values: Path) -> subprocess.CompletedProcess[str]:
        """The release has the name of the chart, as deploy.sh gives it."""
        command = [helm, "template", chart, str(self.folder / chart), "--values", str(values)]
        fixed = ["--namespace", NAMESPACE, "--kube-version", KUBERNETES_VERSION]
        return subprocess.run([*command, *fixed], capture_output=True, text=True)

    def helm_lint(self, helm: str, chart: str, values: Path | None) -> subprocess.CompletedProcess[str]:
        path = self.folder / UMBRELLA if chart == UMBRELLA else CHARTS / chart
        command = [helm, "lint", "--strict", "--quiet", str(path), "--kube-version", KUBERNETES_VERSION]
        return subprocess.run(
            [*command, *(["--values", str(values)] if values else [])], capture_output=True, text=True
        )

    def render(self, case: Case) -> Rendered | Problem:
        """Renders with both versions; they must agree, except about the passwords that a Secret makes up."""
        texts = []
        for version, helm in HELM.items():
            process = self.helm_template(helm, case.chart, case.values_file)
            if process.returncode != 0:
                mend = "mend the chart or the case's values.yaml"
                return Problem(str(case), f"Helm {version} does not render it", mend, process.stderr)
            texts.append(process.stdout)
        try:
            (documents, notes), (others, other_notes) = map(split, texts)
        except yaml.YAMLError as error:
            return Problem(str(case), "it does not render to valid YAML", "mend the template", str(error))
        expected = manifests(documents, others)
        if expected != manifests(others, documents) or notes != other_notes:
            mend = "render nothing random or dated (only passwords in a Secret), and nothing that needs one Helm"
            return Problem(
                str(case),
                "Helm 3 and Helm 4 do not render the same",
                mend,
                difference(manifests(others, documents) + other_notes, expected + notes),
            )
        return Rendered(case, documents, notes, expected)


def render_all(renderer: Renderer) -> tuple[list[Rendered], Outcome]:
    results = in_parallel(renderer.render, cases())
    problems = [result for result in results if isinstance(result, Problem)]
    problems += [
        Problem(f"tests/charts/{chart}", "there is no case", "add a folder with a values.yaml")
        for chart in [*chart_names(), UMBRELLA]
        if chart not in {case.chart for case in cases()}
    ]
    looked_at = f"{len(chart_names())} charts, {len(cases())} cases"
    return [result for result in results if isinstance(result, Rendered)], Outcome(looked_at, problems)


def split(text: str) -> tuple[list[Document], str]:
    """The objects and the notes. Helm 4 keeps the white space that ends an object; it means nothing."""
    documents = []
    notes = ""
    for part in re.split(r"^---\n", text, flags=re.MULTILINE):
        if part.strip():
            source = re.search(r"^# Source: (.*)$", part, flags=re.MULTILINE)
            document = Document(source[1] if source else "", part.strip())
            if document.kind == NOTES_KIND:
                notes = document.content["text"].strip() + "\n"
            else:
                documents.append(document)
    return documents, notes


def manifests(documents: list[Document], others: list[Document]) -> str:
    """The text of the objects, with what is made up masked: what differs in a Secret of a second render."""
    pairs = zip_longest(documents, others)
    return "".join(f"---\n{_masked(document, other)}\n" for document, other in pairs if document)


def _masked(document: Document, other: Document | None) -> str:
    lines, others = document.text.split("\n"), other.text.split("\n") if other else []
    if document.kind != "Secret" or len(lines) != len(others):
        return document.text
    return "\n".join(
        re.sub(r"^(  [\w.-]+: ).*", rf"\g<1>{GENERATED}", line) if line != beside else line
        for line, beside in zip(lines, others, strict=True)
    )


def difference(before: str, after: str, name_before: str = "Helm 3", name_after: str = "Helm 4") -> str:
    """A readable difference, cut where nobody would read on."""
    lines = list(
        difflib.unified_diff(before.splitlines(), after.splitlines(), name_before, name_after, lineterm="", n=2)
    )
    rest = [f"... {len(lines) - 80} more lines"] if len(lines) > 80 else []
    return "\n".join(lines[:80] + rest)
