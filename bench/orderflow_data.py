"""Read the events of a recorded order-flow set.

Rule: this file reads `events.csv` and nothing else; it never opens a truth file.
Spec: docs/how-to/replay-order-flow.md
Deviations: none.
"""

from __future__ import annotations

import csv
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

OPS: Final = frozenset(("SEED", "LIMIT", "IOC", "REDUCE", "CANCEL", "AMEND", "FORCED", "HIDDEN"))


class BadDataSet(Exception):
    """The folder holds no usable set."""


class Event(NamedTuple):
    """One row of the flow; side 0 is buy, 1 sell."""

    seq: int
    op: str
    order_id: int
    side: int
    price: int
    size: int


def find_file(directory: Path, stem: str) -> Path | None:
    """Return `stem.csv` or `stem.csv.xz`, whichever is there."""
    for name in (f"{stem}.csv", f"{stem}.csv.xz"):
        if (directory / name).is_file():
            return directory / name
    return None


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, compressed or not, by column name. Raises BadDataSet."""
    try:
        with lzma.open(path, "rt", newline="") if path.suffix == ".xz" else path.open() as file:
            for row in csv.DictReader(file):
                if None in row or None in row.values():
                    raise BadDataSet(f"{path.name}: a row with another number of columns")
                yield row
    except (lzma.LZMAError, UnicodeDecodeError, EOFError) as error:
        raise BadDataSet(f"{path.name}: {error}") from error


def find_column(row: dict[str, str], name: str) -> str:
    """Return the column called `name`, with or without a scale such as `_e4`. Raises BadDataSet."""
    for column in row:
        if column == name or column.startswith(f"{name}_e"):
            return column
    raise BadDataSet(f"no column {name}")


def read_events(directory: Path) -> list[Event]:
    """Read the whole flow. Raises BadDataSet if there is none or a row makes no sense."""
    path = find_file(directory, "events")
    if path is None:
        raise BadDataSet(f"{directory} has no events.csv or events.csv.xz")
    events = []
    for row in read_rows(path):
        price = row[find_column(row, "price")]
        size = row[find_column(row, "qty")]
        events.append(_parse_event(row, price, size))
    if not events:
        raise BadDataSet("the set is empty")
    return events


def _parse_event(row: dict[str, str], price: str, size: str) -> Event:
    op = row.get("op", "")
    side = row.get("side", "")
    if op not in OPS or (side not in ("B", "S") and op != "HIDDEN"):
        raise BadDataSet(f"unknown operation or side: {op} {side}")
    try:
        return Event(
            int(row["seq"]),
            op,
            int(row["order_id"] or 0),
            1 if side == "S" else 0,
            int(price or 0),
            int(size or 0),
        )
    except (KeyError, ValueError) as error:
        raise BadDataSet(f"not an event: {error}") from error
