"""Sign votes in the simulator: a fast keyed hash in most seeds, real secp256k1 in some.

Rule: both fit the seams in `consensus/signing.py`, so the replica cannot tell them apart.
Spec: docs/spec/consensus.md (How it is proven). Deviations: a keyed hash can be forged by whoever
knows the key table; the simulated adversary uses only its own keys.
"""

from __future__ import annotations

import hashlib

from primitives.errors import InvalidSignature
from primitives.secp256k1 import PrivateKey, verify_signature


class FastKey:
    """A keyed hash in the shape of a signature."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self.address = hashlib.blake2b(secret, digest_size=20).digest()

    def sign(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self.secret, digest_size=64).digest() + b"\x1b"


class FastVerifier:
    """Check keyed hashes by making them again."""

    def __init__(self, keys: list[FastKey]) -> None:
        self._keys = {key.address: key for key in keys}

    def verify(self, digest: bytes, signature: bytes, address: bytes) -> None:
        if self._keys[address].sign(digest) != signature:
            raise InvalidSignature("not signed by this key")


class RealVerifier:
    """Check secp256k1 signatures."""

    def verify(self, digest: bytes, signature: bytes, address: bytes) -> None:
        verify_signature(digest, signature, address)


def make_keys(seed: int, count: int, *, is_real: bool):
    """Return the members' keys and the verifier that belongs to them."""
    secrets = [hashlib.sha256(b"key %d %d" % (seed, index)).digest() for index in range(count)]
    if is_real:
        return [PrivateKey(secret) for secret in secrets], RealVerifier()
    keys = [FastKey(secret) for secret in secrets]
    return keys, FastVerifier(keys)
