"""Describe one epoch: its committee, its seed, the block it starts from and where it ends.

Rule: the next epoch follows from final blocks alone, so every node that knows them computes the
same one.
Spec: docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

from consensus.application import Succession
from consensus.block import Block, Tip, tip_of
from consensus.committee import ADDRESS_BYTES, Committee, Member
from consensus.config import Config, Timing
from consensus.limits import COMMITTEE_MAX, EPOCH_RECORD_BYTES_MAX, SEED_LAG_HEIGHTS, WEIGHT_MAX
from consensus.seed import compute_next_seed
from consensus.vote import Counter, Hash32
from primitives import codec
from primitives.errors import StateDiverged

Address = Annotated[bytes, msgspec.Meta(min_length=ADDRESS_BYTES, max_length=ADDRESS_BYTES)]
Weight = Annotated[int, msgspec.Meta(ge=1, le=WEIGHT_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What is equal in all epochs of a network."""

    domain: bytes  # EIP-712 domain separator
    checkpoint_interval: int  # heights
    timing: Timing
    epoch_heights: int = 0  # blocks per epoch; 0: one epoch without end


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch as it begins."""

    number: int
    committee: Committee
    seed: bytes  # shuffles the leader slots
    anchor: Tip  # the boundary block of the epoch before, or genesis, as view 0


class EpochRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=12):
    """An epoch in the block store."""

    number: Counter
    seed: Hash32
    height: Counter
    anchor: Hash32
    time_ms: Counter
    executed_height: Counter
    members: Annotated[
        tuple[tuple[Address, Weight], ...], msgspec.Meta(min_length=1, max_length=COMMITTEE_MAX)
    ]


def make_config(parameters: Parameters, epoch: Epoch) -> Config:
    """Return the configuration of an epoch's replica."""
    heights = parameters.epoch_heights
    return Config(
        domain=parameters.domain,
        epoch=epoch.number,
        anchor=epoch.anchor,
        seed=epoch.seed,
        checkpoint_interval=parameters.checkpoint_interval,
        timing=parameters.timing,
        border=epoch.anchor.height + heights if heights else None,
    )


def compute_next_epoch(epoch: Epoch, boundary: Block, succession: Succession) -> Epoch | None:
    """Return the epoch after a final boundary block; None while its committee is not known here.

    Raises StateDiverged when the final block names another committee than I computed.
    """
    committee = succession.next_committee(boundary.height)
    seed_hash = succession.hash_at(find_seed_height(epoch.anchor.height, boundary.height))
    if committee is None or seed_hash is None:
        return None
    if committee.hash != boundary.header.next_committee_hash:
        raise StateDiverged(
            f"my committee after height {boundary.height} is {committee.hash.hex()}, "
            f"the final one is {boundary.header.next_committee_hash.hex()}"
        )
    return Epoch(
        number=epoch.number + 1,
        committee=committee,
        seed=compute_next_seed(epoch.seed, seed_hash),
        anchor=replace(tip_of(boundary), view=0),
    )


def find_seed_height(anchor_height: int, border: int) -> int:
    """Return the height whose block seeds the next epoch: well before the border, in this epoch."""
    return max(anchor_height, border - SEED_LAG_HEIGHTS)


def encode_epoch(epoch: Epoch) -> bytes:
    """Return the bytes of an epoch for the block store."""
    anchor = epoch.anchor
    members = tuple((member.address, member.weight) for member in epoch.committee.members)
    return codec.encode(
        EpochRecord(
            epoch.number,
            epoch.seed,
            anchor.height,
            anchor.hash,
            anchor.time_ms,
            anchor.executed_height,
            members,
        )
    )


def decode_epoch(data: bytes) -> Epoch:
    """Decode an epoch of the block store. Raises PeerError when it is damaged."""
    record = codec.decode(data, EpochRecord, max_bytes=EPOCH_RECORD_BYTES_MAX)
    members = tuple(Member(address=address, weight=weight) for address, weight in record.members)
    return Epoch(
        number=record.number,
        committee=Committee(members),
        seed=record.seed,
        anchor=Tip(
            view=0,
            height=record.height,
            hash=record.anchor,
            time_ms=record.time_ms,
            executed_height=record.executed_height,
        ),
    )
