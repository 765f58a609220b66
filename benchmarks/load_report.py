"""What the figures of loads say: a page of tables, and which bars database-load misses."""

from dataclasses import dataclass

from load_measurements import SAMPLE, Size
from loaders import Loader
from measurements import FLOOR

# All figures but those of growth are with so many rows.
ROWS = 1_000_000
# What database-load must not exceed, as ratios to the floor's first load.
FIRST_BAR = 1.3
UNCHANGED_BAR = 0.02
CHANGED_BAR = 0.5
# So many times faster than rows that are written one by one, at least.
UPSERT_BAR = 50
# In MiB, by the number of rows.
MEMORY_BARS = {1_000_000: 64, 10_000_000: 256}


@dataclass(frozen=True)
class Upserts:
    """Seconds for all rows on a server that keeps what it has committed."""

    load: float
    upserts: float

    @property
    def times(self) -> float:
        return self.upserts / self.load


@dataclass(frozen=True)
class Results:
    loaders: list[Loader]
    # The names of ours, of which the first is measured in parts and for its memory.
    ours: list[str]
    sizes: list[Size]
    # Seconds by what is done, of one first load.
    parts: dict[str, float]
    upserts: Upserts
    # The number of rows that these two had.
    rows: int
    circumstances: str


def page(results: Results) -> str:
    """All tables, in Markdown."""
    main = next(size for size in results.sizes if size.rows == results.rows)
    return f"""# database-load and what else fills a table

{results.circumstances}

## Time with {main.rows:,} rows

A CSV file of {main.bytes / 1e6:.0f} MB, into the table with its key and its check. In brackets the ratio to what
`psql` takes to copy the file into the empty table. 1 % changed means that one row in a hundred has another price,
spread evenly over the file, or with the file's rows in random order.

{times(results, main)}

One first load of database-load in parts, as the server's log tells them:

{table(["part", "seconds"], [[part, f"{seconds:.2f}"] for part, seconds in results.parts.items()])}

## Against row by row

`INSERT .. ON CONFLICT DO UPDATE`, each row a transaction of its own, a prepared statement on one connection: on a
server with fsync, {SAMPLE:,} rows were written into the full table, and the time for {results.rows:,} is told from
that: {results.upserts.upserts:,.0f} s. database-load takes {results.upserts.load:.1f} s for its first load there:
{results.upserts.times:,.0f} times less.

## Peak memory of database-load

In MiB.

{memory(results)}

## Growth

Seconds of database-load, in brackets the ratio to `psql` with as many rows.

{growth(results)}
"""


def times(results: Results, size: Size) -> str:
    floor = size.first.seconds[FLOOR]
    cases = [size.first, size.unchanged, size.changed, size.shuffled]

    def cell(seconds: dict[str, float], name: str) -> str:
        return f"{seconds[name]:.2f} s ({seconds[name] / floor:.3f})" if name in seconds else "-"

    titles = ["loader", "version", "first load", "unchanged", "1 % changed", "1 % changed, random order"]
    rows = [
        [loader.name, loader.version, *(cell(case.seconds, loader.name) for case in cases)]
        for loader in results.loaders
    ]
    return table(titles, rows)


def memory(results: Results) -> str:
    titles = ["rows", "first load", "1 % changed", "1 % changed, random order"]
    rows = [
        [f"{size.rows:,}", *(f"{case.memory:.1f}" for case in (size.first, size.changed, size.shuffled))]
        for size in results.sizes
    ]
    return table(titles, rows)


def growth(results: Results) -> str:
    ours = results.ours[0]
    titles = ["rows", "psql", "first load", "unchanged", "1 % changed"]
    rows = []
    for size in results.sizes:
        floor = size.first.seconds[FLOOR]
        cases = [size.first, size.unchanged, size.changed]
        cells = [f"{case.seconds[ours]:.2f} ({case.seconds[ours] / floor:.3f})" for case in cases]
        rows.append([f"{size.rows:,}", f"{floor:.2f}", *cells])
    return table(titles, rows)


def table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---", *("--:" for _ in titles[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def missed(results: Results) -> list[str]:
    """The bars that database-load misses, in words."""
    found = []
    for size in results.sizes:
        found += [bar for name in results.ours for bar in missed_times(size, name)]
        if size.rows in MEMORY_BARS:
            peak = max(size.first.memory, size.changed.memory, size.shuffled.memory)
            found += beyond(f"peak memory in MiB, {size.rows:,} rows", peak, MEMORY_BARS[size.rows])
    if results.rows == ROWS and results.upserts.times < UPSERT_BAR:
        found.append(f"only {results.upserts.times:.0f} times faster than row by row, less than {UPSERT_BAR}")
    return found


def missed_times(size: Size, name: str) -> list[str]:
    if size.rows != ROWS:
        return []
    floor = size.first.seconds[FLOOR]
    return [
        *beyond(f"{name}: first load", size.first_ratios[name], FIRST_BAR),
        *beyond(f"{name}: unchanged", size.unchanged.seconds[name] / floor, UNCHANGED_BAR),
        *beyond(f"{name}: 1 % changed", size.changed.seconds[name] / floor, CHANGED_BAR),
    ]


def beyond(title: str, figure: float, bar: float) -> list[str]:
    return [f"{title}: {figure:.3f}, more than {bar}"] if figure > bar else []
