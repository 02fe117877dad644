"""Keep one remote address, or one account, from taking the whole node.

Rule: a token bucket per key, in whole milli-tokens; the table is bounded and the key unseen for
longest is forgotten first.
Spec: docs/reference/api.md (Limits). Deviations: none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from node.api.limits import RATE_BUCKETS_MAX


class RateLimit:
    """Tokens refill at `per_s` up to `burst`. Single-threaded; `now_ms` comes from the caller."""

    def __init__(self, *, per_s: int, burst: int) -> None:
        assert per_s > 0
        assert burst > 0
        self._per_s = per_s  # tokens per second = milli-tokens per millisecond
        self._burst = burst * 1_000
        self._buckets: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()

    def take(self, key: Hashable, tokens: int, now_ms: int) -> bool:
        """Take tokens for a key; False when it has too few, and then none are taken."""
        level, then_ms = self._buckets.pop(key, (self._burst, now_ms))
        level = min(self._burst, level + max(0, now_ms - then_ms) * self._per_s)
        has_enough = level >= tokens * 1_000
        self._buckets[key] = (level - tokens * 1_000 if has_enough else level, now_ms)
        self._forget_oldest()
        return has_enough

    def owe(self, key: Hashable, tokens: int, now_ms: int) -> None:
        """Take tokens that are not there yet, a whole burst at most: they refill before others."""
        level, then_ms = self._buckets.pop(key, (self._burst, now_ms))
        level = min(self._burst, level + max(0, now_ms - then_ms) * self._per_s)
        self._buckets[key] = (max(level - tokens * 1_000, -self._burst), now_ms)
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        if len(self._buckets) > RATE_BUCKETS_MAX:
            self._buckets.popitem(last=False)
