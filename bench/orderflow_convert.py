"""Write a vendor's market-by-order recording as a set of `bench.orderflow`.

Rule: a fill becomes an immediate order that must meet the very order the venue names, and the
cancel that books it is left out; the vendor's ten levels become the truth. They are only rewritten
here, not used.

Spec: docs/how-to/replay-order-flow.md
Deviations: order counts per level are not compared; a row of levels that no event has the time,
sequence, action, side and price of is left out (12 of 3,928 in the recording at hand).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

from bench.orderflow_data import BadDataSet, read_rows

EVENT_COLUMNS: Final = ("seq", "op", "order_id", "side", "price", "qty")
FILL_COLUMNS: Final = ("seq", "n", "maker_id", "taker_id", "price", "qty")
DEPTH: Final = 10
MESSAGES: Final = "mbo.csv.xz"
LEVELS: Final = "mbp10.csv.xz"
Row = tuple[object, ...]
Key = tuple[str, ...]


def is_market_by_order(directory: Path) -> bool:
    """Tell whether a folder holds a recording that has to be converted."""
    return (directory / MESSAGES).is_file()


def convert(directory: Path, target: Path) -> Path:
    """Write the recording as a set below `target`. Raises BadDataSet."""
    try:
        events, fills, books = _convert_market_by_order(directory)
    except (KeyError, ValueError, ArithmeticError) as error:
        raise BadDataSet(f"{directory.name}: {error!r}") from error
    if not books:
        raise BadDataSet(f"{directory.name}: no levels to compare with")
    return _write(target / directory.name, events, fills, books)


def _write(folder: Path, events: list[Row], fills: list[Row], books: list[Row]) -> Path:
    folder.mkdir(parents=True)
    depth = (len(books[0]) - 1) // 4
    columns = ["seq"]
    for level in range(1, depth + 1):
        columns += [f"{s}_{k}{level}" for s in ("ask", "bid") for k in ("px", "sz")]
    for name, head, rows in (
        ("events", EVENT_COLUMNS, events),
        ("fills", FILL_COLUMNS, fills),
        ("book10", columns, books),
    ):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([head, *rows])
    return folder


def _convert_market_by_order(directory: Path) -> tuple[list[Row], list[Row], list[Row]]:
    """Adds, cancels and fills of single orders; the vendor's ten levels are the truth."""
    events: list[Row] = []
    fills: list[Row] = []
    last: dict[Key, int] = {}
    booked: set[tuple[str, str]] = set()
    left: dict[str, int] = {}
    for seq, row in enumerate(read_rows(directory / MESSAGES), 1):
        order_id, size, price = row["order_id"], int(row["size"]), _scale(row["price"])
        side = "B" if row["side"] == "B" else "S"
        if row["action"] == "A":
            left[order_id] = size
            events.append((seq, "LIMIT", order_id, side, price, size))
        elif row["action"] == "F" and order_id in left:
            events.append((seq, "IOC", 0, "S" if side == "B" else "B", price, size))
            fills.append((seq, 0, order_id, 0, price, size))
            booked.add((order_id, row["sequence"]))
            left[order_id] -= size
        elif row["action"] == "C" and (order_id, row["sequence"]) in booked:
            booked.remove((order_id, row["sequence"]))
        elif row["action"] == "C":
            op = "CANCEL" if size == left[order_id] else "REDUCE"
            left[order_id] -= size
            events.append((seq, op, order_id, side, price, size))
        if events:
            last[_get_key(row)] = int(str(events[-1][0]))
    return events, fills, list(_read_market_by_price(directory, last))


def _read_market_by_price(directory: Path, last: dict[Key, int]) -> Iterator[Row]:
    for row in read_rows(directory / LEVELS):
        seq = last.get(_get_key(row))
        if seq is not None:
            cells: list[object] = [seq]
            for level in range(DEPTH):
                for side in ("ask", "bid"):
                    cells.append(_scale(row[f"{side}_px_{level:02}"]))
                    cells.append(int(row[f"{side}_sz_{level:02}"]))
            yield tuple(cells)


def _scale(price: str) -> int:
    return int(Decimal(price or 0) * 10_000)


def _get_key(row: Mapping[str, str]) -> Key:
    return row["ts_event"], row["sequence"], row["action"], row["side"], str(_scale(row["price"]))
