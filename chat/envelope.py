"""Sign payloads and verify them: everything between bytes and a `Verified` message.

Rule: nothing else in this room trusts an author's name; hostile bytes end as a PeerError.
Spec: docs/spec/chat.md (Signatures). Deviations: none.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import Struct

from chat import limits
from chat.payload import (
    AnyPayload,
    Delegation,
    DirectMessage,
    PrekeyBundle,
    RoomMessage,
    Signature,
    decode_payload,
)
from primitives.codec import decode, encode
from primitives.eip712 import StructType, typed_digest
from primitives.errors import InvalidMessage, InvalidSignature, LimitExceeded
from primitives.secp256k1 import PrivateKey, recover_address

_CHAT: Final = StructType("Chat(bytes payload)")
_CHAT_KEY: Final = StructType("ChatKey(address account,address key,uint64 expiry)")
_ALLOWED: Final = frozenset("\n\t\u200c\u200d")
"""Line feed, tab, and the joiners that scripts and emoji are made with."""
_REFUSED: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Control and format characters (bidirectional overrides among them), surrogates, separators."""


class Unproven(InvalidSignature):
    """Signed by a key that the ledger here does not know, or not any more: nobody is to blame."""


class Directory(Protocol):
    """What the node knows about accounts; the answers may come from its ledger."""

    def speaks_for(self, account: bytes, key: bytes, time_ms: int) -> bool:
        """Tell whether `key` was a session key of `account` at `time_ms`."""
        ...

    def admits(self, account: bytes) -> bool:
        """Tell whether messages of `account` are taken at all."""
        ...

    def knows(self, account: bytes) -> bool:
        """Tell whether `account` has something to lose: addresses cost nothing, accounts do."""
        ...


class OpenDirectory:
    """Everybody may write, and only with their own key."""

    def speaks_for(self, account: bytes, key: bytes, time_ms: int) -> bool:
        """Know no session keys."""
        return False

    def admits(self, account: bytes) -> bool:
        """Admit everybody."""
        return True

    def knows(self, account: bytes) -> bool:
        """Know everybody."""
        return True


class Envelope(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A payload's exact bytes and the signature over them."""

    payload: bytes
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A message whose author is proven."""

    id: bytes  # 32 bytes, the digest that was signed
    payload: AnyPayload
    envelope: Envelope
    signer: bytes  # the author, or the key that wrote for it


def compute_id(domain: bytes, payload: bytes) -> bytes:
    """Compute what a chat signature signs; its type keeps it apart from actions and votes."""
    return typed_digest(domain, _CHAT.hash(payload))


def compute_delegation_digest(domain: bytes, account: bytes, key: bytes, expiry_ms: int) -> bytes:
    """Compute what a wallet signs once to let `key` write for it (EIP-712 `ChatKey`)."""
    return typed_digest(domain, _CHAT_KEY.hash(account, key, expiry_ms))


def delegate(wallet: PrivateKey, key: bytes, expiry_ms: int, domain: bytes) -> Delegation:
    """Let another key write for this wallet until `expiry_ms`."""
    digest = compute_delegation_digest(domain, wallet.address, key, expiry_ms)
    return Delegation(expiry_ms, wallet.sign(digest))


def sign(payload: AnyPayload, key: PrivateKey) -> Envelope:
    """Sign a payload with the author's own key or one that may write for it."""
    data = encode(payload)
    return Envelope(data, key.sign(compute_id(payload.domain, data)))


def encode_envelope(envelope: Envelope) -> bytes:
    """Return the bytes that go over gossip."""
    return encode(envelope)


def decode_envelope(data: bytes) -> Envelope:
    """Read an envelope. Raises InvalidMessage or LimitExceeded."""
    return decode(data, Envelope, max_bytes=limits.ENVELOPE_BYTES_MAX)


def verify(envelope: Envelope, domain: bytes, directory: Directory) -> Verified:
    """Prove the author of a message. Raises PeerError.

    A key speaks for an account if it is the account's own, carries the wallet's delegation, or is a
    session key that the directory knows.
    """
    payload = decode_payload(envelope.payload)
    if payload.domain != domain:
        raise InvalidMessage("a chat message of another network")
    verify_content(payload)
    message_id = compute_id(domain, envelope.payload)
    signer = recover_address(message_id, envelope.signature)
    if signer != payload.author:
        verify_speaker(payload, signer, directory)
    if not directory.admits(payload.author):
        raise InvalidMessage("this account may not write yet")
    return Verified(id=message_id, payload=payload, envelope=envelope, signer=signer)


def verify_speaker(payload: AnyPayload, signer: bytes, directory: Directory) -> None:
    """Raise InvalidSignature unless `signer` may write for the author."""
    delegation = payload.delegation
    if delegation is None:
        if not directory.speaks_for(payload.author, signer, payload.time_ms):
            raise Unproven("signed by a key that does not speak for the author")
        return
    life_ms = delegation.expiry_ms - payload.time_ms
    if not 0 <= life_ms <= limits.DELEGATION_MS_MAX:
        raise InvalidSignature("the delegation has expired or lasts too long")
    digest = compute_delegation_digest(payload.domain, payload.author, signer, delegation.expiry_ms)
    if recover_address(digest, delegation.signature) != payload.author:
        raise InvalidSignature("the delegation is not signed by the author's wallet")


def verify_content(payload: AnyPayload) -> None:
    """Raise PeerError unless the fields fit each other."""
    if isinstance(payload, RoomMessage):
        verify_text(payload.text)
        ahead_ms = payload.lamport - payload.time_ms
        if not 0 <= ahead_ms <= limits.LAMPORT_AHEAD_MS_MAX:
            raise InvalidMessage("the Lamport time does not fit the clock time")
    elif isinstance(payload, PrekeyBundle):
        life_ms = payload.expiry_ms - payload.time_ms
        if not 0 < life_ms <= limits.PREKEY_LIFETIME_MS_MAX:
            raise InvalidMessage("a prekey bundle lives up to 60 days")
    else:
        assert isinstance(payload, DirectMessage), "a fourth payload needs a rule of its own"


def verify_text(text: str) -> None:
    """Raise PeerError for text a terminal or page should not be shown."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidMessage("the text is no Unicode") from error
    if size > limits.TEXT_BYTES_MAX:
        raise LimitExceeded(f"a text has at most {limits.TEXT_BYTES_MAX} bytes")
    if not text.strip():
        raise InvalidMessage("an empty text")
    for character in text:
        if character not in _ALLOWED and unicodedata.category(character) in _REFUSED:
            raise InvalidMessage("the text holds control characters")
