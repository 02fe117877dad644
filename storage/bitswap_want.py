"""Decide whom to ask for one block, and whom next.

Rule: pure; the order of the candidates is the caller's. One peer is asked at a time; another one
joins when an answer is late and takes over at once when it is no; when all have said no the want
fails without waiting.
Spec: docs/spec/storage.md#bitswap
Deviations: none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable

Peer = Hashable


class Want:
    """One block, asked of one peer after the other."""

    def __init__(self, candidates: Iterable[Peer]) -> None:
        self._candidates = deque(dict.fromkeys(candidates))
        self._asked: set[Peer] = set()

    @property
    def asked(self) -> frozenset[Peer]:
        """Peers that were asked and have not said no."""
        return frozenset(self._asked)

    @property
    def has_failed(self) -> bool:
        """True when nobody is left to ask or to wait for."""
        return not self._asked and not self._candidates

    def ask_next(self) -> Peer | None:
        """Return the next peer to ask; None = all have been asked."""
        if not self._candidates:
            return None
        peer = self._candidates.popleft()
        self._asked.add(peer)
        return peer

    def on_answer(self, peer: Peer) -> None:
        """The peer has sent the block: no cancel is due to it."""
        self._asked.discard(peer)

    def on_refusal(self, peer: Peer) -> Peer | None:
        """The peer has not got it, or is gone; return whom to ask instead, if anybody."""
        if peer not in self._asked:
            return None
        self._asked.remove(peer)
        return None if self._asked else self.ask_next()
