"""kube-score and checkov. What they find is mended, or excepted on the object itself, with a reason, while needed."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml
from checkov.common.output.report import Report
from checkov.kubernetes.runner import Runner
from checkov.runner_filter import RunnerFilter

from .charts import Mapping
from .rendering import KUBERNETES_VERSION, Document, Rendered, in_parallel
from .report import Outcome, Problem

KUBE_SCORE_EXCEPTIONS = "kube-score/ignore"
CHECKOV_EXCEPTION = re.compile(r"^checkov\.io/skip\d+$")

# kube-score calls these optional.
MORE_OF_KUBE_SCORE = ("container-seccomp-profile", "container-ports-check")

# Object, check, and what the scanner says about it.
Findings = dict[tuple[str, str], str]


@dataclass(frozen=True)
class Scanner:
    """`exceptions` gives those that an object names, with their reasons."""

    name: str
    run: Callable[[list[Path]], list[Findings]]
    exceptions: Callable[[Document], dict[str, str]]


def kube_score(renders: list[Rendered], folder: Path) -> Outcome:
    return _scan(renders, folder, Scanner("kube-score", _run_kube_score, _kube_score_exceptions))


def checkov(renders: list[Rendered], folder: Path) -> Outcome:
    return _scan(renders, folder, Scanner("checkov", _run_checkov, _checkov_exceptions))


def _scan(renders: list[Rendered], folder: Path, scanner: Scanner) -> Outcome:
    """Scans twice: as rendered nothing may be found; without the exceptions exactly what they are for."""
    found = scanner.run([_write(rendered, folder / "with-exceptions", True) for rendered in renders])
    found_without = scanner.run([_write(rendered, folder / "without-exceptions", False) for rendered in renders])
    problems: list[Problem] = []
    declared: dict[tuple[str, str], str] = {}
    needed = set()
    for rendered, findings, more_findings in zip(renders, found, found_without, strict=True):
        problems += _compare(rendered, findings, rendered.case.findings.get(scanner.name, {}))
        for document in rendered.documents:
            for check, reason in scanner.exceptions(document).items():
                declared[document.source, check] = rendered.where(document)
                if len(reason) < 10:
                    what = f"the exception {check} has no reason"
                    mend = "give it in a comment right above kube-score/ignore, after the = of checkov.io/skip"
                    problems.append(Problem(rendered.where(document), what, mend))
        needed |= {(_document(rendered, name).source, check) for name, check in more_findings}
    problems += [
        Problem(where, f"the exception {check} is not needed in any case", f"remove it from {source}")
        for (source, check), where in declared.items()
        if (source, check) not in needed
    ]
    return Outcome(f"{len(renders)} cases, {len(declared)} exceptions with a reason", problems)


def _compare(rendered: Rendered, findings: Findings, expected: dict[str, str]) -> Iterator[Problem]:
    """A case that turns off what a scanner wants says so, and why, in its findings.yaml."""
    for (name, check), text in findings.items():
        if check not in expected:
            mend = f"mend {_document(rendered, name).source}, or except {check} in an annotation there, with the reason"
            yield Problem(f"{rendered.case} {name}", f"{check}: {text}", mend)
    for check in set(expected) - {check for _, check in findings}:
        yield Problem(f"{rendered.case}", f"findings.yaml expects {check}, which is not found", "remove it there")


def _document(rendered: Rendered, name: str) -> Document:
    """The object of a name, or what makes the pods of that name."""
    for document in rendered.documents:
        if document.name == name:
            return document
    return next(document for document in rendered.documents if document.name.endswith(name.removeprefix("Pod")))


def _write(rendered: Rendered, folder: Path, exceptions: bool) -> Path:
    path = folder / rendered.case.chart / rendered.case.folder.name / "manifests.yaml"
    path.parent.mkdir(parents=True)
    contents = [document.content if exceptions else _without_exceptions(document) for document in rendered.documents]
    path.write_text(yaml.dump_all(contents, Dumper=yaml.CSafeDumper))
    return path


def _without_exceptions(document: Document) -> Mapping:
    annotations = {
        key: value
        for key, value in document.annotations.items()
        if key != KUBE_SCORE_EXCEPTIONS and not CHECKOV_EXCEPTION.match(key)
    }
    return {**document.content, "metadata": {**document.content["metadata"], "annotations": annotations}}


def _run_kube_score(files: list[Path]) -> list[Findings]:
    """Anything below the highest grade is a finding, warnings, too."""
    more = [argument for check in MORE_OF_KUBE_SCORE for argument in ("--enable-optional-test", check)]
    version = f"v{KUBERNETES_VERSION.removesuffix('.0')}"
    command = ["kube-score", "score", "--output-format", "json", "--kubernetes-version", version, *more]

    def score(file: Path) -> Findings:
        process = subprocess.run([*command, str(file)], capture_output=True, text=True)
        return {
            (f"{scored['type_meta']['kind']}/{scored['object_meta']['name']}", result["check"]["id"]): "; ".join(
                f"{comment['path']} {comment['summary']}".strip() for comment in result["comments"] or []
            )
            for scored in json.loads(process.stdout)
            for result in scored["checks"]
            if result["grade"] < 10 and not result["skipped"]
        }

    return in_parallel(score, files)


def _kube_score_exceptions(document: Document) -> dict[str, str]:
    """The reason is the comment right above the annotation."""
    checks = document.annotations.get(KUBE_SCORE_EXCEPTIONS)
    if not checks:
        return {}
    reason = re.search(rf"^ *# *(.*)\n *{KUBE_SCORE_EXCEPTIONS}:", document.text, flags=re.MULTILINE)
    return {check.strip(): reason[1] if reason else "" for check in checks.split(",")}


def _run_checkov(files: list[Path]) -> list[Findings]:
    """As a library, since starting checkov takes longer than a scan."""
    with ProcessPoolExecutor() as pool:
        return list(pool.map(_scan_by_checkov, files))


def _scan_by_checkov(file: Path) -> Findings:
    """A resource is called Kind.namespace.name, and by some checks with labels behind that."""
    runner_filter = RunnerFilter(framework=["kubernetes"])
    report = cast(Report, Runner().run(root_folder=str(file.parent), runner_filter=runner_filter))
    return {
        ("/".join(record.resource.split(".")[0::2][:2]), record.check_id): record.check_name
        for record in report.failed_checks
    }


def _checkov_exceptions(document: Document) -> dict[str, str]:
    """The reason is what follows the check's name."""
    exceptions = [value for key, value in document.annotations.items() if CHECKOV_EXCEPTION.match(key)]
    return {check: reason for check, _, reason in (exception.partition("=") for exception in exceptions)}
