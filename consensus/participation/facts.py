"""Say what one final block tells about its validators, as plain data.

Rule: everything in here is signed and final: the block's header and certificates, and what the
execution of the block before it handed out. Nobody reports on himself.
Spec: docs/spec/participation.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from consensus.participation.parameters import CREDIT_ONE
from primitives.keccak import keccak256

MISSED_VIEWS_MAX = 1_024  # skipped views of one block that are counted, the newest ones
AMOUNT_BYTES = 16
NO_KEY = bytes(20)  # hot key of a registration that has ended
ZERO32 = bytes(32)

_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """All that the registry contract says of a validator after one of its events."""

    owner: bytes  # 20 bytes; the identity, it never changes
    hot_key: bytes  # address of the key that signs votes
    payout: bytes  # account that is credited with rewards
    network_key: bytes  # Ed25519 key of the libp2p identity, 32 bytes
    services: int  # bit mask: 1 trading, 2 chat, 4 storage
    stake: int  # atoms
    is_leaving: bool  # it asked to leave


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFact:
    """One opportunity to serve and what came of it."""

    part: int  # TRADING, CHAT or STORAGE
    hot_key: bytes
    credit: int  # 0 … CREDIT_ONE

    def __post_init__(self) -> None:
        assert 0 <= self.credit <= CREDIT_ONE, "a credit is a part of one opportunity"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageWord:
    """What a validator's heartbeat says about the storage it offers; zero words say nothing."""

    hot_key: bytes
    part: int  # of the period, numbered from genesis, in which it is meant to count
    commitment: bytes = ZERO32  # to the answer of this part
    answer: bytes = ZERO32  # committed to in the part before


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFacts:
    """One final block; members are committee indices, outsiders addresses of hot keys."""

    height: int
    time_ms: int  # of the block
    block_hash: bytes
    proposer: int
    missed: tuple[int, ...] = ()  # leaders of the views skipped since the parent, in order
    attendance: tuple[int, ...] | None = None  # voters for the parent; None after a border
    convicted: tuple[int, ...] = ()  # signers of conflicting votes
    registry: tuple[Registration, ...] = ()  # in the order of the contract's events
    services: tuple[ServiceFact, ...] = ()
    heartbeats: tuple[bytes, ...] = ()  # hot keys that signed one
    storage: tuple[StorageWord, ...] = ()  # that came with them


def compute_missed_leaders(slots: Sequence[int], parent_view: int, view: int) -> tuple[int, ...]:
    """Return the leaders of the views between a block and its parent, at most the newest 1,024."""
    first = max(parent_view + 1, view - MISSED_VIEWS_MAX)
    return tuple(slots[skipped % len(slots)] for skipped in range(first, view))


def hash_facts(word: bytes, facts: BlockFacts) -> bytes:
    """Chain a block's facts to the word over all facts before."""
    content = (
        facts.height,
        facts.time_ms,
        facts.block_hash,
        facts.proposer,
        facts.missed,
        facts.attendance,
        facts.convicted,
        tuple(registration_fields(one) for one in facts.registry),
        tuple((one.part, one.hot_key, one.credit) for one in facts.services),
        facts.heartbeats,
        tuple((one.hot_key, one.part, one.commitment, one.answer) for one in facts.storage),
    )
    return keccak256(word + _encoder.encode(content))


def registration_fields(one: Registration) -> tuple[bytes, bytes, bytes, bytes, int, bytes, bool]:
    """Return the fields in encoding order; the stake as 16 bytes, for it may exceed 64 bits."""
    return (
        one.owner,
        one.hot_key,
        one.payout,
        one.network_key,
        one.services,
        one.stake.to_bytes(AMOUNT_BYTES, "big"),
        one.is_leaving,
    )
