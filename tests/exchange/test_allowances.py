"""What an account may send grows with its volume, and never keeps a wallet from its funds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exchange.actions import (
    AnyOp,
    Cancel,
    CancelAll,
    CancelClient,
    Grant,
    Place,
    Revoke,
    Transfer,
    Withdraw,
    encode_amount,
)
from exchange.allowance import HOUR_MS, grow
from exchange.genesis import AllowanceTerms, VolumeRate, VolumeTerms
from exchange.queries import get_allowance
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from exchange.volume import DAY_MS
from tests.exchange.world import World, make_genesis, make_key

ANN = make_key("ann").address
KEY = make_key("key").address
TERMS = AllowanceTerms(operations_per_hour=10, growth_units=1_000_000, growth_max=3)
VOLUME = VolumeTerms(rates=(VolumeRate(asset=0, numerator=1, denominator=1),))


def make_world(**options: object) -> World:
    fields = {"mode": "fair", "allowance": TERMS, "volume": VOLUME, **options}
    world = World(make_genesis(**fields))
    world.time_ms = world.nonce = (world.time_ms // DAY_MS + 1) * DAY_MS
    world.fund("ann", "bob")
    return world


def send(world: World, trader: str, *ops: AnyOp) -> list[int]:
    return world.block(world.quick(trader, *ops)).receipts[0].statuses


def trade(world: World, lots: int) -> None:
    assert send(world, "bob", Place(0, 1, 1_000, lots)) == [Reason.OK]
    assert send(world, "ann", Place(0, 0, 1_000, lots)) == [Reason.FILLED]


def used(world: World) -> int:
    view = get_allowance(world.state, ANN)
    assert view is not None
    return view.operations_used


def test_an_hour_has_room_for_so_many_operations_and_the_next_one_begins_anew() -> None:
    world = make_world()
    assert send(world, "ann", *[Place(0, 0, 1, 1)] * 8) == [Reason.OK] * 8
    assert send(world, "ann", *[Place(0, 0, 1, 1)] * 3) == [Reason.OVER_ALLOWANCE] * 3
    assert send(world, "ann", *[Place(0, 0, 1, 1)] * 2) == [Reason.OK] * 2
    assert send(world, "ann", Place(0, 0, 1, 1)) == [Reason.OVER_ALLOWANCE]
    assert used(world) == 10
    world.time_ms += HOUR_MS
    world.nonce += HOUR_MS
    world.block()
    assert used(world) == 0
    assert send(world, "ann", Place(0, 0, 1, 1)) == [Reason.OK]


def test_cancels_have_twice_the_allowance_unless_an_order_goes_with_them() -> None:
    world = make_world()
    assert send(world, "ann", *[Place(0, 0, 1, 1)] * 10) == [Reason.OK] * 10
    assert send(world, "ann", CancelAll(0), Place(0, 0, 1, 1)) == [Reason.OVER_ALLOWANCE] * 2
    assert send(world, "ann", CancelAll(0)) == [Reason.OK]
    assert send(world, "ann", *[Cancel(0, 5)] * 9) == [Reason.UNKNOWN_ORDER] * 9
    assert send(world, "ann", CancelClient(0, 1)) == [Reason.OVER_ALLOWANCE]


def test_a_key_that_sends_everything_keeps_no_wallet_from_its_funds() -> None:
    world = make_world()
    grant = Grant(KEY, world.time_ms + 10**7, 0xFE, (), encode_amount(0), False)
    assert send(world, "ann", grant) == [Reason.OK]
    flood = world.act("key", *[CancelAll(0)] * 20, account=ANN)
    assert world.block(flood).receipts[0].statuses == [Reason.OK] * 20
    more = world.act("key", CancelAll(0), account=ANN)
    assert world.block(more).receipts[0].statuses == [Reason.OVER_ALLOWANCE]
    assert send(world, "ann", Revoke(KEY)) == [Reason.OK]
    assert send(world, "ann", Transfer(0, encode_amount(5), make_key("bob").address, 0)) == [0]
    assert send(world, "ann", Withdraw(0, encode_amount(5), ANN)) == [Reason.OK]
    assert used(world) == 20


def test_every_allowance_grows_with_the_volume_of_the_days_before() -> None:
    world = make_world(actions_per_account_block=2, orders_per_account_market=4)
    trade(world, 500)
    many = [Place(0, 0, 1, 1)] * 6
    expected = [Reason.OK] * 4 + [Reason.TOO_MANY_ORDERS] * 2
    assert send(world, "ann", *many) == expected
    world.time_ms = world.nonce = (world.time_ms // DAY_MS + 1) * DAY_MS
    world.block()
    view = get_allowance(world.state, ANN)
    assert view is not None
    assert (view.past, view.actions_per_block, view.orders_per_market) == (500_000, 3, 6)
    assert (view.operations_per_hour, view.operations_used) == (15, 0)
    assert send(world, "ann", *[Place(0, 0, 1, 1)] * 3) == [0, 0, Reason.TOO_MANY_ORDERS]
    actions = [world.quick("ann", Cancel(0, 10**6)) for _ in range(4)]
    statuses = [receipt.statuses[0] for receipt in world.block(*actions).receipts]
    assert statuses == [Reason.UNKNOWN_ORDER] * 3 + [Reason.RATE_LIMITED]


def test_a_restored_ledger_knows_what_was_sent() -> None:
    world = make_world(checkpoint_interval=1)
    assert send(world, "ann", *[Place(0, 0, 1, 1)] * 8) == [Reason.OK] * 8
    chunks = snapshot(world.state)
    world.state = restore(world.genesis, chunks)
    assert snapshot(world.state) == chunks
    assert used(world) == 8
    assert send(world, "ann", *[Place(0, 0, 1, 1)] * 3) == [Reason.OVER_ALLOWANCE] * 3


def test_without_terms_nothing_is_counted() -> None:
    world = make_world(allowance=AllowanceTerms())
    assert send(world, "ann", *[Place(0, 0, 1, 1)] * 50) == [Reason.OK] * 50
    assert used(world) == 0


@given(st.integers(0, 1 << 62), st.integers(0, 1 << 62), st.integers(0, 1 << 40))
def test_an_allowance_never_falls_with_volume_and_is_bounded(less: int, more: int, b: int) -> None:
    less, more = sorted((less, more))
    assert b <= grow(TERMS, b, less) <= grow(TERMS, b, more) <= TERMS.growth_max * b
