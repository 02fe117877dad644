"""Name the two seams through which votes are signed and checked.

Rule: this room knows digests, addresses and signatures, never a secret key.
Spec: docs/spec/wire-consensus.md (Vote). Deviations: none.
"""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """Sign with the validator's hot key."""

    def sign(self, digest: bytes) -> bytes:
        """Return the 65-byte signature (r ‖ s ‖ v) of a 32-byte digest."""
        ...


class Verifier(Protocol):
    """Check a member's signature."""

    def verify(self, digest: bytes, signature: bytes, address: bytes) -> None:
        """Return when `address` signed `digest`. Raises InvalidSignature."""
        ...
