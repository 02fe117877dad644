"""Read recorded order flow and turn it into what accounts of ours would send.

Rule: times, prices and sizes are the recording's; only the owners are invented, by the order's id.
What
would cross goes sealed, everything else post-only.
Spec: docs/reference/devnet.md (Replay). Deviations: FORCED and HIDDEN rows have no counterpart
here.
"""

from __future__ import annotations

import csv
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from exchange.actions import BUY, SELL
from primitives.errors import OperatorError

ACCOUNTS = 8
NS_PER_MS = 1_000_000
LOTS_DIVISOR = {"qty_e8": 1_000}  # recorded units per lot, by the name of the column
KINDS = ("SEED", "LIMIT", "IOC", "REDUCE", "CANCEL", "AMEND")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One row of the recording in our units."""

    time_ms: int
    kind: str
    order_id: int
    account: int  # 0 … ACCOUNTS - 1
    side: int
    price: int  # ticks, the recording's own price units
    size: int  # lots; of a REDUCE what is taken away, of a CANCEL what was left


def read_recording(folder: Path) -> Iterator[Recorded]:
    """Yield the events in order. Raises OperatorError when the folder holds none."""
    with _open(folder) as file:
        rows = csv.reader(file)
        header = next(rows, None)
        if header is None or header[2:4] != ["op", "order_id"] or len(header) < 7:
            raise OperatorError(
                f"{folder} holds no recorded orders",
                code="DEV010",
                fix="see docs/how-to/replay-order-flow.md",
            )
        per_ms = NS_PER_MS if header[1].endswith("_ns") else 1
        divisor = LOTS_DIVISOR.get(header[6], 1)
        for row in rows:
            if row[2] not in KINDS:
                continue
            order_id = int(row[3])
            yield Recorded(
                time_ms=int(row[1]) // per_ms,
                kind=row[2],
                order_id=order_id,
                account=order_id % ACCOUNTS,
                side=BUY if row[4] == "B" else SELL,
                price=int(row[5]),
                size=max(1, int(row[6]) // divisor),
            )


def _open(folder: Path) -> TextIO:
    packed, plain = folder / "events.csv.xz", folder / "events.csv"
    try:
        if packed.is_file():
            return lzma.open(packed, "rt", newline="")
        return plain.open(newline="")
    except OSError as error:
        raise OperatorError(
            f"the recording in {folder} cannot be read: {error}",
            code="DEV010",
            fix="see docs/how-to/replay-order-flow.md",
        ) from None


class ReplayBook:
    """The best prices of the recorded orders, so that a crossing one is known as such."""

    def __init__(self) -> None:
        self._orders: dict[int, Recorded] = {}
        self._sizes: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def is_crossing(self, event: Recorded) -> bool:
        """True when the order would trade at once."""
        other = self._sizes[1 - event.side]
        if not other:
            return False
        return event.price >= min(other) if event.side == BUY else event.price <= max(other)

    def rest(self, event: Recorded) -> None:
        """Note a resting order."""
        self._orders[event.order_id] = event
        sizes = self._sizes[event.side]
        sizes[event.price] = sizes.get(event.price, 0) + 1

    def remove(self, order_id: int) -> Recorded | None:
        """Forget an order; return it if it rested."""
        event = self._orders.pop(order_id, None)
        if event is not None:
            sizes = self._sizes[event.side]
            sizes[event.price] -= 1
            if not sizes[event.price]:
                del sizes[event.price]
        return event
