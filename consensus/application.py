"""Name what consensus asks of the state machine and the stores around it.

Rule: consensus orders blocks without knowing what they mean; every question is answered from
memory, at once, without waiting for disk or network.
Spec: docs/spec/consensus.md (Application). Deviations: none.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from consensus.block import Block
from consensus.committee import Committee


class Verdict(enum.Enum):
    """What may be said of a proposal: vote for it, give up the view, or wait."""

    VALID = "valid"
    INVALID = "invalid"
    NOT_YET = "not yet"


@dataclass(frozen=True, slots=True)
class Roots:
    """The two roots a header states of an executed height."""

    state: bytes
    fees: bytes


class Application(Protocol):
    """The execution engine, its bundle pool and its block store, as consensus sees them."""

    def executed(self) -> tuple[int, Roots]:
        """Return the highest executed height and its roots; (anchor height, its roots) at first."""
        ...

    def roots_at(self, height: int) -> Roots | None:
        """Return the roots after `height`; None when it is not executed yet or long forgotten."""
        ...

    def checkpoint_digest(self, height: int) -> bytes | None:
        """Return the digest of the snapshot after a checkpoint height; None if not ready."""
        ...

    def holds_bundles(self, digests: tuple[bytes, ...]) -> bool:
        """True when all bundles are held; otherwise start fetching the missing ones."""
        ...

    def propose_bundles(
        self, ancestors: tuple[Block, ...], required: tuple[bytes, ...], now: int
    ) -> tuple[bytes, ...] | None:
        """Choose bundles for a child of the last ancestor; None when a required id is not held yet.

        `ancestors` are the blocks above the last final one, oldest first; what the final chain
        contains the application knows.
        """
        ...

    def check_inclusion(
        self, block: Block, ancestors: tuple[Block, ...], required: tuple[bytes, ...]
    ) -> Verdict:
        """Judge whether the block carries every required id it owes."""
        ...

    def pending_ids(self, now: int) -> tuple[bytes, ...]:
        """Return up to PENDING_IDS_MAX ids seen long enough ago, ascending, each once."""
        ...

    def has_work(self) -> bool:
        """True when a block would do something; an idle chain slows down."""
        ...


class Succession(Protocol):
    """What consensus asks about epochs; equal on all replicas that know the answer."""

    def next_committee(self, border: int) -> Committee | None:
        """Return the committee after the border; None while its state is not executed here.

        That state is the one after height max(anchor, border - SEED_LAG_HEIGHTS): so old that it
        is final long before, or the chain would wait for blocks that wait for it.
        """
        ...

    def hash_at(self, height: int) -> bytes | None:
        """Return the hash of a final block; None when it is not stored yet. Height 0: genesis."""
        ...
