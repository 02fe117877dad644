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
    PlaceBracket,
    PlaceIceberg,
    PlaceSchedule,
    PlaceTrailing,
    PlaceTrigger,
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


def make_world(*, mode: str = "fair", total: int = 0, orders: int = 0, cap: int = 0) -> World:
    world = World(make_genesis(mode=mode))
    world.fund("ann", "bob")
    grant = Grant(
        KEY, world.time_ms + 10**7, 0x1FFFE, (), encode_amount(cap), False, encode_amount(total),
        orders,
    )  # fmt: skip
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
    assert used(world) == (11_000, 2)  # the bond could be lost: a lot of a thousand
    opening = world.opening(hashed, sells, salt)
    assert send(world, opening) == [Reason.OVER_KEY_TOTAL]
    by_wallet = world.block(world.act("ann", opening)).receipts[0].statuses
    assert by_wallet == [Reason.PENDING]
    assert used(world) == (11_000, 2)


def test_a_sale_below_the_market_counts_what_it_gives_away() -> None:
    world = make_world(total=10_000)
    assert world.state.markets[0].last_price == 1_000
    assert send(world, Place(0, 1, 1, 11)) == [Reason.OVER_KEY_TOTAL]
    assert send(world, Place(0, 1, 1, 4)) == [Reason.OK]
    assert used(world) == (4_000, 1)
    number = world.state.next_order - 1
    assert send(world, Replace(0, number, 2, 7)) == [Reason.OVER_KEY_TOTAL]
    assert send(world, PlaceTrigger(0, 1, 7, 0, 0, 900, 1)) == [Reason.OVER_KEY_TOTAL]
    assert send(world, PlaceTrailing(0, 1, 7, 1, 5, False)) == [Reason.OVER_KEY_TOTAL]
    assert send(world, PlaceIceberg(0, 1, 1, 7, 2)) == [Reason.OVER_KEY_TOTAL]
    assert send(world, PlaceSchedule(0, 1, 1, 7, 2, 1_000)) == [Reason.OVER_KEY_TOTAL]
    assert send(world, Place(0, 1, 1_500, 2)) == [Reason.OK]  # a higher limit counts as it is
    assert used(world) == (7_000, 2)


def test_the_cap_of_one_order_holds_for_a_sale_below_the_market() -> None:
    world = make_world(cap=5_000)
    assert send(world, Place(0, 1, 1, 6)) == [Reason.OVER_KEY_NOTIONAL]
    assert send(world, Place(0, 1, 1, 5)) == [Reason.OK]


def test_a_hidden_sale_below_the_market_counts_what_it_gives_away() -> None:
    world = make_world(mode="sealed", total=7_500)
    salt = b"s" * 32
    sells = (Place(0, 1, 1, 7, tif=1),)
    world.nonce += 1
    hashed = world.hash_commit("ann", sells, salt, world.nonce)
    assert send(world, Commit(0, 1, 1, hashed), nonce=world.nonce) == [Reason.PENDING]
    opening = world.opening(hashed, sells, salt)
    assert send(world, opening) == [Reason.OVER_KEY_TOTAL]


def test_what_commits_of_base_may_lose_is_bounded() -> None:
    world = make_world(mode="sealed", total=2_500)
    for number in range(2):
        assert send(world, Commit(0, 1, 1, bytes([number]) * 32)) == [Reason.PENDING]
    assert send(world, Commit(0, 1, 1, b"x" * 32)) == [Reason.OVER_KEY_TOTAL]
    assert used(world) == (2_000, 2)


def test_a_bracket_needs_room_for_both_of_its_orders() -> None:
    bracket = PlaceBracket(0, 0, 1_000, 6, 0, 0, 0, 1_100, 1_100, 900, 900)
    world = make_world(total=12_000)
    assert send(world, bracket) == [Reason.OVER_KEY_TOTAL]
    assert used(world) == (0, 0)
    world = make_world(orders=1)
    assert send(world, bracket) == [Reason.OVER_KEY_ORDERS]
    world = make_world(total=12_600, orders=2)
    assert send(world, bracket) == [Reason.OK]
    assert used(world) == (12_600, 2)


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
        last = world.state.markets[0].last_price
        outcome = world.block(world.act("key", *ops, account=ANN, atomic=atomic))
        for number in outcome.receipts[0].orders:
            if number:
                admitted += 1
                notional += (max(price, last) if side else price) * size
    assert used(world) == (notional, admitted)
    assert not total or notional <= total
    assert not count or admitted <= count
    again = restore(world.genesis, snapshot(world.state))
    assert msgspec.msgpack.encode(snapshot(again)) == msgspec.msgpack.encode(snapshot(world.state))
