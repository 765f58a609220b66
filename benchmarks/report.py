"""What the figures say: a page of tables, and which bars database-migration misses."""

from collections.abc import Callable
from dataclasses import dataclass

from measurements import FLOOR, Measurement
from programs import Program

# What database-migration must not exceed, by the number of files or migrations.
NOTHING_TO_DO_BARS = {10: 0.65, 1_000: 1.0, 10_000: 3.5}
SMALL_MIGRATIONS_BARS = {1_000: 0.9}
# In MiB, with nothing to do.
MEMORY_BARS = {10: 4.0}


@dataclass(frozen=True)
class Results:
    programs: list[Program]
    nothing_to_do: list[Measurement]
    small_migrations: Measurement
    # Where and how it was measured, in sentences.
    circumstances: str


def page(results: Results) -> str:
    """All tables, in Markdown."""
    times = [(f"{one.migrations:,} files", one) for one in results.nothing_to_do]
    times.append((f"{results.small_migrations.migrations:,} migrations", results.small_migrations))
    memory = [(f"{one.migrations:,} files", one) for one in results.nothing_to_do]
    return f"""# database-migration and its peers

{results.circumstances}

## Time

The time of `psql`, and that of the others as a ratio to it. With so many files applied and nothing to do, `psql` runs
`select 1`; the last column is so many small migrations on an empty database, where `psql` runs one script.

{table(results.programs, times, time)}

![Nothing to do: how the ratio grows with the files](nothing-to-do.svg)

## Peak memory

With so many files applied and nothing to do, in MiB.

{table(results.programs, memory, lambda one, name: f"{one.memory[name]:.1f}")}
"""


def time(measurement: Measurement, name: str) -> str:
    if name == FLOOR:
        return f"{measurement.seconds[name] * 1000:.1f} ms"
    return f"{measurement.ratios[name]:.2f}"


def table(
    programs: list[Program], columns: list[tuple[str, Measurement]], cell: Callable[[Measurement, str], str]
) -> str:
    lines = [["program", "version", *(title for title, _ in columns)]]
    lines.append(["---", "---", *("--:" for _ in columns)])
    for program in programs:
        lines.append([program.name, program.version, *(cell(one, program.name) for _, one in columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def missed(results: Results, name: str) -> list[str]:
    """The bars that a program of ours misses, in words."""
    found = []
    for one in results.nothing_to_do:
        found += beyond(f"nothing to do, {one.migrations:,} files", one.ratios[name], NOTHING_TO_DO_BARS, one)
        found += beyond(f"peak memory in MiB, {one.migrations:,} files", one.memory[name], MEMORY_BARS, one)
    one = results.small_migrations
    found += beyond(f"{one.migrations:,} small migrations", one.ratios[name], SMALL_MIGRATIONS_BARS, one)
    return found


def beyond(title: str, figure: float, bars: dict[int, float], measurement: Measurement) -> list[str]:
    bar = bars.get(measurement.migrations)
    if bar is None or figure <= bar:
        return []
    return [f"{title}: {figure:.2f}, more than {bar}"]
