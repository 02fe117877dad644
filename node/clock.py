"""Tell the time that goes into blocks, without ever running backwards.

Rule: time follows the wall clock but never steps back: when the wall clock was set back, time runs
at half speed until both meet, so timers go on and block times ascend. Jumps are reported.
Spec: docs/spec/node.md (Clock). Deviations: who comes back from the future alone begins anew
(ADR 0365).
"""

from __future__ import annotations

import time
from collections.abc import Callable

JUMP_MS = 500  # the wall clock was set, not disciplined, when it moves by more than this


class NodeClock:
    """Integer milliseconds since the Unix epoch, monotonic within the process."""

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._seen_ns = monotonic_ns()
        self._offset_ns = wall_ns() - self._seen_ns
        self._target_ns = self._offset_ns

    def now_ms(self) -> int:
        """Return the time; never less than an earlier answer."""
        now_ns = self._monotonic_ns()
        elapsed_ns = now_ns - self._seen_ns
        self._seen_ns = now_ns
        self._offset_ns = max(self._target_ns, self._offset_ns - elapsed_ns // 2)
        return (now_ns + self._offset_ns) // 1_000_000

    @property
    def ahead_ms(self) -> int:
        """By how much the time last told is ahead of the wall clock, since that was set back."""
        return (self._offset_ns - self._target_ns) // 1_000_000

    def follow_wall(self) -> int:
        """Compare with the wall clock and follow it; return a jump in milliseconds, 0 for none."""
        wall_offset_ns = self._wall_ns() - self._monotonic_ns()
        moved_ms = abs(wall_offset_ns - self._target_ns) // 1_000_000
        is_back = wall_offset_ns < self._target_ns
        self._target_ns = wall_offset_ns
        if moved_ms <= JUMP_MS:
            return 0
        return -moved_ms if is_back else moved_ms
