"""How far each vault's events are applied, and who attests what next.

Rule: this file holds a vault's cursor and names the content of a window; `attestation.py` moves the
cursor.
Spec: docs/spec/exchange.md#deposits
Deviations: none.
"""

from __future__ import annotations

import msgspec

from exchange.operations import Attest
from primitives.keccak import keccak256

_encoder = msgspec.msgpack.Encoder()


class Vault:
    """How far a vault's events are applied, and who attests what as the next window."""

    __slots__ = ("credited", "last_hash", "votes", "window")

    def __init__(self) -> None:
        self.credited: int = 0
        """Deposits credited: the id of the next one."""
        self.window: int = 0
        """Index of the last applied window."""
        self.last_hash: bytes = bytes(32)
        """Content hash of the last applied attestation."""
        self.votes: dict[bytes, bytes] = {}
        """Content hash attested by each validator for the next window."""


def compute_window_hash(attest: Attest) -> bytes:
    """Compute the content hash that validators agree on and the next attestation refers to."""
    return keccak256(_encoder.encode(attest))
