"""The root of a book depends on its resting orders alone, and finds every change."""

from __future__ import annotations

from copy import copy

import msgspec
import pytest

from exchange.book_tree import BookTree
from exchange.execute import execute
from exchange.market import Market
from exchange.operations import CancelClient, Place
from exchange.order_book import Book
from exchange.restore import restore
from exchange.snapshot import ORDERS, snapshot
from primitives.errors import InvalidMessage
from primitives.merkle import EMPTY_ROOTS
from tests.conftest import soak_factor
from tests.exchange.chaos import Chaos
from tests.exchange.world import World, make_genesis


def compute_afresh(market: Market) -> bytes:
    """The root as one who knows only the resting orders computes it."""
    orders = [copy(o) for o in market.book.orders.values() if o.level is not None]
    for order in orders:
        order.tree_place = -1
    book = Book()
    book.changed.extend(orders)
    return BookTree().update(book)


def test_root_is_the_same_however_often_it_is_brought_up_to_date() -> None:
    for seed in range(6 * soak_factor()):
        chaos = Chaos(seed)
        chaos.first_block()
        state = chaos.world.state
        for height in range(60):
            execute(state, chaos.make_block())
            for market in state.markets:
                if (height + market.id) % 7 == 0:
                    assert market.tree.update(market.book) == compute_afresh(market)


def fill_world(orders: int) -> World:
    world = World(make_genesis(mode="fair", checkpoint_interval=4))
    world.fund("a", "b")
    places = [Place(0, 1, 2_000 + i % 7, 1 + i % 5, 0, 0, i + 1) for i in range(orders)]
    for start in range(0, orders, 50):
        world.block(world.quick("a", *places[start : start + 50]))
    return world


def test_books_of_equal_totals_but_another_queue_have_another_root() -> None:
    """The queue within a level is part of the root."""
    worlds = [World(make_genesis(mode="fair")) for _ in range(2)]
    roots = []
    for world, order in zip(worlds, ((0, 1), (1, 0)), strict=True):
        world.fund("a")
        ops = [Place(0, 1, 2_000, 5, 0, 0, 1), Place(0, 1, 2_000, 5, 0, 0, 2)]
        for i in order:
            world.block(world.quick("a", ops[i]))
        market = world.state.markets[0]
        roots.append(market.tree.update(market.book))
    assert roots[0] != roots[1]


def test_emptied_book_has_the_empty_root_and_places_are_never_reused() -> None:
    world = fill_world(100)
    market = world.state.markets[0]
    assert market.tree.update(market.book) != EMPTY_ROOTS[44]
    cancels = [CancelClient(0, i + 1) for i in range(100)]
    world.block(world.quick("a", *cancels[:60]), world.quick("a", *cancels[60:]))
    assert market.tree.update(market.book) == EMPTY_ROOTS[44]
    assert list(market.tree.iterate_groups()) == []
    world.block(world.quick("a", Place(0, 1, 2_000, 1)))
    assert [o.place for o in market.book.orders.values()] == [100]


def test_chunks_of_old_orders_stay_while_new_ones_come(monkeypatch: pytest.MonkeyPatch) -> None:
    import exchange.snapshot as module

    monkeypatch.setattr(module, "SNAPSHOT_CHUNK_BYTES", 2_000)
    monkeypatch.setattr(module, "GROUPS_PER_PAGE", 4)
    world = fill_world(600)
    before = [c for c in snapshot(world.state) if c[1] == ORDERS]
    world.block(world.quick("a", Place(0, 1, 2_000, 1)))
    after = [c for c in snapshot(world.state) if c[1] == ORDERS]
    assert len(after) >= 5
    assert after[:-1] == before[: len(after) - 1]
    assert snapshot(restore(world.genesis, snapshot(world.state))) == snapshot(world.state)


def test_orders_that_were_altered_moved_or_left_out_are_refused() -> None:
    world = fill_world(40)
    chunks = list(snapshot(world.state))
    kind, (market, groups) = msgspec.msgpack.decode(chunks[-1])
    assert kind == ORDERS
    assert restore(world.genesis, chunks).markets[0].tree.root

    def refuse(changed: object, number: int = market) -> None:
        bad = [*chunks[:-1], msgspec.msgpack.encode((ORDERS, (number, changed)))]
        with pytest.raises(InvalidMessage):
            restore(world.genesis, bad)

    with pytest.raises(InvalidMessage):
        restore(world.genesis, chunks[:-1])
    refuse(groups[1:])
    refuse(groups[::-1])
    refuse([*groups, groups[-1]])
    refuse(groups, -1)
    refuse(groups, 1)
    for field in range(12):
        altered = msgspec.msgpack.decode(msgspec.msgpack.encode(groups))
        altered[1][3][field] += 1
        refuse(altered)
