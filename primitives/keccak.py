"""Hash with Keccak-256, as Ethereum does.

Rule: no other file of the project chooses a Keccak implementation.
Spec: https://keccak.team (the original padding, not SHA3-256); docs/adr/0001-dependencies.md.
Deviations: none.
"""

from __future__ import annotations

import sha3

_keccak_256 = sha3.keccak_256


def keccak256(data: bytes | bytearray) -> bytes:
    """Return the 32-byte digest."""
    digest: bytes = _keccak_256(data).digest()
    return digest
