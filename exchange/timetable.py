"""Things that fall due at a time of the block clock, earliest first.

Rule: one time per key; adding and forgetting cost the same however many wait, up to a memory move;
nothing due is ever looked for by a walk.
Spec: docs/spec/orders.md#time
Deviations: none.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final


class Timetable:
    """Keys (order ids, sub-accounts) by due time in milliseconds."""

    __slots__ = ("due", "queue")

    def __init__(self) -> None:
        self.due: Final[dict[int, int]] = {}
        """Due time by key."""
        self.queue: Final[list[tuple[int, int]]] = []
        """(-time, -key), ascending: what is due first is last."""

    def put(self, key: int, time_ms: int) -> None:
        """Set the time of a key, in place of an earlier one."""
        self.forget(key)
        self.due[key] = time_ms
        insort(self.queue, (-time_ms, -key))

    def forget(self, key: int) -> None:
        """Take a key out if it is there."""
        time_ms = self.due.pop(key, 0)
        if time_ms:
            del self.queue[bisect_left(self.queue, (-time_ms, -key))]

    def take(self, now_ms: int, count: int) -> list[int]:
        """Take out at most `count` keys due by now, earliest first, then smallest key first."""
        taken: list[int] = []
        queue = self.queue
        while queue and -queue[-1][0] <= now_ms and len(taken) < count:
            key = -queue.pop()[1]
            del self.due[key]
            taken.append(key)
        return taken

    def list_all(self) -> tuple[tuple[int, int], ...]:
        """List (key, time) by key."""
        return tuple(sorted(self.due.items()))
