"""Remember who misbehaved, and for how long we do not talk to them.

Rule: a ban needs a proof that only this peer could have produced (bytes on its own authenticated
connection, or its signature); doubt costs a pause, and pauses grow and are forgotten with time.

Spec: docs/spec/p2p.md §6 (Scores).
Deviations: none.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from p2p.limits import BAN_MS, COMPLAINTS_MAX, COOL_MS, OFFENCE_HALF_LIFE_MS, SCORE_PEERS_MAX


@dataclass(slots=True, kw_only=True)
class Record:
    """What one peer did."""

    offences: int = 0
    complaints: int = 0
    complaints_since_ms: int = 0
    last_ms: int = 0
    until_ms: int = 0
    reason: str = ""


class Scores:
    """Offences by peer id, bounded in number; the longest untouched is forgotten first."""

    __slots__ = ("_records", "bans_total", "offences_total")

    def __init__(self) -> None:
        self._records: OrderedDict[str, Record] = OrderedDict()
        self.offences_total = 0
        self.bans_total = 0

    def on_offence(self, peer_id: str, reason: str, *, now_ms: int) -> int:
        """Note an offence; return the milliseconds during which we do not talk to the peer."""
        record = self._touch(peer_id)
        forgiven = (now_ms - record.last_ms) // OFFENCE_HALF_LIFE_MS if record.last_ms else 0
        record.offences = max(0, record.offences - forgiven) + 1
        pause_ms = min(COOL_MS << min(record.offences - 1, 16), BAN_MS)
        record.last_ms, record.reason = now_ms, reason
        record.until_ms = max(record.until_ms, now_ms + pause_ms)
        self.offences_total += 1
        return pause_ms

    def on_complaint(self, peer_id: str, reason: str, *, now_ms: int) -> int:
        """Note a message that the application refused; it may be late rather than evil.

        Only the one after COMPLAINTS_MAX within a half-life is an offence. Returns the pause.
        """
        record = self._touch(peer_id)
        if now_ms - record.complaints_since_ms > OFFENCE_HALF_LIFE_MS:
            record.complaints, record.complaints_since_ms = 0, now_ms
        record.complaints += 1
        if record.complaints <= COMPLAINTS_MAX:
            return 0
        record.complaints = 0
        return self.on_offence(peer_id, reason, now_ms=now_ms)

    def ban(self, peer_id: str, reason: str, *, now_ms: int, ban_ms: int = BAN_MS) -> None:
        """Do not talk to a peer whose misbehaviour is proven."""
        record = self._touch(peer_id)
        record.offences += 1
        record.last_ms, record.reason = now_ms, reason
        record.until_ms = max(record.until_ms, now_ms + ban_ms)
        self.bans_total += 1

    def forgive(self, peer_id: str) -> None:
        """Forget what a peer did (an operator's decision)."""
        self._records.pop(peer_id, None)

    def is_shunned(self, peer_id: str, *, now_ms: int) -> bool:
        """Tell whether we refuse to talk to this peer now."""
        record = self._records.get(peer_id)
        return record is not None and now_ms < record.until_ms

    def get(self, peer_id: str) -> Record | None:
        """Return what is known of a peer."""
        return self._records.get(peer_id)

    def _touch(self, peer_id: str) -> Record:
        record = self._records.setdefault(peer_id, Record())
        self._records.move_to_end(peer_id)
        while len(self._records) > SCORE_PEERS_MAX:
            self._records.popitem(last=False)
        return record
