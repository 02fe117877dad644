"""Let each peer do so much per second, and a burst at once.

Rule: integers only, no clock: the caller says what time it is.
Spec: docs/spec/p2p.md §7 (Limits).
Deviations: none.
"""

from __future__ import annotations

from collections import OrderedDict

from p2p.limits import SCORE_PEERS_MAX


class RateLimit:
    """A token bucket per peer, bounded in number; the longest unused is forgotten first."""

    __slots__ = ("_buckets", "_burst", "_per_s")

    def __init__(self, *, per_s: int, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def take(self, peer_id: str, *, now_ms: int) -> bool:
        """Use one token of the peer; False when there is none."""
        level_m = self._level_m(peer_id, now_ms)
        allowed = level_m >= 1000
        self._put(peer_id, level_m - 1000 if allowed else level_m, now_ms)
        return allowed

    def charge(self, peer_id: str, tokens: int, *, now_ms: int) -> int:
        """Use tokens of the peer, on credit if need be; return how long to wait, milliseconds."""
        level_m = self._level_m(peer_id, now_ms) - tokens * 1000
        self._put(peer_id, level_m, now_ms)
        return max(0, -level_m) // self._per_s

    def _level_m(self, peer_id: str, now_ms: int) -> int:
        level_m, last_ms = self._buckets.get(peer_id, (self._burst * 1000, now_ms))
        return min(self._burst * 1000, level_m + max(0, now_ms - last_ms) * self._per_s)

    def _put(self, peer_id: str, level_m: int, now_ms: int) -> None:
        self._buckets[peer_id] = (level_m, now_ms)
        self._buckets.move_to_end(peer_id)
        while len(self._buckets) > SCORE_PEERS_MAX:
            self._buckets.popitem(last=False)
