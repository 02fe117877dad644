"""Bound what comparing histories costs: by peer, and for all peers together.

Rule: a frame is paid for before it is answered; what cannot be paid is dropped without blame, and
the next comparison, half a minute later, asks again. Integers only, time comes in as an argument.
Spec: docs/spec/chat.md (History). Deviations: none.
"""

from __future__ import annotations

from collections import OrderedDict

from chat import limits
from chat.sync import AnyFrame, Feeds, Hours, Want


def cost_of(frame: AnyFrame) -> int:
    """Return what a frame costs, in thousandths of a second of a slow machine, roughly."""
    if isinstance(frame, Feeds):
        return 8 + len(frame.digests) // 8
    if isinstance(frame, Hours):
        return 4 + len(frame.digests) // 64
    if isinstance(frame, Want):
        return 4
    return 1 + len(frame.envelopes) // 4


class FrameRate:
    """A bucket per peer and one for all."""

    def __init__(self) -> None:
        self._of_peers: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._of_all = (limits.SYNC_COST_BURST_OF_ALL * 1_000, 0)

    def take(self, peer: bytes, cost: int, now_ms: int) -> bool:
        """Pay for a frame of a peer; False when the peer, or all together, cost too much."""
        own = self._of_peers.get(peer, (limits.SYNC_COST_BURST * 1_000, now_ms))
        own = _refill(own, now_ms, limits.SYNC_COST_PER_S, limits.SYNC_COST_BURST)
        every = _refill(
            self._of_all, now_ms, limits.SYNC_COST_PER_S_OF_ALL, limits.SYNC_COST_BURST_OF_ALL
        )
        is_paid = min(own[0], every[0]) >= cost * 1_000
        price = cost * 1_000 if is_paid else 0
        self._of_peers[peer] = (own[0] - price, now_ms)
        self._of_peers.move_to_end(peer)
        if len(self._of_peers) > limits.SYNC_PEERS_MAX:
            self._of_peers.popitem(last=False)
        self._of_all = (every[0] - price, now_ms)
        return is_paid


def _refill(level: tuple[int, int], now_ms: int, per_s: int, burst: int) -> tuple[int, int]:
    left_m, last_ms = level
    return min(burst * 1_000, left_m + max(0, now_ms - last_ms) * per_s), now_ms
