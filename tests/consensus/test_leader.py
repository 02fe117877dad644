"""Facts about leader slots."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from consensus.committee import Committee, Member
from consensus.leader import apportion, compute_slots, shuffle
from consensus.limits import SLOTS_PER_SEAT

SEED = b"\x11" * 32
WEIGHTS = st.lists(st.integers(1, 1 << 62), min_size=1, max_size=128)


def make(*weights: int) -> Committee:
    return Committee(
        tuple(
            Member(address=index.to_bytes(20, "big"), weight=weight)
            for index, weight in enumerate(weights)
        )
    )


def test_equal_weights_get_equal_slots():
    slots = compute_slots(make(1, 1, 1, 1), SEED)
    assert Counter(slots) == dict.fromkeys(range(4), SLOTS_PER_SEAT)


def test_slots_are_a_vector_that_other_implementations_can_check():
    assert compute_slots(make(3, 1), SEED)[:16] == VECTOR


def test_remainders_go_to_the_largest_then_to_the_lower_index():
    assert apportion((1, 1, 1), 4) == (2, 1, 1)
    assert apportion((5, 3, 2), 3) == (1, 1, 1)


@given(WEIGHTS)
def test_every_member_gets_its_share_within_one_slot(weights: list[int]):
    count = SLOTS_PER_SEAT * len(weights)
    shares = apportion(weights, count)
    total = sum(weights)
    assert sum(shares) == count
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * total - count * weight) < total


@given(st.lists(st.integers(0, 9), max_size=64), st.binary(min_size=32, max_size=32))
def test_a_shuffle_keeps_the_items_and_depends_on_the_seed_only(items: list[int], seed: bytes):
    shuffled = shuffle(items, seed)
    assert sorted(shuffled) == sorted(items)
    assert shuffle(items, seed) == shuffled


VECTOR = (0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0)
