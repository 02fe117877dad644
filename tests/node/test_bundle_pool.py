"""No validator fills the pool, and what is final is never proposed again.

Spec: docs/spec/node.md (Bundles). Deviations: none.
"""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.bundling import bundle_pool
from node.bundling.bundle_pool import BundlePool, Share
from node.limits import BLOCK_BUNDLES_MAX, BUNDLE_BYTES_MAX, POOL_BUNDLES_PER_ORIGIN_MAX
from primitives.errors import LimitExceeded

ALICE, BOB = b"\x01" * 20, b"\x02" * 20


def put(pool: BundlePool, number: int, origin: bytes = ALICE, *, asked: bool = False) -> bytes:
    data = b"bundle %d" % number
    pool.add(data, origin, 0, is_asked_for=asked)
    return hashlib.sha256(data).digest()


def test_a_bundle_is_held_under_the_hash_of_its_bytes_and_once() -> None:
    pool = BundlePool()
    digest = put(pool, 1)
    bundle = pool.get(digest)
    assert bundle is not None
    assert (bundle.data, bundle.origin) == (b"bundle 1", ALICE)
    assert pool.add(b"bundle 1", BOB, 0, is_asked_for=False) is None
    assert pool.holds((digest,))
    assert pool.missing((b"x" * 32, digest)) == (b"x" * 32,)


@pytest.mark.parametrize("size", [0, BUNDLE_BYTES_MAX + 1])
def test_empty_and_oversized_bundles_are_refused(size: int) -> None:
    with pytest.raises(LimitExceeded):
        BundlePool().add(bytes(size), ALICE, 0, is_asked_for=True)


def test_one_origin_cannot_fill_the_pool_and_others_go_on() -> None:
    pool = BundlePool()
    digests = [put(pool, number) for number in range(POOL_BUNDLES_PER_ORIGIN_MAX)]
    with pytest.raises(LimitExceeded):
        put(pool, 1_000_000)
    put(pool, 1_000_001, BOB)
    put(pool, 1_000_002, asked=True)
    pool.mark_included(digests[:2], 1)
    put(pool, 1_000_003)


def test_bytes_of_one_origin_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_pool, "MEMBER", Share(size_bytes=20))
    pool = BundlePool()
    put(pool, 1)
    put(pool, 2)
    with pytest.raises(LimitExceeded):
        put(pool, 3)


def test_a_block_carries_the_required_ones_first_then_by_arrival() -> None:
    pool = BundlePool()
    first, second, third = (put(pool, number) for number in range(3))
    assert pool.propose(frozenset()) == (first, second, third)
    assert pool.propose(frozenset(), (third, b"x" * 32)) == (third, first, second)
    assert pool.propose(frozenset((first,)), (third,)) == (third, second)


def test_a_proposal_stays_within_the_blocks_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = BundlePool()
    for number in range(BLOCK_BUNDLES_MAX + 5):
        put(pool, number)
    assert len(pool.propose(frozenset())) == BLOCK_BUNDLES_MAX
    monkeypatch.setattr(bundle_pool, "BLOCK_BYTES_MAX", 2 * len(b"bundle 0"))
    assert len(pool.propose(frozenset())) == 2


def test_an_included_bundle_is_served_but_never_proposed_again() -> None:
    pool = BundlePool()
    digest = put(pool, 1)
    pool.mark_included((digest,), 7)
    pool.mark_included((digest,), 8)
    bundle = pool.get(digest)
    assert bundle is not None
    assert bundle.included_height == 7
    assert not pool.has_waiting
    assert pool.propose(frozenset(), (digest,)) == ()
    put(pool, 1, BOB)
    assert not pool.has_waiting


def test_only_executed_bundles_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_pool, "POOL_KEPT_BUNDLES_MAX", 2)
    pool = BundlePool()
    digests = [put(pool, number) for number in range(6)]
    for height, digest in enumerate(digests, 1):
        pool.mark_included((digest,), height)
    pool.forget_executed(1)
    assert pool.missing(digests) == (digests[0],)
    assert [b.included_height for b in pool.unstored(3)] == [4, 5, 6]
    pool.forget_executed(6)
    assert pool.missing(digests) == tuple(digests[:4])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=40))
def test_nothing_included_is_ever_proposed(steps: list[tuple[bool, int]]) -> None:
    pool, included = BundlePool(), set()
    for height, (is_arrival, number) in enumerate(steps, 1):
        digest = hashlib.sha256(b"bundle %d" % number).digest()
        if is_arrival:
            put(pool, number)
        else:
            if pool.get(digest) is not None:
                included.add(digest)
            pool.mark_included((digest,), height)
        chosen = pool.propose(frozenset())
        assert included.isdisjoint(chosen)
        assert len(set(chosen)) == len(chosen)
        assert pool.has_waiting == bool(chosen)


def test_a_bundle_that_comes_after_its_final_block_is_never_proposed():
    pool = BundlePool()
    late = b"late"
    digest = hashlib.sha256(late).digest()
    pool.mark_included((digest,), 7)
    bundle = pool.add(late, b"\x01" * 20, 5, is_asked_for=True)
    assert bundle is not None
    assert bundle.included_height == 7
    assert pool.get(digest) is bundle
    assert not pool.has_waiting
    assert pool.propose(frozenset()) == ()


def test_who_has_no_seat_has_little_room_and_all_of_them_together_not_much(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(bundle_pool, "POOL_BYTES_OF_OUTSIDERS_MAX", 25)
    pool, outsider = BundlePool(), Share(size_bytes=15, is_outsiders=True)
    for origin in (b"\x01" * 20, b"\x02" * 20):
        data = origin[:1] * 10
        pool.add(data, origin, 0, is_asked_for=False, share=outsider)
        with pytest.raises(LimitExceeded):
            pool.add(data + b"2nd", origin, 0, is_asked_for=False, share=outsider)
    third = b"\x03" * 20
    with pytest.raises(LimitExceeded):
        pool.add(b"six by", third, 0, is_asked_for=False, share=outsider)
    pool.add(b"six by", third, 0, is_asked_for=False)
    digest = hashlib.sha256(b"\x01" * 10).digest()
    pool.mark_included((digest,), 4)
    pool.add(b"10 more by", b"\x01" * 20, 0, is_asked_for=False, share=outsider)


def test_what_final_blocks_carried_is_forgotten_by_bytes_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundle_pool, "POOL_KEPT_BYTES_MAX", 25)
    pool = BundlePool()
    digests = []
    for number in range(4):
        data = bytes([number]) * 10
        pool.add(data, BOB, 0, is_asked_for=False)
        digests.append(hashlib.sha256(data).digest())
        pool.mark_included((digests[-1],), number + 1)
    assert pool.included_bytes == 40
    pool.forget_executed(1)
    assert pool.get(digests[0]) is None
    assert pool.get(digests[1]) is not None, "not executed yet"
    pool.forget_executed(4)
    assert pool.included_bytes == 20
    assert pool.get(digests[3]) is not None
