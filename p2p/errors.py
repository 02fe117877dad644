"""Name what can go wrong between two peers.

Rule: a peer's fault is a PeerError with a stable `reason`; nothing here stops the node.

    PeerError
    └── HandshakeError             the lane was not opened; `reason` is one of Refusal
        ├── OtherNetwork           the peer signs for another network
        ├── UnknownPeer            the peer is no validator we know by this peer id
        ├── ImpostorKey            the proof of the validator key does not verify
        ├── OtherVersion           no common version of the handshake
        └── NotAdmitted            we, or they, do not talk now (blocked, banned, full)
    TransientError
    └── Unreachable                no connection to the peer at the moment

Spec: docs/spec/p2p.md §4 (Handshake).
Deviations: none.
"""

from __future__ import annotations

from enum import IntEnum

from primitives.errors import PeerError, TransientError


class Refusal(IntEnum):
    """Why a lane was not opened, as it stands on the wire."""

    OTHER_NETWORK = 1
    UNKNOWN_PEER = 2
    IMPOSTOR_KEY = 3
    OTHER_VERSION = 4
    NOT_ADMITTED = 5


class HandshakeError(PeerError):
    """The lane was not opened. `told` is true when the peer said so and false when we found out."""

    reason = Refusal.NOT_ADMITTED

    def __init__(self, message: str, *, told: bool = False) -> None:
        super().__init__(message)
        self.told = told


class OtherNetwork(HandshakeError):
    """The peer is on another network."""

    reason = Refusal.OTHER_NETWORK


class UnknownPeer(HandshakeError):
    """The peer is no validator we know by this peer id."""

    reason = Refusal.UNKNOWN_PEER


class ImpostorKey(HandshakeError):
    """The proof of the validator key does not verify."""

    reason = Refusal.IMPOSTOR_KEY


class OtherVersion(HandshakeError):
    """No common version of the handshake."""

    reason = Refusal.OTHER_VERSION


class NotAdmitted(HandshakeError):
    """One of us does not talk to the other now."""

    reason = Refusal.NOT_ADMITTED


class Unreachable(TransientError):
    """No connection to the peer at the moment."""


BY_REASON: dict[int, type[HandshakeError]] = {
    kind.reason: kind
    for kind in (OtherNetwork, UnknownPeer, ImpostorKey, OtherVersion, NotAdmitted)
}
