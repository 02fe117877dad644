"""The Double Ratchet of one conversation: every message has its own key, used once and deleted.

Rule: a state is a value; encrypting or decrypting returns a new one, and a message that fails
leaves the old one as it was.
Spec: Signal, "The Double Ratchet Algorithm" (2016) §3; docs/spec/chat.md (Direct messages).
Deviations: header keys are not used, so nodes see the counters; gaps are bounded (limits.py).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from chat.curve import Entropy, agree, compute_public, decrypt, derive, encrypt, step_chain
from chat.limits import KEY_BYTES, SKIPPED_PER_SESSION_MAX, SKIPPED_PER_STEP_MAX
from chat.payload import Key
from primitives.codec import encode
from primitives.errors import InvalidMessage, LimitExceeded

Counter = Annotated[int, Meta(ge=0, lt=1 << 31)]


class Header(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What the receiver needs to find the key of a message; authenticated, not encrypted."""

    ratchet: Key  # the sender's current ratchet key
    previous: Counter  # messages in the sender's chain before this one
    number: Counter  # of the message in its chain


class Skipped(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The key of a message that has not arrived yet."""

    ratchet: Key
    number: Counter
    message_key: Key


class Ratchet(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One side of a conversation. Secret."""

    root: Key
    secret: Key  # of our current ratchet key
    remote: bytes  # the other side's ratchet key; empty before their first message
    sending: bytes  # chain key; empty before we know where to send
    receiving: bytes  # chain key; empty before their first message
    sent: Counter = 0
    received: Counter = 0
    previous: Counter = 0
    skipped: tuple[Skipped, ...] = ()  # oldest first


def start_sending(shared: bytes, remote: bytes, entropy: Entropy) -> Ratchet:
    """Begin as the one who writes first, to the other side's prekey."""
    secret = entropy(KEY_BYTES)
    root, sending = _step_root(shared, agree(secret, remote))
    return Ratchet(root, secret, remote, sending, b"")


def start_receiving(shared: bytes, prekey_secret: bytes) -> Ratchet:
    """Begin as the one who was written to at a prekey."""
    return Ratchet(shared, prekey_secret, b"", b"", b"")


def encrypt_message(
    state: Ratchet, text: bytes, associated: bytes
) -> tuple[Ratchet, Header, bytes]:
    """Encrypt the next message. `associated` is authenticated along with the header."""
    assert state.sending, "the one who was written to answers after the first message"
    sending, message_key = step_chain(state.sending)
    header = Header(compute_public(state.secret), state.previous, state.sent)
    sealed = encrypt(message_key, text, associated + encode(header))
    return msgspec.structs.replace(state, sending=sending, sent=state.sent + 1), header, sealed


def decrypt_message(
    state: Ratchet, header: Header, sealed: bytes, associated: bytes, entropy: Entropy
) -> tuple[Ratchet, bytes]:
    """Decrypt a message in any order, once. Raises InvalidMessage or LimitExceeded."""
    associated += encode(header)
    for item in state.skipped:
        if (item.ratchet, item.number) == (header.ratchet, header.number):
            text = decrypt(item.message_key, sealed, associated)
            rest = tuple(other for other in state.skipped if other is not item)
            return msgspec.structs.replace(state, skipped=rest), text
    if header.ratchet != state.remote:
        state = _skip(state, header.previous)
        state = _turn(state, header.ratchet, entropy)
    elif header.number < state.received:
        raise InvalidMessage("the message was decrypted before, or its key was dropped")
    state = _skip(state, header.number)
    receiving, message_key = step_chain(state.receiving)
    text = decrypt(message_key, sealed, associated)
    after = msgspec.structs.replace(state, receiving=receiving, received=state.received + 1)
    return after, text


def _skip(state: Ratchet, until: int) -> Ratchet:
    """Keep the keys of messages up to `until` that have not arrived."""
    if not state.receiving or until <= state.received:
        return state
    if until - state.received > SKIPPED_PER_STEP_MAX:
        raise LimitExceeded(f"a gap of {until - state.received} messages")
    chain, kept = state.receiving, list(state.skipped)
    for number in range(state.received, until):
        chain, message_key = step_chain(chain)
        kept.append(Skipped(state.remote, number, message_key))
    return msgspec.structs.replace(
        state,
        receiving=chain,
        received=until,
        skipped=tuple(kept[-SKIPPED_PER_SESSION_MAX:]),
    )


def _turn(state: Ratchet, remote: bytes, entropy: Entropy) -> Ratchet:
    """The other side has a new ratchet key: derive its chain, then make a key and chain of ours."""
    root, receiving = _step_root(state.root, agree(state.secret, remote))
    secret = entropy(KEY_BYTES)
    root, sending = _step_root(root, agree(secret, remote))
    return msgspec.structs.replace(
        state,
        root=root,
        secret=secret,
        remote=remote,
        sending=sending,
        receiving=receiving,
        sent=0,
        received=0,
        previous=state.sent,
    )


def _step_root(root: bytes, shared: bytes) -> tuple[bytes, bytes]:
    """Return (new root key, chain key)."""
    material = derive(shared, root, b"OmniBazaar chat ratchet 1", 2 * KEY_BYTES)
    return material[:KEY_BYTES], material[KEY_BYTES:]
