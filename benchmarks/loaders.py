"""What is measured: ways to bring a table to the state of a file."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from executables import version
from measurements import FLOOR
from products import COLUMNS, Products

OURS = "database-load"
MERGE = "psql: staging and merge"
JOIN = "psql: staging and difference join"

STAGING = f"CREATE TEMPORARY TABLE staging ON COMMIT DROP AS SELECT {COLUMNS} FROM products WITH NO DATA;"
SET = "name = source.name, price = source.price, category = source.category, updated_at = CURRENT_TIMESTAMP"
DIFFERS = "(target.name, target.price, target.category) IS DISTINCT FROM (source.name, source.price, source.category)"


@dataclass(frozen=True)
class Loader:
    """A program, and how it is called on a file and a database's URL."""

    name: str
    version: str
    command: Callable[[Products, str], list[str]]


def database_load(name: str, executable: Path) -> Loader:
    def command(products: Products, _: str) -> list[str]:
        return [str(executable), "--data", str(products.directory)]

    return Loader(name, version(executable), command)


def copy(psql: Path) -> Loader:
    """The floor: it can only fill an empty table, and tells neither a checksum nor the planner."""
    return scripted(FLOOR, psql, lambda copied: [copied("products")])


def merge(psql: Path) -> Loader:
    def statements(copied: Callable[[str], str]) -> list[str]:
        merged = SET.replace("source.", "excluded.")
        differs = DIFFERS.replace("source.", "excluded.")
        return [
            "BEGIN;",
            STAGING,
            copied("staging"),
            f"INSERT INTO products AS target ({COLUMNS}) SELECT {COLUMNS} FROM staging "
            f"ON CONFLICT (id) DO UPDATE SET {merged} WHERE {differs};",
            "COMMIT;",
            "ANALYZE products;",
        ]

    return scripted(MERGE, psql, statements)


def join(psql: Path) -> Loader:
    def statements(copied: Callable[[str], str]) -> list[str]:
        return [
            "BEGIN;",
            STAGING,
            copied("staging"),
            "ANALYZE staging;",
            f"UPDATE products AS target SET {SET} FROM staging AS source WHERE target.id = source.id AND {DIFFERS};",
            f"INSERT INTO products ({COLUMNS}) SELECT {COLUMNS} FROM staging AS source "
            "WHERE NOT EXISTS (SELECT FROM products AS target WHERE target.id = source.id);",
            "COMMIT;",
            "ANALYZE products;",
        ]

    return scripted(JOIN, psql, statements)


def pgloader() -> Loader | None:
    """Only where Debian's package is installed."""
    found = shutil.which("pgloader")
    if not found:
        print("left out: pgloader; it is a package of Debian", flush=True)
        return None

    def command(products: Products, url: str) -> list[str]:
        fields = "--field " + " --field ".join(COLUMNS.split(", "))
        options = ["--type", "csv", *fields.split(), "--with", "skip header = 1", "--with", "fields terminated by ','"]
        return [found, *options, str(products.file), f"{url}&tablename=products"]

    return Loader("pgloader", version(Path(found)), command)


def scripted(name: str, psql: Path, statements: Callable[[Callable[[str], str]], list[str]]) -> Loader:
    """psql with a script that copies the file into a table."""

    def command(products: Products, url: str) -> list[str]:
        def copied(table: str) -> str:
            return f"\\copy {table} ({COLUMNS}) FROM '{products.file}' WITH (FORMAT csv, HEADER)"

        script = products.directory / f"{name.replace(' ', '-')}.sql"
        script.write_text("\n".join(statements(copied)) + "\n")
        return [str(psql), "-X", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={script}", url]

    return Loader(name, version(psql), command)
