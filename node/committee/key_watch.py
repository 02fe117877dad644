"""Look for votes that carry this node's key and that this node has not cast.

Rule: a vote with our signature above the guard's floor that the guard does not know proves that the
key signs elsewhere, or that the guard is older than the key's last vote. Either way nothing more is
signed, and the next start is refused until somebody has looked.
Spec: docs/reference/signing.md (Doppelganger). Deviations: it looks at final blocks and their
certificates only; a vote that never got into one is not seen.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from consensus.block import Block
from consensus.certificate import Certificate
from consensus.guard import Guard, GuardVote, decode_record
from consensus.vote import Vote, digest_of
from node.committee.epoch_book import EpochBook
from node.datadir import write_atomic
from node.limits import OWN_VOTES_KEPT_MAX
from primitives.errors import Doppelganger, InvalidSignature
from primitives.secp256k1 import verify_signature


class KeyWatch:
    """Compares what final blocks prove of our votes with what we remember."""

    def __init__(
        self, guard: Guard, book: EpochBook, address: bytes, domain: bytes, mark: Path
    ) -> None:
        self._book = book
        self._address = address
        self._domain = domain
        self._mark = mark
        # A copy: the guard forgets what its floor passes, before the blocks up there are seen here.
        self._floor = guard.floor
        self._known = OrderedDict(
            ((*place, kind), digest)
            for place, signed in sorted(guard.signed().items())
            for kind, digest in signed.items()
        )

    def on_signed(self, record: bytes) -> None:
        """Remember what this node signs, as it protects itself from signing otherwise."""
        decoded = decode_record(record)
        if not isinstance(decoded, GuardVote):
            return
        self._known[decoded.epoch, decoded.view, decoded.kind] = decoded.digest
        while len(self._known) > OWN_VOTES_KEPT_MAX:
            (epoch, view, _), _ = self._known.popitem(last=False)
            self._floor = max(self._floor, (epoch, view))

    def on_final(self, block: Block, certificate: Certificate | None) -> None:
        """Look at a final block. Raises Doppelganger."""
        for one in (block.body.attendance, certificate):
            me = None if one is None else self._book.index(one.epoch, self._address)
            if one is not None and me is not None and one.has_signer(me):
                self._check(one, me)

    def _check(self, certificate: Certificate, me: int) -> None:
        place = (certificate.epoch, certificate.view)
        if place <= self._floor:
            return  # what was signed there is forgotten
        vote = next(vote for vote in certificate.votes() if vote.signer == me)
        digest = digest_of(vote, self._domain)
        if self._known.get((*place, vote.kind)) == digest:
            return
        if self._is_ours(vote, digest):
            self._stop(vote)

    def _is_ours(self, vote: Vote, digest: bytes) -> bool:
        try:
            verify_signature(digest, vote.signature, self._address)
        except InvalidSignature:
            return False
        return True

    def _stop(self, vote: Vote) -> None:
        words = (
            f"the network holds a {vote.kind.name} vote of epoch {vote.epoch} view {vote.view} "
            "with this key's signature that this node has not cast: the key runs elsewhere, or "
            "this data directory is an old copy"
        )
        try:
            write_atomic(self._mark, words + "\n")
        except OSError as error:
            raise Doppelganger(
                f"{words}; nothing more was signed. {self._mark} could not be written ({error}): "
                "make sure yourself that nothing starts this node again"
            ) from error
        raise Doppelganger(f"{words}; nothing more was signed")


def verify_not_marked(mark: Path) -> None:
    """Raise Doppelganger while an incident has not been looked at."""
    if mark.exists():
        raise Doppelganger(
            f"an earlier run stopped because its key was in use elsewhere ({mark}); stop the other "
            "node for good, run `omnibazaar signing distrust`, then remove that file"
        )
