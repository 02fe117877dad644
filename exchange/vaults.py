"""How far each vault's events are applied, who attests what next, and where its assets move.

Rule: this file holds a vault's cursor and names the content of a window; `attestation.py` moves the
cursor, `migration.py` the assets.
Spec: docs/spec/exchange.md#deposits, #vault-moves
Deviations: none.
"""

from __future__ import annotations

import msgspec

from exchange.operations import Attest
from primitives.keccak import keccak256

_encoder = msgspec.msgpack.Encoder()
NOWHERE = bytes(20)
"""No vault: nothing is planned, or nothing has moved."""


class OpenWindow:
    """An applied window and who attested its content so far."""

    __slots__ = ("attesters", "height", "window")

    def __init__(self, window: int, height: int, attesters: set[bytes]) -> None:
        self.window: int = window
        self.height: int = height
        """Height at which it was applied."""
        self.attesters: set[bytes] = attesters


class Vault:
    """How far a vault's events are applied, who attests what as the next window, and its move."""

    __slots__ = (
        "credited",
        "last_hash",
        "move_at_ms",
        "move_round",
        "move_votes",
        "moved_to",
        "next_vault",
        "open_windows",
        "registry_changes",
        "votes",
        "window",
    )

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
        self.next_vault: bytes = NOWHERE
        """Where the assets move, as decided; NOWHERE if nothing is decided."""
        self.move_at_ms: int = 0
        """They move at the first checkpoint height at or after this block time."""
        self.moved_to: bytes = NOWHERE
        """Where the assets are since they moved."""
        self.move_round: int = 0
        """Decisions about a move so far."""
        self.move_votes: dict[bytes, tuple[bytes, int]] = {}
        """(vault, time) that each validator wants, by hot key, in this round."""


class Retired:
    """An asset's account with a vault that it has left, closed for ever."""

    __slots__ = ("asset", "chain_id", "fees", "height", "owed", "token", "vault")

    def __init__(
        self,
        *,
        asset: int,
        chain_id: int,
        vault: bytes,
        token: bytes,
        height: int,
        fees: int,
        owed: int,
    ) -> None:
        self.asset: int = asset
        self.chain_id: int = chain_id
        self.vault: bytes = vault
        self.token: bytes = token
        self.height: int = height
        """Height at which it left."""
        self.fees: int = fees
        """Cumulative fees charged while the asset was there; its treasuries' shares stay there."""
        self.owed: int = owed
        """Atoms that accounts had then: what the next vault must be funded with."""


def compute_window_hash(attest: Attest) -> bytes:
    """Compute the content hash that validators agree on and the next attestation refers to."""
    return keccak256(_encoder.encode(attest))
