"""Sum up the best of a book in 32 bits, for clients that keep a copy.

Rule: CRC-32 (IEEE 802.3, as in zlib) over ASCII text that every language can write; a book that
differs anywhere near the top has another sum.
Spec: docs/spec/market-data.md#checksums
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, zip_longest
from typing import Final
from zlib import crc32

LEVELS: Final = 25
"""Levels (or orders) of each side that are summed up."""


def sum_levels(bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]) -> int:
    """Sum up (price, size) of the best levels: "bid:size:ask:size:bid:size…", from the best."""
    parts = []
    for pair in zip_longest(islice(bids, LEVELS), islice(asks, LEVELS)):
        parts += [f"{level[0]}:{level[1]}" for level in pair if level is not None]
    return crc32(":".join(parts).encode())


def sum_orders(bids: Iterable[tuple[int, int, int]], asks: Iterable[tuple[int, int, int]]) -> int:
    """Sum up (order, price, size) of the first orders of each side, in order of priority."""
    parts = []
    for pair in zip_longest(islice(bids, LEVELS), islice(asks, LEVELS)):
        parts += [f"{order[0]}:{order[1]}:{order[2]}" for order in pair if order is not None]
    return crc32(":".join(parts).encode())
