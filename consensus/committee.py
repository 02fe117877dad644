"""Hold the weighted committee of one epoch and say what a quorum is.

Rule: two quorums overlap in more weight than the protocol lets be faulty; this is the only file
that computes a threshold.
Spec: docs/spec/consensus.md (Committee). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from consensus.limits import COMMITTEE_MAX, WEIGHT_MAX
from primitives.keccak import keccak256

ADDRESS_BYTES = 20
WORD_BYTES = 32


def compute_quorum(total_weight: int) -> int:
    """Return the smallest weight of which any two sets overlap in more than a third."""
    return 2 * total_weight // 3 + 1


def compute_tolerated(total_weight: int) -> int:
    """Return the largest weight that may be faulty."""
    return (total_weight - 1) // 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One seat: the address of its secp256k1 key and its weight."""

    address: bytes
    weight: int


@dataclass(frozen=True, slots=True)
class Committee:
    """An ordered list of members; a member's index is its identity within the epoch."""

    members: tuple[Member, ...]
    total: int = field(init=False)
    quorum: int = field(init=False)
    tolerated: int = field(init=False)
    hash: bytes = field(init=False)
    weights: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        members = self.members
        if not 1 <= len(members) <= COMMITTEE_MAX:
            raise ValueError(f"a committee has 1 to {COMMITTEE_MAX} members, not {len(members)}")
        if any(len(member.address) != ADDRESS_BYTES for member in members):
            raise ValueError("a member's address has 20 bytes")
        if len({member.address for member in members}) != len(members):
            raise ValueError("an address sits twice in the committee")
        if any(not 1 <= member.weight <= WEIGHT_MAX for member in members):
            raise ValueError("a member's weight is a positive integer")
        total = sum(member.weight for member in members)
        object.__setattr__(self, "total", total)
        object.__setattr__(self, "quorum", compute_quorum(total))
        object.__setattr__(self, "tolerated", compute_tolerated(total))
        object.__setattr__(self, "hash", compute_committee_hash(members))
        object.__setattr__(self, "weights", tuple(member.weight for member in members))

    def __len__(self) -> int:
        return len(self.members)

    def address(self, index: int) -> bytes:
        """Return the 20-byte address of a member."""
        return self.members[index].address

    def weight(self, indices: Iterable[int]) -> int:
        """Return the weight of distinct members."""
        weights = self.weights
        return sum(weights[index] for index in indices)

    def index_of(self, address: bytes) -> int | None:
        """Return the index of an address, or None for an outsider."""
        for index, member in enumerate(self.members):
            if member.address == address:
                return index
        return None


def compute_committee_hash(members: Iterable[Member]) -> bytes:
    """Return keccak256 of the ABI words address_0, weight_0, address_1, weight_1, …"""
    words = b"".join(
        member.address.rjust(WORD_BYTES, b"\0") + member.weight.to_bytes(WORD_BYTES, "big")
        for member in members
    )
    return keccak256(words)
