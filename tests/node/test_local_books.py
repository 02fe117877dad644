"""A copy of the book that follows the updates is the node's book, whatever is traded.

Rule: updates go through the bytes a client gets; both ends are the product.
Spec: docs/spec/market-data.md (Books). Deviations: none.
"""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from client.errors import BookBroken
from client.local_book import LocalL2, LocalL3
from client.market_views import L2Book, L2Update, L3Book, L3Update
from client.views import decode_view
from exchange.book_checksum import sum_levels, sum_orders
from node.api.render import encode_msgpack
from node.views import book_views
from node.views.book_views import (
    iterate_levels,
    iterate_orders,
    make_l2,
    make_l2_update,
    make_l3,
    make_l3_update,
)
from primitives.errors import TransientError
from tests.node.tape_world import ChaosFlow, Flow

SHAPES = [(seed, mode) for seed in range(4) for mode in ("fair", "sealed")]


def send(view, kind):
    return decode_view(encode_msgpack(view), kind)


def begin(ledger, market=0):
    l2 = LocalL2(send(make_l2(ledger.state, ledger.tape, market), L2Book))
    l3 = LocalL3(send(make_l3(ledger.state, ledger.tape, market), L3Book))
    return l2, l3


def step(ledger, flow, market=0):
    """Execute a block; return the updates of a market as a client reads them, if there are any."""
    outcome = ledger.execute(*flow.make(ledger))
    if market not in ledger.tape.block.updates:
        return None
    l2 = make_l2_update(ledger.state, ledger.tape, outcome, market)
    l3 = make_l3_update(ledger.state, ledger.tape, outcome, market)
    return send(l2, L2Update), send(l3, L3Update)


def check(ledger, l2, l3, market=0):
    book = ledger.state.markets[market].book
    assert l2.bids() == list(iterate_levels(book.bids))
    assert l2.asks() == list(iterate_levels(book.asks))
    for copy, side in ((l3.bids(), book.bids), (l3.asks(), book.asks)):
        assert copy == [(order.id, order.price, order.size) for order in iterate_orders(side)]
    assert l2.update == l3.update == ledger.tape.get_update(market)


@pytest.mark.parametrize(("seed", "mode"), SHAPES)
def test_copies_follow_the_book_from_any_moment(seed, mode, soak):
    flow = Flow(seed, mode=mode)
    ledger = flow.ledger()
    copies = [begin(ledger)]
    for height in range(80 * soak):
        updates = step(ledger, flow)
        if updates is not None:
            for l2, l3 in copies:
                assert l2.apply(updates[0])
                assert l3.apply(updates[1])
        if height % 20 == 7:
            copies.append(begin(ledger))
        for l2, l3 in copies:
            check(ledger, l2, l3)
    assert ledger.tape.get_update(0) > 20


def test_a_missing_update_is_noticed_and_a_repeated_one_ignored():
    flow = Flow(2)
    ledger = flow.ledger()
    l2, l3 = begin(ledger)
    made = [pair for pair in (step(ledger, flow) for _ in range(30)) if pair is not None]
    assert l2.apply(made[0][0])
    assert not l2.apply(made[0][0])
    with pytest.raises(BookBroken, match="updates 2 to 2 are missing"):
        l2.apply(made[2][0])
    assert l3.apply(made[0][1])
    assert not l3.apply(made[0][1])
    with pytest.raises(BookBroken, match="missing"):
        l3.apply(made[2][1])


def test_copies_follow_crossed_books_through_auctions_and_halts(soak):
    crossed = 0
    for seed, safety in (
        (0, {"mode": "auction", "auction_interval_ms": 1_500}),
        (1, {"breaker_bps": 18, "price_window_ms": 3_200, "halt_ms": 1_000}),
    ):
        flow = ChaosFlow(seed, **safety)
        ledger = flow.ledger()
        l2, l3 = begin(ledger, 2)
        for _ in range(100 * soak):
            updates = step(ledger, flow, 2)
            if updates is not None:
                l2.apply(updates[0])
                l3.apply(updates[1])
            check(ledger, l2, l3, 2)
            bids, asks = l2.bids(), l2.asks()
            crossed += bool(bids and asks and bids[0][0] >= asks[0][0])
    assert crossed > 20


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("market", [0, 1, 2])
def test_copies_follow_every_kind_of_market(seed, market, soak):
    flow = ChaosFlow(seed)
    ledger = flow.ledger()
    l2, l3 = begin(ledger, market)
    for _ in range(400 * soak):
        updates = step(ledger, flow, market)
        if updates is not None:
            l2.apply(updates[0])
            l3.apply(updates[1])
        check(ledger, l2, l3, market)
    assert l3.update > 20
    assert ledger.tape.get_stats(market).trades or market == 1  # few find each other there


@pytest.mark.parametrize("seed", range(3))
def test_lost_updates_are_always_noticed(seed, soak):
    """One update in twenty is lost on the way; a copy is right or says that it is not."""
    flow, r = Flow(seed + 40), random.Random(seed)
    ledger = flow.ledger()
    books, noticed, lost = begin(ledger), 0, 0
    for _ in range(200 * soak):
        updates = step(ledger, flow)
        if updates is None:
            continue
        if r.random() < 0.05:
            lost += 1
            continue
        try:
            books[0].apply(updates[0])
            books[1].apply(updates[1])
        except BookBroken:
            books, noticed = begin(ledger), noticed + 1
        check(ledger, *books)
    assert 0 < noticed <= lost


def test_a_wrong_level_or_order_breaks_the_checksum():
    flow = Flow(3)
    ledger = flow.ledger()
    while not (ledger.tape.get_update(0) and ledger.state.markets[0].book.bids.keys):
        step(ledger, flow)
    book2 = send(make_l2(ledger.state, ledger.tape, 0), L2Book)
    book3 = send(make_l3(ledger.state, ledger.tape, 0), L3Book)
    level = msgspec.structs.replace(book2.bids[0], size=book2.bids[0].size + 1)
    order = msgspec.structs.replace(book3.bids[0], order=book3.bids[0].order + 1)
    with pytest.raises(BookBroken, match="checksum"):
        LocalL2(msgspec.structs.replace(book2, bids=(level, *book2.bids[1:])))
    with pytest.raises(BookBroken, match="checksum"):
        LocalL3(msgspec.structs.replace(book3, bids=(order, *book3.bids[1:])))


def test_a_cut_book_is_right_as_far_as_it_goes_or_says_so(monkeypatch):
    monkeypatch.setattr(book_views, "L2_LEVELS_MAX", 5)
    monkeypatch.setattr(book_views, "L3_ORDERS_MAX", 8)
    monkeypatch.setattr("client.local_book.LEVELS", 2)
    monkeypatch.setattr("exchange.book_checksum.LEVELS", 2)
    flow = Flow(5)
    ledger = flow.ledger()
    books, broken = None, 0
    for _ in range(150):
        updates = step(ledger, flow)
        if updates is None:
            continue
        try:
            if books is None:
                books = begin(ledger)
            else:
                books[0].apply(updates[0])
                books[1].apply(updates[1])
        except (BookBroken, TransientError):
            books, broken = None, broken + 1
            continue
        book = ledger.state.markets[0].book
        bids, asks = list(iterate_levels(book.bids)), list(iterate_levels(book.asks))
        assert books[0].bids(2) == bids[:2]
        assert books[0].asks(2) == asks[:2]
    assert broken < 75
    assert ledger.tape.get_update(0) > 50


def test_checksums_are_those_of_the_specification():
    page = (Path(__file__).parents[2] / "docs/spec/market-data.md").read_text(encoding="utf-8")
    levels = sum_levels([(99, 5), (98, 7)], [(101, 3)])
    orders = sum_orders([(4, 99, 5)], [(9, 101, 3), (2, 101, 1)])
    assert f"| `99:5:101:3:98:7` | {levels} |" in page
    assert f"| `4:99:5:9:101:3:2:101:1` | {orders} |" in page
    assert sum_levels([], []) == sum_orders([], []) == 0


def test_queue_ahead_counts_what_trades_first():
    flow = Flow(6)
    ledger = flow.ledger()
    for _ in range(40):
        step(ledger, flow)
    _, l3 = begin(ledger)
    for side in (ledger.state.markets[0].book.bids, ledger.state.markets[0].book.asks):
        ahead: dict[int, int] = {}
        for order in iterate_orders(side):
            assert l3.queue_ahead(order.id) == ahead.get(order.price, 0)
            ahead[order.price] = ahead.get(order.price, 0) + order.size
    assert l3.queue_ahead(10**9) is None
