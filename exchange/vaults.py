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


class OpenWindow:
    """An applied window and who attested its content so far."""

    __slots__ = ("attesters", "height", "window")

    def __init__(self, window: int, height: int, attesters: set[bytes]) -> None:
        self.window: int = window
        self.height: int = height
        """Height at which it was applied."""
        self.attesters: set[bytes] = attesters


class Vault:
    """How far a vault's events are applied, and who attests what as the next window."""

    __slots__ = ("credited", "last_hash", "open_windows", "registry_changes", "votes", "window")

    def __init__(self) -> None:
        self.credited: int = 0
        """Deposits credited: the id of the next one."""
        self.window: int = 0
        """Index of the last applied window."""
        self.last_hash: bytes = bytes(32)
        """Content hash of the last applied attestation."""
        self.votes: dict[bytes, bytes] = {}
        """Content hash attested by each validator for the next window."""
        self.registry_changes: int = 0
        """Changes of the chain's validator registry applied: the number of the next one."""
        self.open_windows: dict[bytes, OpenWindow] = {}
        """Applied windows by content hash, oldest first, while late attestations still count."""


def compute_window_hash(attest: Attest) -> bytes:
    """Compute the content hash that validators agree on and the next attestation refers to."""
    return keccak256(_encoder.encode(attest))
