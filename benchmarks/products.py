"""Files of products: the same numbers give the same bytes."""

import random
from dataclasses import dataclass
from pathlib import Path

COLUMNS = "id, name, price, category"
# As order-food has it, with its key and its check, so that all write the same.
TABLE = """CREATE TABLE products (
    id varchar(50) PRIMARY KEY,
    name varchar(255) NOT NULL,
    price numeric(10, 2) NOT NULL CHECK (price >= 0),
    category varchar(100),
    created_at timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamptz DEFAULT CURRENT_TIMESTAMP
)"""
KINDS = ["Salad", "Pizza", "Waffle", "Burger", "Pancakes", "Soup", "Curry", "Noodles", "Sandwich"]
# One row in so many has another price in a changed file.
CHANGED = 100


@dataclass(frozen=True)
class Products:
    """A directory with one file, as the loader takes it, and what the table holds when it is loaded."""

    directory: Path
    rows: int
    # The sum of all prices.
    prices: str

    @property
    def file(self) -> Path:
        return self.directory / "products.csv"


def row(number: int, is_changed: bool) -> tuple[str, int]:
    """A line, and its price in cents."""
    kind = KINDS[number % len(KINDS)]
    cents = 100 + number * 7919 % 9900 + (10_000 if is_changed else 0)
    return f"{number:08},New {kind} {number},{cents // 100}.{cents % 100:02},{kind}\n", cents


def write(directory: Path, rows: int, *, changed: bool = False, shuffled: bool = False) -> Products:
    """Writes the file; shuffled, its rows are in random order."""
    directory.mkdir(parents=True)
    numbers: range | list[int] = range(rows)
    if shuffled:
        numbers = list(numbers)
        random.Random(rows).shuffle(numbers)
    total = 0
    with (directory / "products.csv").open("w") as file:
        file.write("id,name,price,category\n")
        for number in numbers:
            line, cents = row(number, changed and number % CHANGED == CHANGED // 2)
            file.write(line)
            total += cents
    return Products(directory, rows, f"{total // 100}.{total % 100:02}")
