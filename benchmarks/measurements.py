"""Measures programs in turn on one server, whole processes, and checks that each did its work."""

import random
import shutil
import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import processes
from programs import Program
from server import Server

FLOOR = "psql"
MEMORY_ROUNDS = 3


@dataclass(frozen=True)
class Measurement:
    """What was measured of each program, by its name: the median of all rounds."""

    migrations: int
    # To the floor: the median of what each round says.
    ratios: dict[str, float]
    seconds: dict[str, float]
    # Peak memory in MiB.
    memory: dict[str, float]


@dataclass(frozen=True)
class Bench:
    """Where programs are measured."""

    server: Server
    folder: Path
    programs: list[Program]

    def nothing_to_do(self, migrations: int, rounds: int) -> Measurement:
        """Each program on a database that it has brought to the newest version."""
        with ExitStack() as databases:
            for program in self.programs:
                databases.enter_context(self.server.database(program.name))
                self.write(program, migrations)
                self.apply(program, migrations)
                self.server.settle(program.name)
            times = in_turn(self.programs, lambda program: self.run(program, self.idle(program)), rounds)
            memory = in_turn(self.programs, self.peak_memory, MEMORY_ROUNDS)
            for program in self.programs:
                self.check(program, migrations)
        self.forget_files()
        return Measurement(migrations, ratios(times), medians(times), medians(memory))

    def small_migrations(self, migrations: int, rounds: int) -> Measurement:
        """Each program on an empty database, a fresh one each time."""
        for program in self.programs:
            self.write(program, migrations)

        def run(program: Program) -> float:
            with self.server.database(program.name):
                return self.apply(program, migrations)

        times = in_turn(self.programs, run, rounds)
        self.forget_files()
        return Measurement(migrations, ratios(times), medians(times), {})

    def directory(self, program: Program) -> Path:
        return self.folder / "files" / program.name

    def write(self, program: Program, migrations: int) -> None:
        self.directory(program).parent.mkdir(exist_ok=True)
        program.write(self.directory(program), migrations)

    def forget_files(self) -> None:
        shutil.rmtree(self.folder / "files")

    def idle(self, program: Program) -> list[str]:
        return program.idle_command(self.directory(program), self.server.url(program.name))

    def apply(self, program: Program, migrations: int) -> float:
        took = self.run(program, program.command(self.directory(program), self.server.url(program.name)))
        self.check(program, migrations)
        return took

    def check(self, program: Program, migrations: int) -> None:
        """Whether the program's history and the database hold all migrations."""
        tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'table\\_%' AND relkind = 'r'"
        counts = self.server.ask(program.name, program.count, tables).split()
        if counts != [str(migrations)] * 2:
            sys.exit(f"✗ {program.name}: its history and the tables are {counts}, not {migrations} each")

    def run(self, program: Program, command: list[str]) -> float:
        """Seconds from the start of the process to its end."""
        return processes.seconds(program.name, command, self.server.url(program.name), self.folder)

    def peak_memory(self, program: Program) -> float:
        """In MiB."""
        return processes.peak_memory(program.name, self.idle(program), self.server.url(program.name), self.folder)


def in_turn(programs: list[Program], measure: Callable[[Program], float], rounds: int) -> list[dict[str, float]]:
    """Measures all programs in each round, each time in another order. A first round does not count."""
    measured = []
    for _ in range(1 + rounds):
        order = random.sample(programs, len(programs))
        measured.append({program.name: measure(program) for program in order})
    return measured[1:]


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}


def ratios(rounds: list[dict[str, float]]) -> dict[str, float]:
    return medians([{name: figures[name] / figures[FLOOR] for name in figures} for figures in rounds])
