"""Keep what peers already say in the next epoch until I have finished this one.

Rule: bounded per peer and in all, members of this epoch apart from others, so that peers without a
seat cannot take their room; what does not fit is dropped, for it will be said again.
Spec: docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

from consensus.certificate import Certificate
from consensus.evidence import Evidence
from consensus.header import decode_header
from consensus.limits import EARLY_GUESTS_MAX, EARLY_PER_PEER_MAX
from consensus.messages import GetCertificates, Message, Propose, Range, Status
from consensus.vote import Vote


class EarlyMessages:
    """Messages of the next epoch, by sender."""

    def __init__(self) -> None:
        self._kept: dict[bytes, list[Message]] = {}
        self._guests: set[bytes] = set()

    def keep(self, sender: bytes, message: Message, *, is_member: bool) -> None:
        """Keep a message if there is room: of each peer one proposal and a few small ones."""
        if isinstance(message, Range):
            return
        kept = self._kept.get(sender, [])
        if not kept and not is_member and len(self._guests) >= EARLY_GUESTS_MAX:
            return
        is_second = isinstance(message, Propose) and any(isinstance(m, Propose) for m in kept)
        if len(kept) < EARLY_PER_PEER_MAX and not is_second:
            self._kept.setdefault(sender, kept).append(message)
            if not is_member:
                self._guests.add(sender)

    def take(self) -> tuple[tuple[bytes, Message], ...]:
        """Return and forget everything, by sender in the order of their first messages."""
        taken = tuple((sender, one) for sender, kept in self._kept.items() for one in kept)
        self._kept.clear()
        self._guests.clear()
        return taken


def epoch_of(message: Message) -> int | None:
    """Return the epoch that a message belongs to; None for one that is good in every epoch.

    Raises PeerError.
    """
    if isinstance(message, Vote | Certificate | GetCertificates | Status):
        return message.epoch
    if isinstance(message, Propose):
        return decode_header(message.block.header).epoch
    if isinstance(message, Range):
        return message.finalization.epoch
    return message.first.epoch if isinstance(message, Evidence) else None
