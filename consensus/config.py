"""Hold the parameters of one consensus instance.

Rule: everything here is equal on all replicas of an epoch; durations are base values in
milliseconds.
Spec: docs/spec/consensus.md (Parameters). Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.block import Tip
from consensus.limits import CHECKPOINT_LAG, CLOCK_DRIFT_MAX_MS, TIMEOUT_CAP_MS

HASH_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient a replica is. Defaults suit home networks; a devnet scales them down."""

    gap_ms: int = 1_000  # least time between a block and its child
    leader_ms: int = 2_000  # wait for a proposal
    view_ms: int = 3_000  # wait for a view's certificate
    retry_ms: int = 2_000  # repeat my nullify vote; also the period of statuses
    standstill_ms: int = 5_000  # without finality, repeat what others may lack
    fetch_ms: int = 500  # ask again
    drift_ms: int = CLOCK_DRIFT_MAX_MS  # how far a block's time may be ahead of my clock

    def __post_init__(self) -> None:
        periods = (self.leader_ms, self.view_ms, self.retry_ms, self.standstill_ms, self.fetch_ms)
        if not all(1 <= period <= TIMEOUT_CAP_MS for period in periods):
            raise ValueError(f"timers lie between 1 and {TIMEOUT_CAP_MS} ms")
        if not 0 <= self.gap_ms <= self.leader_ms // 2:
            raise ValueError("the block gap is at most half the leader timer")
        if self.view_ms < self.leader_ms:
            raise ValueError("the view timer is not shorter than the leader timer")

    @property
    def idle_gap_ms(self) -> int:
        """The gap of a chain without work: half the leader timer, so that nobody gives up."""
        return self.leader_ms // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One epoch's instance: which chain, where it starts, how fast it runs."""

    domain: bytes  # EIP-712 domain separator of the network
    epoch: int
    anchor: Tip  # genesis or the last block of the previous epoch, as view 0 of this one
    seed: bytes  # shuffles the leader slots
    checkpoint_interval: int  # heights
    timing: Timing
    border: int | None = None  # the last height of the epoch; None for an epoch without end

    def __post_init__(self) -> None:
        if len(self.domain) != HASH_BYTES or len(self.seed) != HASH_BYTES:
            raise ValueError("the domain separator and the seed have 32 bytes")
        if self.epoch < 1 or self.checkpoint_interval < 1 or self.anchor.view != 0:
            raise ValueError("epochs and intervals start at 1, an epoch's anchor is its view 0")
        if self.border is not None and self.border <= self.anchor.height:
            raise ValueError("an epoch has at least one height")

    def is_border(self, height: int) -> bool:
        """True for the height of the boundary block, which names the next committee."""
        return height == self.border

    def child_height(self, parent_height: int) -> int:
        """Return the height of a child; seal blocks repeat that of the boundary block."""
        return parent_height if self.is_border(parent_height) else parent_height + 1

    def checkpoint_of(self, height: int) -> int | None:
        """Return the checkpoint height whose digest the header at `height` carries, if any."""
        checkpoint = height - CHECKPOINT_LAG
        is_due = checkpoint >= self.checkpoint_interval and not (
            checkpoint % self.checkpoint_interval
        )
        return checkpoint if is_due else None
