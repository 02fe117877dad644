"""X25519, HKDF and XChaCha20-Poly1305 as the rest of this room uses them.

Rule: secrets and randomness come in as arguments; a bad key or ciphertext is an InvalidMessage.
Spec: RFC 7748, RFC 5869, draft-irtf-cfrg-xchacha; docs/spec/chat.md (Direct messages).
Deviations: none.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from nacl import bindings
from nacl.exceptions import CryptoError

from chat.limits import KEY_BYTES
from primitives.errors import InvalidMessage

Entropy = Callable[[int], bytes]
"""Return that many bytes nobody can guess: `secrets.token_bytes`."""

NONCE_BYTES: Final = 24
PAD_BYTES: Final = 64  # a ciphertext tells the length of its text only to within this


def compute_public(secret: bytes) -> bytes:
    """Return the public key of a secret of 32 bytes."""
    public: bytes = bindings.crypto_scalarmult_base(secret)
    return public


def agree(secret: bytes, public: bytes) -> bytes:
    """Return the shared secret of two keys. Raises InvalidMessage for a key of small order."""
    try:
        shared: bytes = bindings.crypto_scalarmult(secret, public)
    except (RuntimeError, CryptoError) as error:
        raise InvalidMessage("not a usable X25519 key") from error
    return shared


def derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Derive up to 255 × 32 bytes (HKDF with SHA-256)."""
    key = hmac.digest(salt or bytes(32), secret, hashlib.sha256)
    output, block = b"", b""
    counter = 1
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes([counter]), hashlib.sha256)
        output += block
        counter += 1
    return output[:length]


def step_chain(chain: bytes) -> tuple[bytes, bytes]:
    """Return (next chain key, message key); neither tells the chain key before it."""
    return hmac.digest(chain, b"\x02", hashlib.sha256), hmac.digest(chain, b"\x01", hashlib.sha256)


def encrypt(message_key: bytes, text: bytes, associated: bytes) -> bytes:
    """Encrypt with a key that is used once; the text is padded to a multiple of 64 bytes."""
    key, nonce = _split(message_key)
    padded = bindings.sodium_pad(text, PAD_BYTES)
    sealed: bytes = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        padded, associated, nonce, key
    )
    return sealed


def decrypt(message_key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Decrypt and check. Raises InvalidMessage."""
    key, nonce = _split(message_key)
    try:
        padded = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, associated, nonce, key)
        text: bytes = bindings.sodium_unpad(padded, PAD_BYTES)
    except (CryptoError, ValueError, RuntimeError) as error:
        raise InvalidMessage("the message cannot be decrypted") from error
    return text


def _split(message_key: bytes) -> tuple[bytes, bytes]:
    material = derive(message_key, b"", b"OmniBazaar chat message 1", KEY_BYTES + NONCE_BYTES)
    return material[:KEY_BYTES], material[KEY_BYTES:]
