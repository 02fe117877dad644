"""A session key spends what its grant gives it, once, and not an atom more."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.actions import (
    AnyOp,
    CancelAll,
    Commit,
    Grant,
    Place,
    Replace,
    Revoke,
    encode_amount,
)
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.conftest import soak_factor
from tests.exchange.world import World, make_genesis, make_key

ANN = make_key("ann").address
KEY = make_key("key").address


def make_world(*, mode: str = "fair", total: int = 0, orders: int = 0) -> World:
    world = World(make_genesis(mode=mode))
    world.fund("ann", "bob")
    grant = Grant(
        KEY, world.time_ms + 10**7, 0xFE, (), encode_amount(0), False, encode_amount(total), orders
    )
    assert world.block(world.act("ann", grant)).receipts[0].statuses == [Reason.OK]
    return world


def send(world: World, *ops: AnyOp, atomic: bool = False, nonce: int | None = None) -> list[int]:
    action = world.act("key", *ops, account=ANN, atomic=atomic, nonce=nonce)
    return world.block(action).receipts[0].statuses


def used(world: World) -> tuple[int, int]:
    key = world.state.keys[KEY]
    return key.notional_used, key.orders_used


def test_the_sum_of_notionals_is_capped_and_cancels_give_nothing_back() -> None:
    world = make_world(total=10_000)
    assert send(world, Place(0, 0, 1_000, 6)) == [Reason.OK]
    assert send(world, CancelAll(0)) == [Reason.OK]
    assert send(world, Place(0, 0, 1_000, 5)) == [Reason.OVER_KEY_TOTAL]
    assert send(world, Place(0, 0, 1_000, 4)) == [Reason.OK]
    assert send(world, Place(0, 0, 1, 1)) == [Reason.OVER_KEY_TOTAL]
    assert used(world) == (10_000, 2)
    assert send(world, CancelAll(0)) == [Reason.OK]


def test_the_number_of_orders_is_capped_and_a_replacement_is_one() -> None:
    world = make_world(orders=2)
    assert send(world, Place(0, 0, 1_000, 6)) == [Reason.OK]
    number = world.state.next_order - 1
    assert send(world, Replace(0, number, 999, 6)) == [Reason.OK]
    assert send(world, Replace(0, number, 998, 6)) == [Reason.OVER_KEY_ORDERS]
    assert send(world, Place(0, 0, 900, 1), CancelAll(0)) == [Reason.OVER_KEY_ORDERS, Reason.OK]


def test_a_refused_or_taken_back_operation_uses_nothing() -> None:
    world = make_world(total=10_000, orders=3)
    assert send(world, Place(0, 0, 1_000, 6), Place(9, 0, 1, 1), atomic=True) == [
        Reason.ATOMIC_FAILED,
        Reason.UNKNOWN_MARKET,
    ]
    assert send(world, Place(0, 1, 1_000, 10**12)) == [Reason.OVER_KEY_TOTAL]
    assert used(world) == (0, 0)


def test_the_wallet_has_no_budget() -> None:
    world = make_world(total=1, orders=1)
    for _ in range(3):
        outcome = world.block(world.act("ann", Place(0, 0, 900, 5)))
        assert outcome.receipts[0].statuses == [Reason.OK]
    assert used(world) == (0, 0)


def test_a_commit_uses_its_quote_tier_and_an_opening_its_sells() -> None:
    world = make_world(mode="sealed", total=15_000, orders=9)
    salt = b"s" * 32
    sells = (Place(0, 1, 1_000, 6, tif=1),)
    world.nonce += 1
    nonce = world.nonce
    hashed = world.hash_commit("ann", sells, salt, nonce)
    assert send(world, Commit(0, 0, 4, b"h" * 32), nonce=nonce) == [Reason.PENDING]
    assert used(world) == (10_000, 1)
    assert send(world, Commit(0, 0, 4, b"i" * 32)) == [Reason.OVER_KEY_TOTAL]
    world.nonce += 1
    nonce = world.nonce
    hashed = world.hash_commit("ann", sells, salt, nonce)
    assert send(world, Commit(0, 1, 1, hashed), nonce=nonce) == [Reason.PENDING]
    opening = world.opening(hashed, sells, salt)
    assert send(world, opening) == [Reason.OVER_KEY_TOTAL]
    by_wallet = world.block(world.act("ann", opening)).receipts[0].statuses
    assert by_wallet == [Reason.PENDING]
    assert used(world) == (10_000, 2)


def test_a_budget_survives_a_snapshot_and_ends_with_the_key() -> None:
    world = make_world(total=10_000, orders=5)
    send(world, Place(0, 0, 1_000, 6))
    chunks = snapshot(world.state)
    world.state = restore(world.genesis, chunks)
    assert snapshot(world.state) == chunks
    assert used(world) == (6_000, 1)
    assert send(world, Place(0, 0, 1_000, 5)) == [Reason.OVER_KEY_TOTAL]
    world.block(world.act("ann", Revoke(KEY)))
    assert send(world, Place(0, 0, 1_000, 1)) == [Reason.KEY_REVOKED]


ORDERS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(900, 1_100), st.integers(1, 9), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60 * soak_factor(), deadline=None)
@given(ORDERS, st.integers(0, 40_000), st.integers(0, 6), st.booleans())
def test_what_is_admitted_adds_up_to_what_is_used(
    orders: list[tuple[int, int, int, bool]], total: int, count: int, atomic: bool
) -> None:
    world = make_world(total=total, orders=count)
    notional = admitted = 0
    for side, price, size, twice in orders:
        ops = (Place(0, side, price, size),) * (1 + twice)
        outcome = world.block(world.act("key", *ops, account=ANN, atomic=atomic))
        for number in outcome.receipts[0].orders:
            if number:
                admitted += 1
                notional += price * size
    assert used(world) == (notional, admitted)
    assert not total or notional <= total
    assert not count or admitted <= count
    again = restore(world.genesis, snapshot(world.state))
    assert msgspec.msgpack.encode(snapshot(again)) == msgspec.msgpack.encode(snapshot(world.state))
