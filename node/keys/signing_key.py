"""Sign and check votes with secp256k1.

Rule: the secret key never leaves this process's memory, and consensus sees only these two objects.
Spec: docs/spec/wire-consensus.md (Vote). Deviations: none.
"""

from __future__ import annotations

from primitives.secp256k1 import PrivateKey, verify_signature


class KeySigner:
    """`consensus.signing.Signer` and `p2p.handshake.Signer` over a private key."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    @property
    def address(self) -> bytes:
        """The 20-byte address of the key."""
        return self._key.address

    def sign(self, digest: bytes) -> bytes:
        """Return 65 bytes over a 32-byte digest."""
        return self._key.sign(digest)


class KeyVerifier:
    """`consensus.signing.Verifier`."""

    def verify(self, digest: bytes, signature: bytes, address: bytes) -> None:
        """Return when `address` signed `digest`. Raises InvalidSignature."""
        verify_signature(digest, signature, address)
