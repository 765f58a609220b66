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
    log: Path

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
        self.create(name)
        try:
            yield
        finally:
            self.drop(name)

    def create(self, name: str) -> None:
        self.ask("postgres", f'CREATE DATABASE "{name}"')

    def drop(self, name: str) -> None:
        self.ask("postgres", f'DROP DATABASE "{name}" WITH (FORCE)')

    def settle(self, database: str) -> None:
        """Does now what the server would do some time later, perhaps while something is measured."""
        self.ask(database, "VACUUM ANALYZE", "CHECKPOINT")


@contextmanager
def private_server(psql: Path, *settings: str) -> Iterator[Server]:
    """Without fsync and the like, unless settings such as fsync=on say otherwise."""
    options = [option for setting in ("autovacuum=off", *settings) for option in ("--setting", setting)]
    process = subprocess.Popen(
        [PROJECT / "scripts/postgres-server", "temporary", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _, port, password, data_directory = process.stdout.readline().split()
        yield Server(psql, port, password, Path(data_directory).with_name("postgres.log"))
    finally:
        process.stdin.close()
        process.wait()
