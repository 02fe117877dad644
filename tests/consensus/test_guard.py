"""Facts about the signing guard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.guard import Guard, decode_record
from consensus.vote import Kind
from primitives.errors import PeerError, WouldEquivocate

N, X, F = Kind.NOTARIZE, Kind.NULLIFY, Kind.FINALIZE
A, B = b"\x0a" * 32, b"\x0b" * 32


def admit(guard: Guard, *wishes: tuple[Kind, bytes]) -> None:
    for kind, digest in wishes:
        guard.admit(1, 5, kind, digest)


@pytest.mark.parametrize(
    "wishes",
    [
        [(N, A), (F, B)],
        [(N, A), (X, B)],
        [(X, A)],
        [(F, A), (N, B)],
        [(N, A), (N, A), (X, B), (X, B), (N, A)],
    ],
)
def test_honest_sequences_pass(wishes):
    admit(Guard(), *wishes)


@pytest.mark.parametrize(
    "wishes",
    [
        [(N, A), (N, B)],
        [(F, A), (F, B)],
        [(X, A), (X, B)],
        [(X, A), (N, B)],
        [(X, A), (F, B)],
        [(F, A), (X, B)],
        [(N, A), (F, B), (X, A)],
    ],
)
def test_equivocation_is_refused(wishes):
    guard = Guard()
    admit(guard, *wishes[:-1])
    with pytest.raises(WouldEquivocate):
        admit(guard, wishes[-1])


def test_the_same_bytes_need_no_second_record():
    guard = Guard()
    assert guard.admit(1, 5, N, A) is not None
    assert guard.admit(1, 5, N, A) is None


def test_nothing_is_signed_at_or_below_the_floor_nor_in_older_epochs():
    guard = Guard()
    guard.admit(2, 7, N, A)
    assert guard.raise_floor(2, 7) is not None
    for place in ((2, 7), (2, 1), (1, 99)):
        with pytest.raises(WouldEquivocate):
            guard.admit(*place, N, A)
    guard.admit(2, 8, N, A)
    guard.admit(3, 1, N, A)


def test_the_floor_never_moves_back_and_forgets_what_lies_below():
    guard = Guard()
    guard.admit(1, 3, N, A)
    guard.admit(1, 9, N, A)
    guard.raise_floor(1, 5)
    assert guard.raise_floor(1, 4) is None
    assert guard.floor == (1, 5)
    assert list(guard.signed()) == [(1, 9)]


WISHES = st.lists(
    st.tuples(
        st.integers(1, 2),
        st.integers(1, 3),
        st.sampled_from([N, X, F, None]),
        st.sampled_from([A, B]),
    ),
    max_size=30,
)


@given(WISHES, st.integers(0, 30))
def test_a_guard_reloaded_from_its_records_decides_the_same(wishes, cut):
    guard, records = Guard(), []

    def apply(target, epoch, view, kind, digest):
        try:
            if kind is None:
                return target.raise_floor(epoch, view)
            return target.admit(epoch, view, kind, digest)
        except WouldEquivocate:
            return "refused"

    for wish in wishes[:cut]:
        record = apply(guard, *wish)
        if isinstance(record, bytes):
            records.append(record)
    reloaded = Guard(records)
    assert reloaded.floor == guard.floor
    for wish in wishes[cut:]:
        assert apply(reloaded, *wish) == apply(guard, *wish)


@given(st.binary(max_size=200))
def test_damaged_records_are_peer_errors(data: bytes):
    try:
        decode_record(data)
    except PeerError:
        return
