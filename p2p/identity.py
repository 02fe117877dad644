"""Derive the libp2p identity of a node from a 32-byte seed, without loading libp2p.

Rule: the peer id is the name of the Ed25519 key of the transport; it says nothing about stake. The
validator key (secp256k1) is proven separately (`p2p/handshake.py`).

Spec: docs/spec/p2p.md §2 (Identity); libp2p peer-ids specification (identity multihash, base58btc).
Deviations: only Ed25519 keys.
"""

from __future__ import annotations

from typing import Final

from nacl.signing import SigningKey

from primitives.errors import InvalidMessage

SEED_BYTES: Final = 32
PEER_ID_BYTES: Final = 38

# Identity multihash of 36 bytes: protobuf PublicKey{Type: Ed25519, Data: 32 bytes}.
_PREFIX: Final = bytes.fromhex("002408011220")
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_TEXT_MAX: Final = 64


def peer_id_from_seed(seed: bytes) -> str:
    """Return the peer id (base58, `12D3KooW…`) of the key that `seed` generates."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes")
    return peer_id_from_public_key(bytes(SigningKey(seed).verify_key))


def peer_id_from_public_key(public_key: bytes) -> str:
    """Return the peer id of a 32-byte Ed25519 public key."""
    if len(public_key) != SEED_BYTES:
        raise ValueError("an Ed25519 public key has 32 bytes")
    return _encode_base58(_PREFIX + public_key)


def decode_peer_id(text: str) -> bytes:
    """Return the 38 bytes of an Ed25519 peer id. Raises InvalidMessage."""
    if len(text) > _TEXT_MAX:
        raise InvalidMessage("a peer id that is too long")
    number = 0
    for character in text:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise InvalidMessage(f"not a peer id: {text!r}")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) != PEER_ID_BYTES or not data.startswith(_PREFIX):
        raise InvalidMessage(f"not the peer id of an Ed25519 key: {text!r}")
    return data


def _encode_base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits
