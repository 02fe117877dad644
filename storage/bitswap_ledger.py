"""Remember what one peer wants and what it must still be told.

Rule: a peer's wants are bounded (the oldest give way); a want is answered with its block once, and
stays only while we lack it. This file does not know how answers travel.
Spec: docs/spec/storage.md#bitswap
Deviations: wants are served in the order in which they came; priorities are ignored.
"""

from __future__ import annotations

from collections import deque

from storage import limits
from storage.bitswap_wire import Entry, Message


class PeerLedger:
    """The wants of one peer."""

    def __init__(self) -> None:
        self._wants: dict[bytes, Entry] = {}
        self._due: deque[bytes] = deque(maxlen=limits.WANTS_PER_PEER_MAX)

    def __len__(self) -> int:
        return len(self._wants)

    def on_message(self, message: Message) -> None:
        """Take in a wantlist."""
        if message.full:
            self._wants.clear()
            self._due.clear()
        for entry in message.entries:
            self._wants.pop(entry.cid, None)
            if not entry.cancel:
                self._wants[entry.cid] = entry
                self._due.append(entry.cid)
        while len(self._wants) > limits.WANTS_PER_PEER_MAX:
            del self._wants[next(iter(self._wants))]

    def on_new_block(self, cid: bytes) -> bool:
        """Tell whether the peer waits for a block that has just come; it is then due."""
        if cid not in self._wants:
            return False
        self._due.append(cid)
        return True

    @property
    def has_work(self) -> bool:
        return bool(self._due)

    def take(self) -> Entry | None:
        """Return the next want to look up; None = nothing is due."""
        while self._due:
            entry = self._wants.get(self._due.popleft())
            if entry is not None:
                return entry
        return None

    def on_answered(self, entry: Entry) -> None:
        """The peer has been told; the want is done."""
        if self._wants.get(entry.cid) == entry:
            del self._wants[entry.cid]
