"""A cluster, its namespaces and what is deployed in them, as the tests speak of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar

PROJECT = Path(__file__).resolve().parents[2]
Found = TypeVar("Found")
CHARTS = PROJECT / "charts"
# Longer than anything here takes; what would hang ends here.
PATIENCE = 180


@dataclass
class Ended:
    """What a command wrote, and how it ended."""

    command: str
    code: int
    output: str

    def succeeded(self) -> str:
        assert self.code == 0, f"{self.command}\nended with exit code {self.code}:\n{self.output}"
        return self.output

    def failed(self) -> str:
        assert self.code != 0, f"{self.command}\nshould have failed:\n{self.output}"
        return self.output


def run(*command: str, stdin: str = "", environment: dict[str, str] | None = None, timeout: float = PATIENCE) -> Ended:
    """Runs a command to its end; both of its outputs are one text."""
    ended = subprocess.run(
        command,
        input=stdin,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        cwd=PROJECT,
        check=False,
    )
    return Ended(" ".join(command), ended.returncode, ended.stdout)


def until(what: str, look: Callable[[], Found | None], timeout: float = PATIENCE) -> Found:
    """Waits until something is found."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, f"in vain for {timeout} s: {what}"
        time.sleep(0.3)
    return found


@dataclass(frozen=True)
class Image:
    """An image that the cluster's nodes have."""

    repository: str
    tag: str

    def values(self, prefix: str = "image") -> tuple[str, ...]:
        return (f"{prefix}.repository={self.repository}", f"{prefix}.tag={self.tag}")

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass
class Namespace:
    """A namespace of the cluster, and this project's charts in it."""

    context: str
    name: str
    image: Image
    helm_program: str = "helm"

    def kubectl(self, *arguments: str, stdin: str = "", timeout: float = PATIENCE) -> Ended:
        return run(
            "kubectl", "--context", self.context, "--namespace", self.name, *arguments, stdin=stdin, timeout=timeout
        )

    def helm(self, *arguments: str, timeout: float = PATIENCE) -> Ended:
        return run(
            self.helm_program, "--kube-context", self.context, "--namespace", self.name, *arguments, timeout=timeout
        )

    def get(self, *arguments: str) -> dict:
        return json.loads(self.kubectl("get", *arguments, "--output", "json").succeeded())

    def apply(self, manifest: dict) -> None:
        self.kubectl("apply", "--filename", "-", stdin=json.dumps(manifest)).succeeded()

    def install(
        self, chart: str, *values: str, files: tuple[Path, ...] = (), wait: bool = True, timeout: str = "150s"
    ) -> Ended:
        """Installs or upgrades a release of the chart's own name."""
        image = self.image.values("tests.image" if chart == "postgres" else "image")
        if chart != "postgres":
            image += ("database.existingSecret=postgres",)
        options = [option for value in (*image, *values) for option in ("--set", value)]
        options += [option for file in files for option in ("--values", str(file))]
        if wait:
            options += ["--wait", "--timeout", timeout]
        return self.helm("upgrade", "--install", chart, str(CHARTS / chart), *options)

    def install_all(self, *order_food: str) -> None:
        self.install("postgres").succeeded()
        self.install("database-load").succeeded()
        self.install("order-food", *order_food).succeeded()

    def psql(self, query: str, user: str = "postgres", password: str | None = None) -> Ended:
        """Runs a query in PostgreSQL's pod; with a password over TCP, as a client elsewhere would."""
        command = ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", "orderfood", "-c", query]
        if password is not None:
            command = ["env", f"PGPASSWORD={password}", *command, "-h", "127.0.0.1"]
        return self.kubectl("exec", "deployment/postgres", "--container", "postgres", "--", *command)

    def value(self, query: str) -> str:
        return self.psql(query).succeeded().strip()

    def pods(self, name: str = "order-food") -> list[dict]:
        return self.get("pods", "--selector", f"app.kubernetes.io/name={name}")["items"]

    @contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[int]:
        """A free port of this machine that leads to one of the cluster's."""
        command = ["kubectl", "--context", self.context, "--namespace", self.name, "port-forward", target, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                first = process.stdout.readline() if process.stdout else ""
                match = re.search(r"127\.0\.0\.1:(\d+)", first)
                assert match, first
                yield int(match[1])
            finally:
                process.kill()

    def order(self, **fields: str) -> tuple[int, dict]:
        """Orders one product through the API; returns the answer's status and body."""
        order = {"items": [{"productId": "1", "quantity": 1}], **fields}
        with self.forwarded("service/order-food", 8080) as port:
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("POST", "/api/order", json.dumps(order), {"api_key": "apitest"})
            answer = connection.getresponse()
            return answer.status, json.load(answer)

    def uids(self) -> set[str]:
        """What changes when any pod is replaced."""
        return {pod["metadata"]["uid"] for name in ("postgres", "order-food") for pod in self.pods(name)}

    def ready_pods(self, name: str = "order-food") -> list[str]:
        """The names of the pods that are ready and not about to go."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods(name)
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in pod["status"].get("conditions", [])
            )
        ]

    def logs(self, pod: str, container: str, *options: str) -> str:
        return self.kubectl("logs", pod, "--container", container, *options).output

    def until_init_container(self, container: str, state: str, other_than: frozenset[str] = frozenset()) -> dict:
        """Waits for an init container of an API pod to be in a state, and returns the pod."""

        def look() -> dict | None:
            for pod in self.pods():
                if pod["metadata"]["uid"] in other_than:
                    continue
                for status in pod["status"].get("initContainerStatuses", []):
                    if status["name"] == container and state in status.get("state", {}):
                        return pod
            return None

        return until(f"{container} is {state}", look)

    def describe(self) -> str:
        """What one wants to see of a test that failed."""
        return "\n".join(
            self.kubectl(*command.split()).output
            for command in (
                "get all,pvc,secret,configmap,networkpolicy --output wide",
                "get events --sort-by .lastTimestamp",
                "logs --selector app.kubernetes.io/part-of=order-food --all-containers --prefix --tail 30",
            )
        )


def change_by_hand(namespace: Namespace, assignment: str) -> None:
    """Changes products behind the loader's back, and has it forget that it knows them."""
    namespace.psql(f"UPDATE products SET {assignment}; DELETE FROM load_run WHERE data_set = 'products'").succeeded()


def start_load_that_waits(namespace: Namespace, job: str) -> None:
    """Runs the CronJob while somebody holds a lock that its load needs, for a minute."""
    holder = "BEGIN; LOCK TABLE products IN SHARE MODE; SELECT pg_sleep(60)"
    namespace.kubectl(
        "exec", "deployment/postgres", "--container", "postgres", "--",
        "bash", "-c", f"psql -U postgres -d orderfood -c '{holder}' >/dev/null 2>&1 &",
    ).succeeded()  # fmt: skip
    namespace.kubectl("create", "job", job, "--from=cronjob/database-load").succeeded()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'orderfood_loader' AND wait_event_type = 'Lock'"
    until("the load waits", lambda: namespace.value(waiting) == "1")


def report(status: dict) -> dict:
    """What a container has left as its termination message, from its status."""
    found = json.loads(status["state"]["terminated"]["message"])
    assert isinstance(found, dict), found
    return found


RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 70,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(name: str, image: str, command: list[str], **container: object) -> dict:
    """A pod that Pod Security's profile `restricted` admits."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [
                {"name": name, "image": image, "command": command, "securityContext": RESTRICTED, **container}
            ],
        },
    }


@contextmanager
def clients(namespace: Namespace, postgres_image: str) -> Iterator[Callable[[], list[str]]]:
    """Clients that place orders and read products all the time; yields what counts their answers.

    Each request has a connection of its own, so each may meet a pod that is about to go.
    """
    script = (Path(__file__).parent / "client.bash").read_text()
    namespace.apply(pod("client", postgres_image, ["bash", "-c", script, "client", "order-food", "8080"]))
    namespace.kubectl("wait", "--for=condition=Ready", "pod/client", f"--timeout={PATIENCE}s").succeeded()

    def answers() -> list[str]:
        return namespace.kubectl("logs", "pod/client").succeeded().splitlines()

    try:
        yield answers
    finally:
        namespace.kubectl("delete", "pod", "client", "--wait=true").succeeded()
