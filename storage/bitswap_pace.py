"""Slow down who sends more than our time is worth.

Rule: what a peer may cost is a rate over all its streams; who exceeds it is not read for a while,
and its own transport makes it wait. Nobody else waits.
Spec: docs/spec/storage.md#bitswap
Deviations: none.
"""

from __future__ import annotations

import trio

from storage.bitswap_want import Peer


class Pace:
    """When each peer may be read again."""

    def __init__(self, *, per_s: int, at_once: int) -> None:
        self._per_s = per_s
        self._ahead_s = at_once / per_s
        self._paid_until: dict[Peer, float] = {}  # time up to which a peer has used its rate

    async def spend(self, peer: Peer, cost: int) -> None:
        """Charge a peer; wait while it is ahead of its rate."""
        now = trio.current_time()
        paid = max(now, self._paid_until.get(peer, now)) + cost / self._per_s
        self._paid_until[peer] = paid
        await trio.sleep(max(0.0, paid - now - self._ahead_s))

    def sweep(self) -> None:
        """Forget the peers that owe nothing."""
        now = trio.current_time()
        self._paid_until = {one: paid for one, paid in self._paid_until.items() if paid > now}
