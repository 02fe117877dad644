"""What many operations cost follows what they do, and they do what they say.

Rule: no test measures time; what is looked at is counted, or bounded by what comes out.
Spec: docs/spec/exchange.md. Deviations: none.
"""

from __future__ import annotations

from exchange.accounts import Trader
from exchange.actions import AnyOp, CancelAll, Commit, Grant, Place, Revoke, encode_amount
from exchange.limits import FOK_LEVELS_MAX
from exchange.order_book import Order
from exchange.outcome import CLOSED
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.exchange.world import World, make_genesis, make_key

ANN = make_key("ann").address


class Watched(dict[int, Order]):
    """Counts how many orders are looked at."""

    seen = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        for key in super().__iter__():
            Watched.seen += 1
            yield key


def make_world(orders: int, *, grant: bool = False) -> World:
    world = World(make_genesis(mode="fair"))
    world.fund("ann")
    world.check = False
    if grant:
        keys = [Grant(bytes([n]) * 20, world.time_ms + 10**7, 6, (), encode_amount(0), True)
                for n in range(1, 9)]  # fmt: skip
        world.block(*[world.quick("ann", key) for key in keys])
    for start in range(0, orders, 50):
        count = min(50, orders - start)
        world.block(world.quick("ann", *[Place(0, 0, 900, 1) for _ in range(count)]))
    return world


def trader_of(world: World) -> Trader:
    found = world.state.by_address[ANN].get_trader(0, 0)
    assert found is not None
    return found


def test_cancels_of_all_that_come_before_the_orders_look_at_none_of_them() -> None:
    world = make_world(1)
    trader = trader_of(world)
    trader.orders = Watched(trader.orders)
    Watched.seen = 0
    cancels: list[AnyOp] = [CancelAll(0)] * 60
    places: list[AnyOp] = [Place(0, 0, 900, 1)] * 60
    outcome = world.block(world.quick("ann", *cancels), world.quick("ann", *places))
    assert set(outcome.receipts[0].statuses) == {Reason.OK}
    assert len(trader.orders) == 60
    assert Watched.seen <= 1 + 60, "one look each, and the one order that was cancelled"


def test_a_key_that_placed_nothing_is_revoked_without_a_look_at_the_orders() -> None:
    world = make_world(100, grant=True)
    outcome = world.block(*[world.quick("ann", Revoke(bytes([n]) * 20)) for n in range(1, 9)])
    assert [r.statuses for r in outcome.receipts] == [[Reason.OK]] * 8
    assert not world.state.markets[0].batches
    assert len(trader_of(world).orders) == 100


def test_a_revocation_looks_at_the_sides_where_its_key_has_orders_and_at_no_others() -> None:
    world = make_world(1, grant=True)
    account = world.state.by_address[ANN]
    for sub in range(1, 100):
        balance = account.open_balance(sub, 0)
        account.add_trader(sub, 0, balance, balance)
    looks: list[object] = []

    class Sides(dict[int, Trader]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            looks.extend(self.keys())
            return super().__iter__()

    account.traders = Sides(account.traders)
    order = world.quick("ann", Place(0, 0, 900, 5))
    order.signer = b"\x01" * 20
    world.block(order)
    outcome = world.block(*[world.quick("ann", Revoke(bytes([n]) * 20)) for n in (1, 2)])
    ended = [(event.size, event.reason) for event in outcome.orders if event.kind == CLOSED]
    assert ended == [(5, Reason.REVOKED)]
    assert not looks
    assert not account.placing


def test_a_revoked_key_takes_its_own_orders_along_and_no_others() -> None:
    world = make_world(3, grant=True)
    for number, key in ((7, 1), (8, 2)):
        action = world.quick("ann", Place(0, 0, 900, number))
        action.signer = bytes([key]) * 20
        world.block(action)
    world.state = restore(world.genesis, snapshot(world.state))
    outcome = world.block(world.quick("ann", Revoke(b"\x01" * 20)))
    ended = [(event.size, event.reason) for event in outcome.orders if event.kind == CLOSED]
    assert ended == [(7, Reason.REVOKED)]
    assert sorted(order.size for order in trader_of(world).orders.values()) == [1, 1, 1, 8]


def test_a_fill_or_kill_looks_at_so_many_levels_and_no_further() -> None:
    world = make_world(0)
    world.fund("bob")
    sells = [Place(0, 1, 1_000 + n, 1) for n in range(FOK_LEVELS_MAX + 1)]
    for start in range(0, len(sells), 50):
        world.block(world.quick("ann", *sells[start : start + 50]))
    beyond = Place(0, 0, 5_000, FOK_LEVELS_MAX + 1, tif=2)
    within = Place(0, 0, 5_000, FOK_LEVELS_MAX, tif=2)
    outcome = world.block(world.quick("bob", beyond, within))
    assert outcome.receipts[0].statuses == [Reason.FOK_UNFILLABLE, Reason.FILLED]
    assert len(outcome.fills) == FOK_LEVELS_MAX


def test_hidden_orders_with_older_ids_are_cancelled_in_order() -> None:
    world = World(make_genesis(mode="sealed"))
    world.fund("ann", "bob")
    hidden, salt = (Place(0, 0, 990, 3),), b"s" * 32
    world.nonce += 1
    hashed = world.hash_commit("ann", hidden, salt, world.nonce)
    world.block(world.act("ann", Commit(0, 0, 5, hashed), nonce=world.nonce))
    opening = world.act("ann", world.opening(hashed, hidden, salt))
    other = world.act("bob", Commit(0, 0, 5, b"x" * 32))  # keeps the next batch waiting
    world.block(opening, world.act("ann", Place(0, 0, 980, 4)), other)
    trader = trader_of(world)
    assert len(trader.orders) == 2
    assert list(trader.orders) != sorted(trader.orders), "the hidden one joined with an older id"
    assert trader.list_below(10**9) == sorted(trader.orders)
    assert list(trader.orders) == sorted(trader.orders)
