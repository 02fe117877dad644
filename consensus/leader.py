"""Give every view of an epoch its leader.

Rule: leadership follows weight exactly and cannot be influenced within the epoch; it depends on the
committee and the epoch's seed only.
Spec: docs/spec/consensus.md (Leaders). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from consensus.committee import Committee
from consensus.limits import SLOTS_PER_SEAT
from primitives.keccak import keccak256

WORD_BYTES = 8
WORD_VALUES = 1 << 64


def compute_slots(committee: Committee, seed: bytes) -> tuple[int, ...]:
    """Return the leader slots of an epoch; view v is led by slot v mod length."""
    count = SLOTS_PER_SEAT * len(committee)
    slots = [
        index
        for index, slots_of_member in enumerate(apportion(committee.weights, count))
        for _ in range(slots_of_member)
    ]
    return tuple(shuffle(slots, seed))


def apportion(weights: Sequence[int], count: int) -> tuple[int, ...]:
    """Split `count` slots by weight with the largest-remainder method (ties: lower index)."""
    total = sum(weights)
    shares = [count * weight // total for weight in weights]
    by_remainder = sorted(
        range(len(weights)), key=lambda index: (-(count * weights[index] % total), index)
    )
    for index in by_remainder[: count - sum(shares)]:
        shares[index] += 1
    assert sum(shares) == count, "largest remainder hands out every slot"
    return tuple(shares)


def shuffle(items: Sequence[int], seed: bytes) -> list[int]:
    """Shuffle by Fisher-Yates with keccak256(seed ‖ counter) as the source of 64-bit words."""
    shuffled = list(items)
    words = _words(seed)
    for last in range(len(shuffled) - 1, 0, -1):
        chosen = _uniform(words, last + 1)
        shuffled[last], shuffled[chosen] = shuffled[chosen], shuffled[last]
    return shuffled


def _words(seed: bytes) -> Iterator[int]:
    counter = 0
    while True:
        digest = keccak256(seed + counter.to_bytes(WORD_BYTES, "big"))
        for start in range(0, len(digest), WORD_BYTES):
            yield int.from_bytes(digest[start : start + WORD_BYTES], "big")
        counter += 1


def _uniform(words: Iterator[int], bound: int) -> int:
    limit = WORD_VALUES - WORD_VALUES % bound  # words above it would favour small results
    for word in words:
        if word < limit:
            return word % bound
    raise AssertionError("the stream of words is endless")
