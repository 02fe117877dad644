"""Compare what the engine said with every truth file of a set.

Rule: nothing here runs before the engine is done. Books are rebuilt from the engine's published
level changes, not from its memory. A missing truth file proves nothing; an altered row is found.

Spec: docs/how-to/replay-order-flow.md
Deviations: none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.orderflow_data import BadDataSet, find_column, find_file, read_rows
from exchange.outcome import Fill

BOOK_FILES: Final = ("bbo", "book10", "book20")
_LEVEL: Final = re.compile(r"(ask|bid)_(px|sz|qty)(?:_e\d+)?(\d*)")
UNNAMED_ORDER: Final = 1 << 62
Levels = dict[int, int]
Column = tuple[str, int, int, bool]
"""(name, side, level from 0, whether it is the price)."""


class Comparison(NamedTuple):
    """Rows of truth, rows met, and rows the engine had beyond the truth."""

    expected: int
    equal: int
    surplus: int

    @property
    def is_met(self) -> bool:
        """Tell whether engine and truth are the same."""
        return self.expected == self.equal and self.surplus == 0


def compare_fills(directory: Path, fills: Mapping[int, Sequence[Fill]]) -> Comparison:
    """Compare the n-th fill of each event: maker, taker (0: not told), price, size."""
    path = find_file(directory, "fills")
    if path is None:
        return Comparison(0, 0, 0)
    expected = equal = 0
    seen = set()
    for row in read_rows(path):
        expected += 1
        try:
            seq, n, maker, taker = (int(row[c]) for c in ("seq", "n", "maker_id", "taker_id"))
            price, size = int(row[find_column(row, "price")]), int(row[find_column(row, "qty")])
        except (KeyError, ValueError) as error:
            raise BadDataSet(f"{path.name}: {error}") from error
        seen.add((seq, n))
        found = fills.get(seq, ())
        if not 0 <= n < len(found):
            continue
        fill = found[n]
        known = fill.taker_order if fill.taker_order < UNNAMED_ORDER else 0
        equal += (fill.maker_order, known, fill.price, fill.size) == (maker, taker, price, size)
    produced = sum(len(found) for found in fills.values())
    return Comparison(expected, equal, abs(produced - len(seen)) + expected - len(seen))


def compare_books(
    directory: Path, sequence: Sequence[int], changes: Mapping[int, Sequence[tuple[int, int, int]]]
) -> Comparison:
    """Compare every row of every book file with the book right after its event."""
    wanted: dict[int, list[tuple[dict[str, str], list[Column]]]] = defaultdict(list)
    expected = 0
    for stem in BOOK_FILES:
        path = find_file(directory, stem)
        if path is None:
            continue
        for row in read_rows(path):
            try:
                seq = int(row["match_seq"] if "match_seq" in row else row["seq"])
            except (KeyError, ValueError) as error:
                raise BadDataSet(f"{path.name}: {error}") from error
            wanted[seq].append((row, _find_columns(row)))
            expected += 1
    equal = 0
    book: tuple[Levels, Levels] = ({}, {})
    for seq in sequence:
        for side, price, size in changes.get(seq, ()):
            if size:
                book[side][price] = size
            else:
                book[side].pop(price, None)
        rows = wanted.get(seq)
        if rows:
            best = (sorted(book[0], reverse=True), sorted(book[1]))
            equal += sum(_is_equal(row, columns, book, best) for row, columns in rows)
    return Comparison(expected, equal, 0)


def _find_columns(row: Mapping[str, str]) -> list[Column]:
    columns = []
    for name in row:
        found = _LEVEL.fullmatch(name)
        if found is not None:
            side, kind, level = found.groups()
            columns.append((name, int(side == "ask"), int(level or 1) - 1, kind == "px"))
    if not columns:
        raise BadDataSet("a book file without levels")
    return columns


def _is_equal(
    row: Mapping[str, str],
    columns: Sequence[Column],
    book: tuple[Levels, Levels],
    best: tuple[list[int], list[int]],
) -> bool:
    """Compare all levels of a row; an empty cell says that there is no such level."""
    for name, side, level, is_price in columns:
        there = level < len(best[side])
        price = best[side][level] if there else 0
        value = (price if is_price else book[side][price]) if there else 0
        try:
            told = int(row[name] or 0)
        except ValueError:
            return False
        if told != value:
            return False
    return True
