"""Measures loaders in turn on one server, whole processes, and checks what each has done."""

import re
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import processes
import products
from loaders import Loader
from measurements import in_turn, medians, ratios
from products import COLUMNS, TABLE, Products
from server import Server

# Rows that are written one by one; the time for all rows is told from that.
SAMPLE = 5_000
# What the server says in its log of a statement, and how its parts are named.
STATEMENT = re.compile(r"duration: ([\d.]+) ms  (?:(?:statement|parse|bind|execute)[^:]*): +(\w+)")
PARTS = {"COPY": "COPY", "ANALYZE": "ANALYZE", "COMMIT": "COMMIT"}


@dataclass(frozen=True)
class Figures:
    """Of several loaders, by name: the median of all rounds."""

    seconds: dict[str, float]
    # Peak memory in MiB, of our loader alone.
    memory: float


@dataclass(frozen=True)
class Size:
    """What was measured with so many rows."""

    rows: int
    bytes: int
    first: Figures
    # To the floor's first load.
    first_ratios: dict[str, float]
    unchanged: Figures
    changed: Figures
    shuffled: Figures


class LoadBench:
    """Where loaders are measured; the floor and ours take part in everything."""

    def __init__(self, server: Server, folder: Path, floor: Loader, ours: list[Loader]) -> None:
        self.server = server
        self.folder = folder
        self.floor = floor
        self.ours = ours

    def size(self, rows: int, rounds: int, first: list[Loader], changed: list[Loader]) -> Size:
        """All cases with so many rows; the loaders besides the floor and ours."""
        files = self.folder / "files"
        source = products.write(files / "source", rows)
        times, memory = self.first_loads(source, [self.floor, *self.ours, *first], rounds)
        others = [
            self.changes(source, source, self.ours, rounds),
            self.changes(source, products.write(files / "changed", rows, changed=True), [*self.ours, *changed], rounds),
            self.changes(
                source, products.write(files / "shuffled", rows, changed=True, shuffled=True), self.ours, rounds
            ),
        ]
        size = source.file.stat().st_size
        shutil.rmtree(files)
        return Size(rows, size, Figures(medians(times), memory), ratios(times), *others)

    def first_loads(self, source: Products, loaders: list[Loader], rounds: int) -> tuple[list[dict[str, float]], float]:
        """Each into an empty table, a fresh one each time."""

        def run(loader: Loader) -> float:
            with self.server.database(loader.name):
                self.prepare(loader)
                took = self.run(loader, source)
                self.check(loader, source)
                return took

        times = in_turn(loaders, run, rounds)
        with self.server.database(self.ours[0].name):
            self.prepare(self.ours[0])
            memory = self.peak_memory(self.ours[0], source)
        return times, memory

    def changes(self, source: Products, changed: Products, loaders: list[Loader], rounds: int) -> Figures:
        """Each into a table that holds the other one of two files, back and forth."""
        databases = [loader.name for loader in loaders]
        for loader in loaders:
            self.server.create(loader.name)
            self.prepare(loader)
            self.run(self.ours[0], source, loader.name)
        turn = Counter()

        def run(loader: Loader) -> float:
            turn[loader.name] += 1
            target = (source, changed)[turn[loader.name] % 2]
            self.server.settle(loader.name)
            took = self.run(loader, target)
            self.check(loader, target)
            return took

        times = in_turn(loaders, run, rounds)
        ours = self.ours[0]
        turn[ours.name] += 1
        memory = self.peak_memory(ours, (source, changed)[turn[ours.name] % 2])
        for database in databases:
            self.server.drop(database)
        return Figures(medians(times), memory)

    def parts(self, rows: int) -> dict[str, float]:
        """Seconds of our first load by what the server was at, as its log tells, and the rest."""
        ours = self.ours[0]
        files = self.folder / "files"
        source = products.write(files / "source", rows)
        with self.server.database(ours.name):
            self.prepare(ours)
            self.server.ask(ours.name, f'ALTER DATABASE "{ours.name}" SET log_min_duration_statement = 0')
            before = self.server.log.stat().st_size
            took = self.run(ours, source)
            with self.server.log.open() as log:
                log.seek(before)
                said = log.read()
        shutil.rmtree(files)
        seconds = dict.fromkeys([*PARTS.values(), "other statements"], 0.0)
        for milliseconds, word in STATEMENT.findall(said):
            seconds[PARTS.get(word, "other statements")] += float(milliseconds) / 1000
        seconds["the program alone: hash, connection, end"] = took - sum(seconds.values())
        return seconds

    def upserts(self, rows: int, pgbench: Path) -> tuple[float, float]:
        """Seconds of our first load, and of as many upserts one by one, told from a sample."""
        ours = self.ours[0]
        files = self.folder / "files"
        source = products.write(files / "source", rows)
        script = self.folder / "upsert.sql"
        script.write_text(
            f"\\set id random(0, {rows - 1})\n"
            f"INSERT INTO products ({COLUMNS}) \n"
            "VALUES (lpad(:id::text, 8, '0'), 'New Soup ' || :id, 1.50, 'Soup')\n"
            "ON CONFLICT (id) DO UPDATE SET name = excluded.name, price = excluded.price, "
            "category = excluded.category, updated_at = CURRENT_TIMESTAMP;\n"
        )
        with self.server.database(ours.name):
            self.prepare(ours)
            load = self.run(ours, source)
            options = ["--no-vacuum", "--protocol=prepared", "--client=1", f"--transactions={SAMPLE}"]
            command = [str(pgbench), *options, f"--file={script}", self.server.url(ours.name)]
            sample = processes.seconds("pgbench", command, self.server.url(ours.name), self.folder)
        shutil.rmtree(files)
        return load, sample * rows / SAMPLE

    def prepare(self, loader: Loader) -> None:
        self.server.ask(loader.name, TABLE)

    def run(self, loader: Loader, source: Products, database: str | None = None) -> float:
        url = self.server.url(database or loader.name)
        return processes.seconds(loader.name, loader.command(source, url), url, self.folder)

    def peak_memory(self, loader: Loader, source: Products) -> float:
        url = self.server.url(loader.name)
        return processes.peak_memory(loader.name, loader.command(source, url), url, self.folder)

    def check(self, loader: Loader, source: Products) -> None:
        """Whether the table holds the file."""
        held = self.server.ask(loader.name, "SELECT count(*) || ' ' || sum(price) FROM products")
        if held != f"{source.rows} {source.prices}":
            sys.exit(f"✗ {loader.name}: the table holds {held} and not {source.rows} {source.prices}")
