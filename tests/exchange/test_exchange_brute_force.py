"""The exchange and the brute-force book agree on every fill, fee, order and balance."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import clearing, matching, order_book
from exchange.actions import Cancel
from exchange.conservation import verify_books, verify_conservation, verify_holds
from exchange.order_book import Book, Order
from tests.conftest import soak_factor
from tests.exchange.flow import TRADERS, Pair, Step, make_steps, replay

SEQUENCES = 800 * soak_factor()

steps = st.builds(
    Step,
    kind=st.integers(0, 9),
    trader=st.integers(0, 3),
    side=st.integers(0, 1),
    price=st.integers(95, 105),
    size=st.integers(1, 30),
    tif=st.integers(0, 3),
    stp=st.integers(0, 3),
    pick=st.integers(0, 50),
)


def test_seeded_sequences_equal_the_brute_force_book() -> None:
    for seed in range(SEQUENCES):
        try:
            replay(seed, count=30, funds=10**9 if seed % 3 else 30_000)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


@settings(max_examples=200 * soak_factor())
@given(st.lists(steps, max_size=12), st.sampled_from([5_000, 10**9]))
def test_any_sequence_equals_the_brute_force_book(sequence: list[Step], funds: int) -> None:
    pair = Pair(funds=funds)
    for name in TRADERS:
        pair.world.quick(name, Cancel(0, 1))
    for step in sequence:
        pair.apply(step)
        verify_books(pair.world.state)
        verify_holds(pair.world.state)
    pair.compare()
    verify_conservation(pair.world.state)


@pytest.mark.parametrize(("maker", "taker"), [(0, 0), (0, 1), (1, 1), (20, 20), (999, 1_000)])
def test_holds_never_run_short_at_any_fee(maker: int, taker: int) -> None:
    pair = Pair(maker_bps=maker, taker_bps=taker)
    for name in TRADERS:
        pair.world.quick(name, Cancel(0, 1))
    for step in make_steps(maker + taker, 150):
        pair.apply(step)
    verify_holds(pair.world.state)
    verify_conservation(pair.world.state)
    pair.compare()


# Deliberately wrong engines: each must be told from the right one.


def rest_lifo(self: Book, order: Order) -> None:
    right_rest(self, order)
    level = order.level
    assert level is not None
    if level.head is not order:
        before = order.prev
        assert before is not None
        before.next = None
        level.tail = before
        level.head.prev = order
        order.next = level.head
        order.prev = None
        level.head = order


def rest_by_size(self: Book, order: Order) -> None:
    right_rest(self, order)
    level = order.level
    assert level is not None
    while order.prev is not None and order.prev.size < order.size:
        ahead = order.prev
        before, after = ahead.prev, order.next
        ahead.next, ahead.prev = after, order
        order.next, order.prev = ahead, before
        if before is None:
            level.head = order
        else:
            before.next = order
        if after is None:
            level.tail = ahead
        else:
            after.prev = ahead


right_rest = Book.rest
right_replace = matching.replace_order
right_process = matching.process_order
right_settle = matching.settle


def settle_at_taker_price(market, buyer, seller, price, size, buyer_bps, seller_bps):  # type: ignore[no-untyped-def]
    taker = buyer if buyer.level is None else seller
    return right_settle(market, buyer, seller, taker.price, size, buyer_bps, seller_bps)


def lose_the_remainder(market, order, action_id, batch):  # type: ignore[no-untyped-def]
    before = order.size
    status = right_process(market, order, action_id, batch)
    if 0 < order.size < before and order.level is not None:
        matching.end_order(market, order, 5)
    return status


def keep_place_on_amend(market, order, price, size, action_id, batch):  # type: ignore[no-untyped-def]
    if price == order.price and size > order.size:
        level = order.level
        grown = size - order.size
        status = right_replace(market, order, price, order.size, action_id, batch)
        order.size += grown
        order.total += grown
        level.size += grown
        return status
    return right_replace(market, order, price, size, action_id, batch)


def lose_place_on_reduction(market, order, price, size, action_id, batch):  # type: ignore[no-untyped-def]
    if price == order.price and size < order.size:
        market.book.reduce(order, order.size)
        order.size = size
        matching.shrink_hold(market, order)
        matching.rest_order(market, order)
        return 0
    return right_replace(market, order, price, size, action_id, batch)


def rest_immediate_orders(market, order, action_id, batch):  # type: ignore[no-untyped-def]
    if order.tif == 1:
        order.tif = 0
    return right_process(market, order, action_id, batch)


def skip_self_trade_check(market, taker, maker):  # type: ignore[no-untyped-def]
    matching.end_order(market, maker, 55)
    return False


MUTANTS = {
    "lifo": (Book, "rest", rest_lifo),
    "size_priority": (Book, "rest", rest_by_size),
    "takers_price": (matching, "settle", settle_at_taker_price),
    "lost_remainder": (clearing, "process_order", lose_the_remainder),
    "place_kept_on_amend": (clearing, "replace_order", keep_place_on_amend),
    "place_lost_on_reduction": (clearing, "replace_order", lose_place_on_reduction),
    "immediate_rests": (clearing, "process_order", rest_immediate_orders),
    "self_trade_always_oldest": (matching, "_prevent_self_trade", skip_self_trade_check),
    "fok_counts_nothing": (order_book.Side, "is_fillable", lambda self, limit, size: True),
    "post_only_never_crosses": (Book, "is_crossing", lambda self, side, price: False),
}


def replay_many() -> None:
    for seed in range(60):
        replay(seed, count=60)


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_wrong_engine_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, wrong = MUTANTS[name]
    monkeypatch.setattr(owner, attribute, wrong)
    with pytest.raises(AssertionError):
        replay_many()
