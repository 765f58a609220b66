"""What a real API server says to all rendered objects, without keeping any: --context NAME."""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import yaml

from .charts import Mapping
from .rendering import Rendered, in_parallel
from .report import Outcome, Problem

POD_SECURITY = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
APPLY = {
    "kubectl apply": [],
    "kubectl apply --server-side": ["--server-side"],
}


class Server:
    """The context that was named, and a namespace of our own there."""

    def __init__(self, context: str) -> None:
        self.context = context
        self.namespace = f"charts-test-{os.getpid()}"

    def kubectl(self, *arguments: str, manifests: list[Mapping] | None = None) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", "--context", self.context, "--namespace", self.namespace, *arguments]
        text = yaml.dump_all(manifests, Dumper=yaml.CSafeDumper) if manifests is not None else None
        return subprocess.run(command, input=text, capture_output=True, text=True)

    def must(self, *arguments: str, manifests: list[Mapping] | None = None) -> str:
        process = self.kubectl(*arguments, manifests=manifests)
        if process.returncode != 0:
            raise SystemExit(f"✗ kubectl {' '.join(arguments)} failed:\n{process.stderr}")
        return process.stdout

    def kinds(self) -> set[tuple[str, str]]:
        """API version and kind of all that the server knows; the columns before are name and short names."""
        lines = self.must("api-resources", "--no-headers").splitlines()
        return {(line.split()[-3], line.split()[-1]) for line in lines}

    @contextmanager
    def temporary_namespace(self) -> Iterator[None]:
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": POD_SECURITY},
        }
        self.must("create", "--filename", "-", manifests=[namespace])
        try:
            yield
        finally:
            self.must("delete", "namespace", self.namespace, "--wait=false")


def dry_run(renders: list[Rendered], context: str) -> Outcome:
    server = Server(context)
    known = server.kinds()
    left_out = set()
    accounts: dict[str, Mapping] = {}
    manifests: dict[str, list[Mapping]] = {str(rendered.case): [] for rendered in renders}
    for rendered in renders:
        for document in rendered.documents:
            moved = _moved(document.content, server.namespace)
            if (document.content["apiVersion"], document.kind) not in known:
                left_out.add(document.kind)
            elif document.kind == "ServiceAccount":
                accounts[document.name] = moved
            else:
                manifests[str(rendered.case)].append(moved)
    with server.temporary_namespace():
        problems = _apply(server, {"all cases": list(accounts.values())})
        # A pod is refused, also in a dry run, while its service account is missing.
        server.must("create", "--filename", "-", manifests=list(accounts.values()))
        problems += _apply(server, manifests)
    skipped = f", left out since the server does not know them: {', '.join(sorted(left_out))}" if left_out else ""
    return Outcome(f"{len(manifests)} cases, twice, Pod Security restricted{skipped}", problems)


def _apply(server: Server, manifests: dict[str, list[Mapping]]) -> list[Problem]:
    """Whatever kubectl has to say about one of them is a problem, warnings, too."""

    def apply(job: tuple[str, str]) -> list[Problem]:
        where, way = job
        process = server.kubectl(
            "apply", *APPLY[way], "--dry-run=server", "--validate=strict", "--filename", "-", manifests=manifests[where]
        )
        lines = [line for line in process.stderr.splitlines() if line.strip()]
        return [Problem(where, f"{way}: {line}", "mend the template") for line in lines]

    results = in_parallel(apply, product(manifests, APPLY))
    return [problem for problems in results for problem in problems]


def _moved(content: Mapping, namespace: str) -> Mapping:
    moved = copy.deepcopy(content)
    moved["metadata"]["namespace"] = namespace
    return moved
