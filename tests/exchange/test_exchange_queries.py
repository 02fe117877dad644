"""What the API may ask of the state."""

from __future__ import annotations

from exchange.actions import Cancel, Commit, Grant, Place, encode_amount
from exchange.queries import (
    CommitView,
    count_orders,
    get_account,
    get_balances,
    get_best,
    get_commits,
    get_depth,
    get_keys,
    get_open_orders,
    get_order,
)
from exchange.reasons import is_accepted
from tests.exchange.world import World, make_key

NOBODY = b"\x01" * 20


def test_depth_is_bounded_and_best_first() -> None:
    world = World()
    world.fund("a")
    world.block(world.act("a", *[Place(0, 0, 900 + i, i + 1) for i in range(5)]))
    world.block(world.act("a", *[Place(0, 1, 1_000 + i, i + 1) for i in range(5)]))
    bids, asks = get_depth(world.state, 0, 2)
    assert bids == [(904, 5), (903, 4)]
    assert asks == [(1_000, 1), (1_001, 2)]
    assert get_depth(world.state, 0, 0) == ([], [])
    assert len(get_depth(world.state, 0, 99)[0]) == 5
    assert get_best(world.state, 0) == (904, 1_000)
    assert count_orders(world.state, 0) == 10


def test_orders_by_id_and_by_owner() -> None:
    world = World()
    world.fund("a")
    outcome = world.block(world.act("a", Place(0, 0, 900, 5, client_id=9)))
    [number] = outcome.receipts[0].orders
    order = get_order(world.state, 0, number)
    assert order is not None
    assert (order.price, order.size, order.total, order.client_id, order.resting) == (
        900,
        5,
        5,
        9,
        True,
    )
    assert get_open_orders(world.state, make_key("a").address) == [order]
    world.block(world.act("a", Cancel(0, number)))
    assert get_order(world.state, 0, number) is None


def test_live_commits_and_pending_orders_show() -> None:
    world = World()
    world.fund("a")
    world.block(world.act("a", Commit(0, 0, 5, b"\x01" * 32)))
    owner = make_key("a").address
    assert get_commits(world.state, owner) == [CommitView(0, 2, b"\x01" * 32, 0)]
    outcome = world.block(world.act("a", Place(0, 0, 900, 5)))
    assert is_accepted(outcome.receipts[0].statuses[0])
    [order] = get_open_orders(world.state, owner)
    assert not order.resting


def test_strangers_have_nothing() -> None:
    world = World()
    assert get_account(world.state, NOBODY) is None
    assert get_balances(world.state, NOBODY) == []
    assert get_open_orders(world.state, NOBODY) == []
    assert get_keys(world.state, NOBODY, 9) == []
    assert get_commits(world.state, NOBODY) == []


def test_an_account_of_many_keys_shows_its_newest() -> None:
    world = World()
    world.fund("a")
    keys = [bytes([n]) * 20 for n in range(1, 6)]
    expiry = world.time_ms + 10**7
    grants = [Grant(key, expiry, 2, (), encode_amount(0), False) for key in keys]
    world.block(*[world.act("a", grant) for grant in grants])
    views = get_keys(world.state, make_key("a").address, 2)
    assert [view.key for view in views] == keys[3:]
