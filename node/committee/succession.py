"""Answer who comes after a border, from the scores that this node has computed.

Rule: answers come from executed final blocks alone, so every node that knows one knows the same.
Spec: docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

from consensus.committee import Committee
from node.committee.epoch_book import EpochBook
from node.replica.ledger import Ledger


class ScoredSuccession:
    """What consensus asks about epochs (`consensus.application.Succession`)."""

    def __init__(self, ledger: Ledger, book: EpochBook) -> None:
        self._ledger = ledger
        self._book = book

    def next_committee(self, border: int) -> Committee | None:
        """Return the committee after the border; None while its selection is not executed here."""
        keeper = self._ledger.scorekeeper
        assert keeper is not None, "a node keeps scores"
        return keeper.committee_after(border)

    def hash_at(self, height: int) -> bytes | None:
        """Return the hash of the block that seeds the next epoch; None until it is executed."""
        anchor = self._book.current.anchor
        if height == anchor.height:
            return anchor.hash
        keeper = self._ledger.scorekeeper
        assert keeper is not None, "a node keeps scores"
        state = keeper.participation
        return state.seed_hash if state.seed_height == height else None
