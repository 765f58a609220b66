"""Every command of the first description of this system works as it is printed there."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import PATIENCE, PROJECT
from conftest import Deployed

LIST = Path(__file__).parent / "seed.commands"
QUERY = "SELECT id FROM products;\n"


@dataclass(frozen=True)
class Step:
    section: str
    command: str
    expected: str

    def __str__(self) -> str:
        return f"{self.section}: {self.command[:80]}"


def steps() -> list[Step]:
    section, command, found = "", "", []
    for line in LIST.read_text().splitlines():
        if line.startswith("# "):
            section = line[2:].split(".")[0]
        elif line.startswith("=> "):
            found.append(Step(section, command, line[3:]))
        elif line:
            command = line
    return found


class Shell:
    """A shell whose kubectl and helm go to one namespace without being told so each time."""

    def __init__(self, deployed: Deployed, folder: Path) -> None:
        self.deployed = deployed
        self.folder = folder
        (folder / "schema.sql").write_text("CREATE TABLE made_by_hand (id int PRIMARY KEY);\n")
        self.settings = folder / "kubeconfig"
        context = deployed.namespace.context
        flat = subprocess.run(
            ["kubectl", "config", "view", "--flatten", "--minify", "--context", context],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        self.settings.write_text(flat)
        self.kubectl("config", "use-context", context)
        self.kubectl("config", "set-context", context, "--namespace", deployed.namespace.name)
        self.background: list[subprocess.Popen[str]] = []

    def kubectl(self, *arguments: str) -> None:
        subprocess.run(["kubectl", "--kubeconfig", str(self.settings), *arguments], check=True, capture_output=True)

    def start(self, command: str, stdin: int, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        directory = self.folder
        if command.startswith("./"):
            directory = PROJECT
            command = " ".join((command, *(f"'{option}'" for option in self.options(command))))
        return subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=directory,
            text=True,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            env=os.environ | {"KUBECONFIG": str(self.settings), "PGPASSWORD": "postgres"},
        )

    def options(self, command: str) -> tuple[str, ...]:
        return self.deployed.options if command == "./deploy.sh" else self.deployed.options[:4]

    def on_terminal(self, command: str) -> tuple[int, str]:
        """Runs psql as someone at a terminal does, who waits for the prompt and types."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (50, 200))
        process = self.start(command, theirs, theirs)
        os.close(theirs)
        shown, typed = "", False
        while select.select([ours], [], [], PATIENCE)[0]:
            try:
                shown += os.read(ours, 4096).decode(errors="replace")
            except OSError:
                # How Linux tells that nobody has the terminal open any more.
                break
            if not typed and "orderfood=#" in shown:
                os.write(ours, f"{QUERY}\\q\n".encode())
                typed = True
        os.close(ours)
        return process.wait(PATIENCE), shown

    def end_background(self) -> None:
        for process in self.background:
            process.kill()
            process.wait()
        self.background.clear()


@pytest.fixture(scope="module")
def shell(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(deployed, tmp_path_factory.mktemp("seed"))
    yield shell
    shell.end_background()


@pytest.mark.parametrize("step", steps(), ids=str)
def test_as_printed(shell: Shell, step: Step) -> None:
    if step.command.startswith("& "):
        shell.background.append(shell.start(step.command[2:], subprocess.DEVNULL))
        first = shell.background[-1].stdout.readline()
        assert re.search(step.expected, first), first
        return
    if step.command.startswith("% "):
        code, output = shell.on_terminal(step.command[2:])
    else:
        process = shell.start(step.command, subprocess.PIPE)
        output, _ = process.communicate(QUERY, timeout=300)
        code = process.returncode
    assert code == 0, output
    assert re.search(step.expected, output), f"{step.expected} is not in:\n{output}"
