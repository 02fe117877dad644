"""Keep one remote address from taking the whole node.

Rule: a token bucket per remote address, in whole milli-tokens; the table is bounded and the address
unseen for longest is forgotten first.
Spec: docs/reference/api.md (Limits). Deviations: none.
"""

from __future__ import annotations

from collections import OrderedDict

from node.api.limits import RATE_BUCKETS_MAX


class RateLimit:
    """Tokens refill at `per_s` up to `burst`. Single-threaded; `now_ms` comes from the caller."""

    def __init__(self, *, per_s: int, burst: int) -> None:
        assert per_s > 0
        assert burst > 0
        self._per_s = per_s  # tokens per second = milli-tokens per millisecond
        self._burst = burst * 1_000
        self._buckets: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def take(self, address: str, tokens: int, now_ms: int) -> bool:
        """Take tokens for an address; False when it has too few, and then none are taken."""
        level, then_ms = self._buckets.pop(address, (self._burst, now_ms))
        level = min(self._burst, level + max(0, now_ms - then_ms) * self._per_s)
        has_enough = level >= tokens * 1_000
        self._buckets[address] = (level - tokens * 1_000 if has_enough else level, now_ms)
        if len(self._buckets) > RATE_BUCKETS_MAX:
            self._buckets.popitem(last=False)
        return has_enough
