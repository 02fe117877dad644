"""Facts about thresholds and committees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.committee import Committee, Member, compute_quorum, compute_tolerated
from primitives.keccak import keccak256


def make(*weights: int) -> Committee:
    return Committee(
        tuple(
            Member(address=bytes([index + 1]) * 20, weight=weight)
            for index, weight in enumerate(weights)
        )
    )


@pytest.mark.parametrize(
    ("total", "quorum", "tolerated"),
    [(1, 1, 0), (3, 3, 0), (4, 3, 1), (6, 5, 1), (7, 5, 2), (100, 67, 33), (128, 86, 42)],
)
def test_thresholds_are_those_of_the_paper(total: int, quorum: int, tolerated: int):
    assert compute_quorum(total) == quorum
    assert compute_tolerated(total) == tolerated


@given(st.integers(1, 1 << 70))
def test_two_quorums_overlap_in_more_than_the_tolerated_weight(total: int):
    quorum, tolerated = compute_quorum(total), compute_tolerated(total)
    assert 2 * quorum - total > tolerated
    assert total - tolerated >= quorum, "the honest weight alone is a quorum"


def test_committee_hash_is_keccak_of_padded_addresses_and_weights():
    committee = make(5, 7)
    words = (
        (bytes([1]) * 20).rjust(32, b"\0")
        + (5).to_bytes(32, "big")
        + (bytes([2]) * 20).rjust(32, b"\0")
        + (7).to_bytes(32, "big")
    )
    assert committee.hash == keccak256(words)


def test_weight_and_index_lookups():
    committee = make(5, 7, 1)
    assert (committee.total, committee.quorum, committee.tolerated) == (13, 9, 4)
    assert committee.weight((0, 2)) == 6
    assert committee.index_of(bytes([2]) * 20) == 1
    assert committee.index_of(bytes(20)) is None


@pytest.mark.parametrize(
    "members",
    [
        (),
        (Member(address=b"short", weight=1),),
        (Member(address=bytes(20), weight=0),),
        (Member(address=bytes(20), weight=1 << 63),),
        (Member(address=bytes(20), weight=1), Member(address=bytes(20), weight=1)),
        tuple(Member(address=index.to_bytes(20, "big"), weight=1) for index in range(129)),
    ],
    ids=["empty", "address", "zero", "huge", "twice", "crowd"],
)
def test_malformed_committees_are_refused(members: tuple[Member, ...]):
    with pytest.raises(ValueError):
        Committee(members)
