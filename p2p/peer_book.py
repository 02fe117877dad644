"""Keep the list of peers over restarts.

Rule: the file is a hint, never a truth: a damaged, foreign or oversized one is set aside and the
node starts from its configuration. Written whole, to a temporary file, then renamed.

Spec: docs/spec/p2p.md §2 (Peer book).
Deviations: none.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from p2p.identity import decode_peer_id
from p2p.limits import (
    ADDRESSES_PER_PEER_MAX,
    MULTIADDR_CHARS_MAX,
    PEER_BOOK_BYTES_MAX,
    PEER_BOOK_MAX,
)
from primitives.errors import NodeError

FORMAT = 1


class BookEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One peer as it was last seen."""

    peer_id: str
    multiaddrs: list[str]
    last_seen_ms: int


class _Book(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    network_id: str
    peers: list[BookEntry]


class PeerBook:
    """Addresses of peers by peer id, bounded, the longest unseen dropped first."""

    def __init__(self, path: Path | None, *, network_id: bytes) -> None:
        self._path = path
        self._network = network_id.hex()
        self._peers: dict[str, BookEntry] = {}
        self._dirty = False
        if path is not None:
            self._load(path)

    def addresses(self, peer_id: str) -> tuple[str, ...]:
        """Return where the peer was last reached."""
        entry = self._peers.get(peer_id)
        return tuple(entry.multiaddrs) if entry else ()

    def entries(self) -> tuple[BookEntry, ...]:
        """Return all peers, the most recently seen first."""
        return tuple(sorted(self._peers.values(), key=lambda e: -e.last_seen_ms))

    def on_seen(self, peer_id: str, multiaddrs: tuple[str, ...], *, now_ms: int) -> None:
        """Note that a peer was reached at these addresses."""
        kept = [a for a in multiaddrs if len(a) <= MULTIADDR_CHARS_MAX][:ADDRESSES_PER_PEER_MAX]
        entry = BookEntry(peer_id=peer_id, multiaddrs=kept, last_seen_ms=now_ms)
        self._peers[peer_id] = entry
        while len(self._peers) > PEER_BOOK_MAX:
            del self._peers[min(self._peers.values(), key=lambda e: e.last_seen_ms).peer_id]
        self._dirty = True

    def save(self) -> bool:
        """Write the file when something changed; False when the disk refused (the node goes on)."""
        if self._path is None or not self._dirty:
            return True
        book = _Book(format=FORMAT, network_id=self._network, peers=list(self.entries()))
        temporary = self._path.with_suffix(".tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(book)))
            os.replace(temporary, self._path)
        except OSError:
            return False
        self._dirty = False
        return True

    def _load(self, path: Path) -> None:
        try:
            if path.stat().st_size > PEER_BOOK_BYTES_MAX:
                raise ValueError("too large")
            book = msgspec.json.decode(path.read_bytes(), type=_Book)
            if book.format != FORMAT or book.network_id != self._network:
                raise ValueError("another format or network")
            for entry in book.peers[:PEER_BOOK_MAX]:
                decode_peer_id(entry.peer_id)
                self._peers[entry.peer_id] = entry
        except FileNotFoundError:
            return
        except (OSError, ValueError, msgspec.MsgspecError, NodeError):
            self._peers.clear()
            with contextlib.suppress(OSError):
                os.replace(path, path.with_suffix(".damaged"))
