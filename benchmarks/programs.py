"""What is measured: programs that apply migrations, each with files in its own style and its own history."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Migration:
    """A small migration: it creates a table of two columns."""

    number: int

    @property
    def name(self) -> str:
        return f"create_table_{self.number:05}"

    @property
    def up(self) -> str:
        return f"CREATE TABLE table_{self.number:05} (id bigint NOT NULL, amount integer NOT NULL);\n"

    @property
    def down(self) -> str:
        return f"DROP TABLE table_{self.number:05};\n"


@dataclass(frozen=True)
class Program:
    """A program, its style of files, and how it is called on a directory of them and a database's URL.

    All get the URL in DATABASE_URL, too.
    """

    name: str
    version: str
    executable: Path
    files: Callable[[Migration], dict[str, str]]
    arguments: Callable[[Path, str], list[str]]
    # SQL that counts what the program's own history holds.
    count: str
    # For a program that does not find out by itself that there is nothing to do.
    idle_arguments: Callable[[Path, str], list[str]] | None = None

    def write(self, directory: Path, migrations: int) -> None:
        """Writes the files of so many migrations. What goes by the same name is one file."""
        directory.mkdir()
        for number in range(1, migrations + 1):
            for name, content in self.files(Migration(number)).items():
                with (directory / name).open("a") as file:
                    file.write(content)

    def command(self, directory: Path, url: str) -> list[str]:
        return [str(self.executable), *self.arguments(directory, url)]

    def idle_command(self, directory: Path, url: str) -> list[str]:
        """The command for when there is nothing to do."""
        return [str(self.executable), *(self.idle_arguments or self.arguments)(directory, url)]


def psql(executable: Path, version: str) -> Program:
    """The floor: one script that does for each migration what a program has to do, and a query of nothing."""
    script = "script.sql"
    history = "CREATE TABLE history (version bigint PRIMARY KEY, name text, applied_on timestamptz DEFAULT now());\n"

    def files(migration: Migration) -> dict[str, str]:
        row = f"INSERT INTO history (version, name) VALUES ({migration.number}, '{migration.name}');\n"
        beginning = history if migration.number == 1 else ""
        return {script: f"{beginning}BEGIN;\n{migration.up}{row}COMMIT;\n"}

    def arguments(directory: Path, url: str) -> list[str]:
        return ["-X", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={directory / script}", url]

    def idle_arguments(_: Path, url: str) -> list[str]:
        return ["-X", "-c", "select 1", url]

    return Program("psql", version, executable, files, arguments, "SELECT count(*) FROM history", idle_arguments)


def database_migration(name: str, executable: Path, version: str) -> Program:
    def files(migration: Migration) -> dict[str, str]:
        header = f"-- Migration: {migration.name}\n\n"
        sections = f"-- +++++ UP\n{migration.up}\n-- +++++ DOWN\n{migration.down}"
        return {f"{migration.number:05}_{migration.name}.sql": header + sections}

    def arguments(directory: Path, _: str) -> list[str]:
        return ["--migrations", str(directory)]

    return Program(name, version, executable, files, arguments, "SELECT count(*) FROM refinery_schema_history")


def golang_migrate(executable: Path, version: str) -> Program:
    def files(migration: Migration) -> dict[str, str]:
        stem = f"{migration.number:06}_{migration.name}"
        return {f"{stem}.up.sql": migration.up, f"{stem}.down.sql": migration.down}

    def arguments(directory: Path, url: str) -> list[str]:
        return ["-path", str(directory), "-database", url, "up"]

    # Its history is the newest version alone.
    count = "SELECT version FROM schema_migrations WHERE NOT dirty"
    return Program("golang-migrate", version, executable, files, arguments, count)


def goose(executable: Path, version: str) -> Program:
    def files(migration: Migration) -> dict[str, str]:
        content = f"-- +goose Up\n{migration.up}\n-- +goose Down\n{migration.down}"
        return {f"{migration.number:05}_{migration.name}.sql": content}

    def arguments(directory: Path, url: str) -> list[str]:
        return ["-dir", str(directory), "postgres", url, "up"]

    count = "SELECT count(*) FROM goose_db_version WHERE version_id > 0"
    return Program("goose", version, executable, files, arguments, count)


def dbmate(executable: Path, version: str) -> Program:
    def files(migration: Migration) -> dict[str, str]:
        content = f"-- migrate:up\n{migration.up}\n-- migrate:down\n{migration.down}"
        return {f"{migration.number:05}_{migration.name}.sql": content}

    def arguments(directory: Path, _: str) -> list[str]:
        # What it does besides, a dump of the schema by pg_dump, is not what is compared here.
        return ["--no-dump-schema", "--migrations-dir", str(directory), "migrate"]

    return Program("dbmate", version, executable, files, arguments, "SELECT count(*) FROM schema_migrations")


def refinery(executable: Path, version: str) -> Program:
    def files(migration: Migration) -> dict[str, str]:
        return {f"V{migration.number}__{migration.name}.sql": migration.up}

    def arguments(directory: Path, _: str) -> list[str]:
        return ["migrate", "-e", "DATABASE_URL", "-p", str(directory)]

    return Program("refinery", version, executable, files, arguments, "SELECT count(*) FROM refinery_schema_history")


def sqlx(executable: Path, version: str) -> Program:
    def files(migration: Migration) -> dict[str, str]:
        return {f"{migration.number}_{migration.name}.sql": migration.up}

    def arguments(directory: Path, _: str) -> list[str]:
        return ["migrate", "run", "--no-dotenv", "--source", str(directory)]

    count = "SELECT count(*) FROM _sqlx_migrations WHERE success"
    return Program("sqlx", version, executable, files, arguments, count)
