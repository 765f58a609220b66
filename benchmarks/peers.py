"""The peers of database-migration, built by their names from the registries of their languages."""

import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import programs
from programs import Program


@dataclass(frozen=True)
class GoModule:
    """A program that is a package of a Go module."""

    package: str
    tags: str = ""

    def build(self, version: str, folder: Path, program: str) -> None:
        # Without C there is no SQLite, which nobody needs here.
        environment = {**os.environ, "CGO_ENABLED": "0"}
        options = ["-trimpath", "-ldflags=-s -w", f"-tags={self.tags}", "-o", folder / "bin" / program]
        commands = [["mod", "init", "peer"], ["get", f"{self.package}@v{version}"], ["build", *options, self.package]]
        with tempfile.TemporaryDirectory() as module:
            for command in commands:
                subprocess.run(["go", *command], cwd=module, env=environment, check=True)


@dataclass(frozen=True)
class Crate:
    """A program that is a Rust crate."""

    name: str
    features: str

    def build(self, version: str, folder: Path, _: str) -> None:
        options = ["--quiet", "--locked", "--root", folder, "--no-default-features", "--features", self.features]
        subprocess.run(["cargo", "install", *options, f"{self.name}@{version}"], check=True)


@dataclass(frozen=True)
class Peer:
    """A peer: where it comes from, what its executable is called, and how it is used."""

    name: str
    version: str
    origin: GoModule | Crate
    program: str
    describe: Callable[[Path, str], Program]

    def install(self, tools: Path) -> Program:
        """Builds the program unless that was done before."""
        folder = tools / f"{self.name}-{self.version}"
        executable = folder / "bin" / self.program
        if not executable.exists():
            print(f"installing {self.name} {self.version}", flush=True)
            self.origin.build(self.version, folder, self.program)
        return self.describe(executable, self.version)


# All leave out the other databases where their builds let them.
PEERS = [
    Peer(
        "golang-migrate",
        "4.20.1",
        GoModule("github.com/golang-migrate/migrate/v4/cmd/migrate", "postgres"),
        "migrate",
        programs.golang_migrate,
    ),
    Peer(
        "goose",
        "3.26.0",
        GoModule(
            "github.com/pressly/goose/v3/cmd/goose",
            "no_clickhouse,no_libsql,no_mssql,no_mysql,no_sqlite3,no_vertica,no_ydb",
        ),
        "goose",
        programs.goose,
    ),
    Peer("dbmate", "2.28.0", GoModule("github.com/amacneil/dbmate/v2"), "dbmate", programs.dbmate),
    Peer("refinery", "0.10.0", Crate("refinery_cli", "postgresql"), "refinery", programs.refinery),
    Peer("sqlx", "0.9.0", Crate("sqlx-cli", "postgres,rustls"), "sqlx", programs.sqlx),
]
