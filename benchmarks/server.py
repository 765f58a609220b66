"""A private PostgreSQL server that lives as long as the measurements."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Server:
    psql: Path
    port: str
    password: str

    def url(self, database: str) -> str:
        return f"postgres://postgres:{self.password}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def ask(self, database: str, *queries: str) -> str:
        """Runs queries and gives what they answer."""
        answer = subprocess.run(
            [self.psql, "-X", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
            + [f"--command={query}" for query in queries]
            + [self.url(database)],
            check=True,
            capture_output=True,
            text=True,
        )
        return answer.stdout.strip()

    @contextmanager
    def database(self, name: str) -> Iterator[None]:
        """A fresh database, which is gone afterwards."""
        self.ask("postgres", f'CREATE DATABASE "{name}"')
        try:
            yield
        finally:
            self.ask("postgres", f'DROP DATABASE "{name}" WITH (FORCE)')

    def settle(self, database: str) -> None:
        """Does now what the server would do some time later, perhaps while something is measured."""
        self.ask(database, "VACUUM ANALYZE", "CHECKPOINT")


@contextmanager
def private_server(psql: Path) -> Iterator[Server]:
    process = subprocess.Popen(
        [PROJECT / "scripts/postgres-server", "temporary", "--setting", "autovacuum=off"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _, port, password, _ = process.stdout.readline().split()
        yield Server(psql, port, password)
    finally:
        process.stdin.close()
        process.wait()
