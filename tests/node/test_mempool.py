"""Actions leave in the order they came, whole, in bundles within the protocol's limits.

Rule: every accepted action leaves in exactly one bundle.
Spec: docs/spec/node.md (Bundles). Deviations: none.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.actions import SignedAction, decode_bundle
from node.bundling import mempool
from node.bundling.mempool import Mempool
from node.limits import BUNDLE_ACTIONS_MAX, BUNDLE_BYTES_MAX, BUNDLE_FLUSH_BYTES


def make_action(number: int, size: int = 100) -> SignedAction:
    return SignedAction(number.to_bytes(4, "big") + bytes(size), bytes(65))


def make_id(number: int) -> bytes:
    return number.to_bytes(32, "big")


def drain(pool: Mempool) -> list[bytes]:
    bundles = []
    while (taken := pool.take_bundle()) is not None:
        bundles.append(taken[0])
        assert len(decode_bundle(taken[0])) == taken[1]
    return bundles


def test_an_empty_pool_makes_no_bundle() -> None:
    assert Mempool().take_bundle() is None


def test_the_same_id_is_queued_once_until_it_has_left() -> None:
    pool = Mempool()
    assert pool.add(make_id(1), make_action(1))
    assert pool.add(make_id(1), make_action(1))
    assert len(pool) == 1
    assert pool.contains(make_id(1))
    drain(pool)
    assert not pool.contains(make_id(1))
    assert pool.add(make_id(1), make_action(1))
    assert len(pool) == 1


def test_a_pool_full_of_actions_refuses_and_takes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mempool, "MEMPOOL_ACTIONS_MAX", 3)
    pool = Mempool()
    assert [pool.add(make_id(i), make_action(i)) for i in range(4)] == [True, True, True, False]
    assert not pool.contains(make_id(3))
    drain(pool)
    assert pool.add(make_id(3), make_action(3))


def test_a_pool_full_of_bytes_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mempool, "MEMPOOL_BYTES_MAX", 1_000)
    pool = Mempool()
    assert pool.add(make_id(1), make_action(1, 600))
    assert not pool.add(make_id(2), make_action(2, 600))
    assert pool.add(make_id(3), make_action(3, 100))


def test_many_small_actions_stop_at_the_protocols_count() -> None:
    pool = Mempool()
    for number in range(BUNDLE_ACTIONS_MAX + 1):
        pool.add(make_id(number), SignedAction(b"", bytes(65)))
    sizes = [len(decode_bundle(bundle)) for bundle in drain(pool)]
    assert sum(sizes) == BUNDLE_ACTIONS_MAX + 1
    assert max(sizes) <= BUNDLE_ACTIONS_MAX


def test_it_is_worth_sending_once_enough_bytes_wait() -> None:
    pool, number = Mempool(), 0
    while not pool.is_worth_sending:
        pool.add(make_id(number), make_action(number, 1_000))
        number += 1
    assert abs(number * 1_085 - BUNDLE_FLUSH_BYTES) < 1_085
    drain(pool)
    assert not pool.is_worth_sending


@settings(max_examples=30)
@given(st.lists(st.integers(0, 60_000), max_size=30))
def test_every_action_leaves_once_in_order_within_the_limits(sizes: list[int]) -> None:
    pool = Mempool()
    actions = [make_action(number, size) for number, size in enumerate(sizes)]
    for number, action in enumerate(actions):
        assert pool.add(make_id(number), action)
    bundles = drain(pool)
    assert all(len(bundle) <= BUNDLE_BYTES_MAX for bundle in bundles)
    assert [action for bundle in bundles for action in decode_bundle(bundle)] == actions
    assert len(pool) == 0
