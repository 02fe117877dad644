"""Prove to each other, on every lane, which validator stands behind a libp2p peer id.

Rule: both sides sign the same transcript with their side in it, so a proof can be neither replayed,
relayed nor reflected. This file does no input or output; nonces come in as arguments.

    initiator                                   responder
        Hello(version, network, lane, address, nonce)  →
        ←  Welcome(version, network, address, nonce, signature)   or Refused(reason, text)
        Proof(signature)  →                                       or Refused(reason, text)
        ←  Accepted()                                             or Refused(reason, text)

Signed (EIP-712, domain of the network): both nonces, both peer ids as the secured transport names
them, both validator addresses, the lane, and the side of the signer.

Spec: docs/spec/p2p.md §4 (Handshake).
Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, NoReturn, Protocol

import msgspec

from p2p.errors import (
    BY_REASON,
    HandshakeError,
    ImpostorKey,
    NotAdmitted,
    OtherNetwork,
    OtherVersion,
    UnknownPeer,
)
from p2p.lanes import Lane
from primitives import codec
from primitives.eip712 import StructType, network_domain, typed_digest
from primitives.errors import InvalidMessage, InvalidSignature
from primitives.secp256k1 import verify_signature

VERSION: Final = 1
NONCE_BYTES: Final = 32
MESSAGE_BYTES_MAX: Final = 1024

_INITIATOR: Final = 0
_RESPONDER: Final = 1
_TEXT_MAX: Final = 200
_PROOF: Final = StructType(
    "PeerProof(uint8 version,uint8 side,uint8 lane,address initiator,address responder,"
    "bytes initiatorPeer,bytes responderPeer,bytes32 initiatorNonce,bytes32 responderNonce)"
)


class Signer(Protocol):
    """The hot key of a validator."""

    @property
    def address(self) -> bytes:
        """20 bytes."""
        ...

    def sign(self, digest: bytes) -> bytes:
        """Return 65 bytes over a 32-byte digest."""
        ...


class Hello(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """Open a lane."""

    version: int
    network_id: bytes
    lane: int
    address: bytes
    nonce: bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Answer with a proof."""

    version: int
    network_id: bytes
    address: bytes
    nonce: bytes
    signature: bytes


class Proof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """The initiator's proof."""

    signature: bytes


class Accepted(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """The lane is open."""


class Refused(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """The lane stays closed."""

    reason: int
    text: str


_Any = Hello | Welcome | Proof | Accepted | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who we are: network, validator key and transport identity."""

    network_id: bytes
    signer: Signer
    peer_id: bytes

    def domain(self) -> bytes:
        """Return the EIP-712 domain separator of our network."""
        return network_domain(self.network_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Whom we expect: the validator that the configuration binds to this peer id."""

    address: bytes
    peer_id: bytes


def decode_hello(data: bytes, network_id: bytes) -> Hello:
    """Return a hello of our network, before we know who the peer is.

    Raises OtherNetwork, OtherVersion and InvalidMessage.
    """
    message = _decode(data)
    if not isinstance(message, Hello):
        _raise_refusal(message)
    _check_network(message.version, message.network_id, network_id)
    return message


def encode_refusal(error: HandshakeError) -> bytes:
    """Return what to tell the peer before closing."""
    return codec.encode(Refused(int(error.reason), str(error)[:_TEXT_MAX]))


class _Side:
    """What both sides share. Values of a subclass are used once."""

    _side: ClassVar[int]

    def __init__(self, *, us: Identity, remote: Remote, lane: Lane, nonce: bytes) -> None:
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes")
        self._us = us
        self._remote = remote
        self._lane = lane
        self._nonce = nonce
        self._remote_nonce = b""

    def _digest(self, signer_side: int) -> bytes:
        """Return what the given side signs."""
        ours = (self._us.signer.address, self._us.peer_id, self._nonce)
        theirs = (self._remote.address, self._remote.peer_id, self._remote_nonce)
        first, second = (ours, theirs) if self._side == _INITIATOR else (theirs, ours)
        struct = _PROOF.hash(
            VERSION, signer_side, int(self._lane), first[0], second[0], first[1], second[1],
            first[2], second[2],
        )  # fmt: skip
        return typed_digest(self._us.domain(), struct)

    def _check(self, *, version: int, network_id: bytes, address: bytes, nonce: bytes) -> None:
        _check_network(version, network_id, self._us.network_id)
        if address != self._remote.address:
            raise UnknownPeer(
                f"the peer claims validator 0x{address[:20].hex()}, "
                f"its peer id belongs to 0x{self._remote.address.hex()}"
            )
        if len(nonce) != NONCE_BYTES or nonce == self._nonce:
            raise ImpostorKey("a nonce of the wrong size, or ours sent back")
        self._remote_nonce = nonce

    def _verify(self, signature: bytes) -> None:
        other = _RESPONDER if self._side == _INITIATOR else _INITIATOR
        try:
            verify_signature(self._digest(other), signature, self._remote.address)
        except InvalidSignature as error:
            raise ImpostorKey(
                f"the peer cannot sign for validator 0x{self._remote.address.hex()}"
            ) from error


class Initiator(_Side):
    """The side that opens a lane and will write on it."""

    _side = _INITIATOR

    def hello(self) -> bytes:
        """Return the first message."""
        us = self._us
        hello = Hello(VERSION, us.network_id, int(self._lane), us.signer.address, self._nonce)
        return codec.encode(hello)

    def on_welcome(self, data: bytes) -> bytes:
        """Verify the responder and return our proof. Raises HandshakeError and InvalidMessage."""
        message = _decode(data)
        if not isinstance(message, Welcome):
            _raise_refusal(message)
        self._check(
            version=message.version,
            network_id=message.network_id,
            address=message.address,
            nonce=message.nonce,
        )
        self._verify(message.signature)
        return codec.encode(Proof(self._us.signer.sign(self._digest(_INITIATOR))))

    def on_verdict(self, data: bytes) -> None:
        """Return when the lane is open. Raises HandshakeError and InvalidMessage."""
        message = _decode(data)
        if not isinstance(message, Accepted):
            _raise_refusal(message)


class Responder(_Side):
    """The side that will read from the lane."""

    _side = _RESPONDER

    def on_hello(self, message: Hello) -> bytes:
        """Return our welcome. Raises HandshakeError."""
        if message.lane != self._lane:
            raise OtherVersion(f"lane {message.lane} on the stream of lane {int(self._lane)}")
        self._check(
            version=message.version,
            network_id=message.network_id,
            address=message.address,
            nonce=message.nonce,
        )
        us = self._us
        signature = us.signer.sign(self._digest(_RESPONDER))
        return codec.encode(
            Welcome(VERSION, us.network_id, us.signer.address, self._nonce, signature)
        )

    def on_proof(self, data: bytes) -> bytes:
        """Verify the initiator and return the verdict. Raises HandshakeError and InvalidMessage."""
        message = _decode(data)
        if not isinstance(message, Proof):
            _raise_refusal(message)
        self._verify(message.signature)
        return codec.encode(Accepted())


def _check_network(version: int, theirs: bytes, ours: bytes) -> None:
    if version != VERSION:
        raise OtherVersion(f"handshake version {version}, ours is {VERSION}")
    if theirs != ours:
        raise OtherNetwork(
            f"the peer is on network 0x{theirs[:32].hex()}, we are on 0x{ours.hex()}"
        )


def _decode(data: bytes) -> _Any:
    schema: Any = _Any
    message: _Any = codec.decode(data, schema, max_bytes=MESSAGE_BYTES_MAX)
    return message


def _raise_refusal(message: _Any) -> NoReturn:
    if isinstance(message, Refused):
        kind = BY_REASON.get(message.reason, NotAdmitted)
        raise kind(message.text[:_TEXT_MAX], told=True)
    raise InvalidMessage(f"{type(message).__name__} out of turn")
