"""Tell the time that goes into blocks, without ever running backwards.

Rule: time is the wall clock at the start plus what a monotonic clock has counted since; a jump of
the wall
clock is noticed, reported and then followed, never passed on as a step back.
Spec: docs/spec/node.md (Clock). Deviations: none.
"""

from __future__ import annotations

import time

JUMP_MS = 500  # a difference between wall and monotonic clock beyond this is a jump


class NodeClock:
    """Integer milliseconds since the Unix epoch, monotonic within the process."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._last_ms = 0

    def now_ms(self) -> int:
        """Return the time; never less than an earlier answer."""
        now = (time.monotonic_ns() + self._offset_ns) // 1_000_000
        self._last_ms = max(self._last_ms, now)
        return self._last_ms

    def follow_wall(self) -> int:
        """Compare with the wall clock; return a jump in milliseconds (0 = none) after adopting
        it.
        """
        offset_ns = time.time_ns() - time.monotonic_ns()
        jump_ms = (offset_ns - self._offset_ns) // 1_000_000
        if abs(jump_ms) <= JUMP_MS:
            return 0
        self._offset_ns = offset_ns
        return jump_ms
