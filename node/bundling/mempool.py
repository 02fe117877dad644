"""Hold the actions of this node's own clients until they go out in a bundle.

Rule: an accepted action leaves only inside a bundle; what does not fit is refused at the door,
never
dropped later.
Spec: docs/spec/node.md (Bundles). Deviations: none.
"""

from __future__ import annotations

from collections import deque

from exchange.actions import SignedAction, encode_bundle
from node.limits import (
    BUNDLE_ACTIONS_MAX,
    BUNDLE_BYTES_MAX,
    BUNDLE_FLUSH_BYTES,
    MEMPOOL_ACTIONS_MAX,
    MEMPOOL_BYTES_MAX,
)

ENVELOPE_OVERHEAD_BYTES = 16  # MessagePack headers of one pair, rounded up


class Mempool:
    """First in, first out. Single-threaded."""

    def __init__(self) -> None:
        self._waiting: deque[SignedAction] = deque()
        self._bytes = 0
        self._ids: set[bytes] = set()
        self._id_of: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_worth_sending(self) -> bool:
        """True when a whole bundle is ready, so that waiting longer would gain nothing."""
        return self._bytes >= BUNDLE_FLUSH_BYTES

    def contains(self, action_id: bytes) -> bool:
        """True while the action waits here."""
        return action_id in self._ids

    def add(self, action_id: bytes, action: SignedAction) -> bool:
        """Queue one action; False when the pool is full. The same id twice is queued once."""
        if action_id in self._ids:
            return True
        size = _size_bytes(action)
        if len(self._waiting) >= MEMPOOL_ACTIONS_MAX or self._bytes + size > MEMPOOL_BYTES_MAX:
            return False
        assert size <= BUNDLE_BYTES_MAX, "the API bounds one action far below a bundle"
        self._waiting.append(action)
        self._id_of.append(action_id)
        self._ids.add(action_id)
        self._bytes += size
        return True

    def take_bundle(self) -> tuple[bytes, int] | None:
        """Remove as many actions as fit one bundle; return its bytes and their number, or None."""
        chosen: list[SignedAction] = []
        room = BUNDLE_BYTES_MAX - ENVELOPE_OVERHEAD_BYTES
        while self._waiting and len(chosen) < BUNDLE_ACTIONS_MAX:
            size = _size_bytes(self._waiting[0])
            if size > room:
                break
            room -= size
            self._bytes -= size
            chosen.append(self._waiting.popleft())
            self._ids.discard(self._id_of.popleft())
        assert self._bytes >= 0
        return (encode_bundle(chosen), len(chosen)) if chosen else None


def _size_bytes(action: SignedAction) -> int:
    return len(action.payload) + len(action.signature) + ENVELOPE_OVERHEAD_BYTES
