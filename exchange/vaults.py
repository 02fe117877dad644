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
STALE = 1
"""Frozen because its newest settled checkpoint is too old."""
DOUBTED = 2
"""Frozen because too many validators do not see what was applied last."""
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


class Applied:
    """What a validator needs to tell whether the last applied window is still on the chain."""

    __slots__ = ("changes", "credited", "end_hash", "previous")

    def __init__(self, previous: bytes, credited: int, changes: int, end_hash: bytes) -> None:
        self.previous: bytes = previous
        """Content hash of the one before."""
        self.credited: int = credited
        """Deposits credited before it."""
        self.changes: int = changes
        """Registry changes applied before it."""
        self.end_hash: bytes = end_hash
        """Hash of its last EVM block, as attested."""


class Vault:
    """How far a vault's events are applied, who attests what as the next window, and its move."""

    __slots__ = (
        "before",
        "credited",
        "doubts",
        "frozen",
        "last_hash",
        "move_at_ms",
        "move_round",
        "move_votes",
        "moved_to",
        "next_vault",
        "open_windows",
        "registry_changes",
        "settled_height",
        "settled_ms",
        "settled_votes",
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
        self.before: Applied | None = None
        """What was applied last, and where the vault was before; None if nothing was."""
        self.doubts: set[bytes] = set()
        """Hot keys of validators who do not see on the chain what was applied last."""
        self.settled_height: int = 0
        """Newest checkpoint that the vault is attested to have accepted, by executed height."""
        self.settled_ms: int = 0
        """Block time at which that was known; at first that of the vault's first block."""
        self.settled_votes: dict[bytes, int] = {}
        """The newer height that each validator says."""
        self.frozen: int = 0
        """STALE and DOUBTED, added; 0 if it is not frozen."""
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
