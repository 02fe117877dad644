"""A builder earns what was approved on what it brought, and never an atom more."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.actions import (
    Action,
    AnyOp,
    ApproveBuilder,
    Cancel,
    Commit,
    Grant,
    Place,
    PlaceBracket,
    PlaceIceberg,
    PlaceTrigger,
    Replace,
    Transfer,
    UseBuilder,
    VerifiedAction,
    decode_action,
    encode_amount,
)
from exchange.ledger import REWARDS
from exchange.outcome import FROM_ORDERS, Outcome
from exchange.queries import get_builders
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from exchange.typed_data import encode_typed_data
from primitives.errors import InvalidMessage
from tests.conftest import soak_factor
from tests.exchange.world import DOMAIN, NETWORK_ID, QUOTE, World, make_genesis, make_key

ANN, BOB, APP = (make_key(name).address for name in ("ann", "bob", "app"))
KEY = make_key("key").address
POST_ONLY = 3


def make_world(ppm: int = 1_000, **market: object) -> World:
    world = World(make_genesis(**{"mode": "fair", **market}))
    world.fund("ann", "bob", "app")
    if ppm:
        assert send(world, "ann", ApproveBuilder(APP, ppm)) == [Reason.OK]
    return world


def send(world: World, trader: str, *ops: AnyOp, atomic: bool = False) -> list[int]:
    return world.block(world.quick(trader, *ops, atomic=atomic)).receipts[0].statuses


def earned(outcome: Outcome) -> int:
    return sum(share.amount for share in outcome.shares if share.source == FROM_ORDERS)


def test_the_taker_pays_the_builder_out_of_what_the_order_held() -> None:
    world = make_world()
    send(world, "bob", Place(0, 1, 1_000, 100))
    before = world.balance("ann", QUOTE)[0]
    outcome = world.block(world.quick("ann", UseBuilder(APP, 500), Place(0, 0, 1_000, 100)))
    assert outcome.receipts[0].statuses == [Reason.OK, Reason.FILLED]
    assert earned(outcome) == 50
    assert world.balance("app", QUOTE)[0] == 10**12 + 50
    assert world.balance("ann", QUOTE) == (before - 100_000 - 200 - 50, 0)


def test_a_resting_order_pays_too_and_a_seller_out_of_the_proceeds() -> None:
    world = make_world()
    send(world, "ann", UseBuilder(APP, 1_000), Place(0, 1, 1_000, 100, POST_ONLY))
    before = world.balance("ann", QUOTE)[0]
    assert earned(world.block(world.quick("bob", Place(0, 0, 1_000, 40)))) == 40
    assert world.balance("ann", QUOTE)[0] == before + 40_000 - 40 - 40
    assert earned(world.block(world.quick("bob", Place(0, 0, 1_000, 60)))) == 60


def test_a_resting_buy_holds_the_builders_fee() -> None:
    world = make_world()
    send(world, "ann", UseBuilder(APP, 1_000), Place(0, 0, 1_000, 100, POST_ONLY))
    assert world.balance("ann", QUOTE)[1] == 100_000 + 200 + 100
    order_id = next(iter(world.state.markets[0].book.orders))
    send(world, "ann", Replace(0, order_id, 900, 50))
    assert world.balance("ann", QUOTE)[1] == 45_000 + 90 + 45
    send(world, "ann", Cancel(0, order_id))
    assert world.balance("ann", QUOTE) == (10**12, 0)


def test_funds_that_cover_the_order_but_not_its_builder_are_not_enough() -> None:
    world = make_world()
    send(world, "ann", Transfer(QUOTE, encode_amount(10**12 - 100_299), BOB, 0))
    named = (UseBuilder(APP, 1_000), Place(0, 0, 1_000, 100))
    assert send(world, "ann", *named) == [Reason.OK, Reason.INSUFFICIENT_FUNDS]
    assert send(world, "ann", Place(0, 0, 1_000, 100)) == [Reason.OK]


def test_the_approval_of_the_moment_bounds_what_a_resting_order_pays() -> None:
    world = make_world()
    send(world, "ann", UseBuilder(APP, 1_000), Place(0, 0, 1_000, 300, POST_ONLY))
    send(world, "ann", ApproveBuilder(APP, 300))
    assert earned(world.block(world.quick("bob", Place(0, 1, 1_000, 100)))) == 30
    send(world, "ann", ApproveBuilder(APP, 0))
    assert earned(world.block(world.quick("bob", Place(0, 1, 1_000, 100)))) == 0
    send(world, "ann", ApproveBuilder(APP, 1_000))
    assert earned(world.block(world.quick("bob", Place(0, 1, 1_000, 100)))) == 100
    assert world.balance("ann", QUOTE)[1] == 0


def test_what_is_not_approved_is_refused_with_the_orders_behind_it() -> None:
    world = make_world(400)
    order = Place(0, 0, 1, 1)
    over, unknown = Reason.OVER_APPROVAL, Reason.UNKNOWN_BUILDER
    assert send(world, "ann", UseBuilder(APP, 401), order, order) == [over] * 3
    assert send(world, "ann", UseBuilder(BOB, 0), order) == [unknown] * 2
    assert send(world, "bob", UseBuilder(APP, 1), order) == [unknown] * 2
    assert send(world, "ann", order, UseBuilder(BOB, 1), UseBuilder(APP, 1), order) == [
        Reason.OK,
        unknown,
        Reason.OK,
        Reason.OK,
    ]
    refused = send(world, "ann", order, UseBuilder(APP, 401), atomic=True)
    assert refused == [Reason.ATOMIC_FAILED, over]


def test_an_approval_is_bounded_and_names_another_account() -> None:
    world = make_world(0, builder_fee_ppm_max=500)
    for builder, ppm, reason in (
        (APP, 501, Reason.BAD_BUILDER),
        (APP, 0, Reason.UNKNOWN_BUILDER),
        (ANN, 5, Reason.UNKNOWN_BUILDER),
        (bytes(20), 5, Reason.UNKNOWN_BUILDER),
        (REWARDS, 5, Reason.UNKNOWN_BUILDER),
        (make_key("nobody").address, 5, Reason.UNKNOWN_BUILDER),
        (APP, 500, Reason.OK),
    ):
        assert send(world, "ann", ApproveBuilder(builder, ppm)) == [reason]
    assert get_builders(world.state, ANN) == [(APP, 500)]
    world.fund(*(f"app {i}" for i in range(16)))
    reasons = [
        send(world, "ann", ApproveBuilder(make_key(f"app {i}").address, 5))[0] for i in range(16)
    ]
    assert reasons == [Reason.OK] * 15 + [Reason.TOO_MANY_BUILDERS]
    assert send(world, "ann", ApproveBuilder(APP, 7)) == [Reason.OK]
    assert send(world, "ann", ApproveBuilder(APP, 0)) == [Reason.OK]
    assert send(world, "ann", ApproveBuilder(make_key("app 15").address, 5)) == [Reason.OK]


def test_a_session_key_uses_a_builder_if_granted_and_never_approves_one() -> None:
    world = make_world()
    for bits, expected in ((0xFE, Reason.KEY_LACKS_ACTION), (0xFE | 1 << 16, Reason.OK)):
        key = make_key(f"key {bits}")
        grant = Grant(key.address, world.time_ms + 10**7, bits, (), encode_amount(0), False)
        assert send(world, "ann", grant) == [Reason.OK]
        action = world.act(key, UseBuilder(APP, 5), account=ANN)
        assert world.block(action).receipts[0].statuses == [expected]
        approve = world.act(key, ApproveBuilder(APP, 1_000), account=ANN)
        assert world.block(approve).receipts[0].statuses == [Reason.NEEDS_WALLET]
    mixed = world.act("ann", ApproveBuilder(APP, 5), Place(0, 0, 1, 1))
    assert set(world.block(mixed).receipts[0].statuses) == {Reason.MIXED_OPERATIONS}
    sub = world.act("ann", ApproveBuilder(APP, 5), sub=3)
    assert world.block(sub).receipts[0].statuses == [Reason.MALFORMED]


def test_the_wallet_signs_typed_data_that_says_builder_and_fee() -> None:
    world = make_world(0)
    signed = world.act("ann", ApproveBuilder(APP, 250))
    assert world.block(signed).receipts[0].statuses == [Reason.OK]
    data = encode_typed_data(NETWORK_ID, decode_action(signed.payload))
    assert data["primaryType"] == "ApproveBuilder"
    message = data["message"]
    assert isinstance(message, dict)
    assert (message["builder"], message["maxFeePpm"]) == ("0x" + APP.hex(), "250")


def test_sub_accounts_share_the_approval_and_pay_by_themselves() -> None:
    world = make_world()
    send(world, "ann", Transfer(QUOTE, encode_amount(10**6), ANN, 5))
    send(world, "bob", Place(0, 1, 1_000, 100))
    outcome = world.block(
        world.quick("ann", UseBuilder(APP, 1_000), Place(0, 0, 1_000, 100), sub=5)
    )
    assert earned(outcome) == 100
    assert world.balance("ann", QUOTE, 5) == (10**6 - 100_300, 0)


def test_an_opening_names_the_builder_and_its_tier_must_cover_the_fee() -> None:
    for ppm, expected in ((5, Reason.FILLED), (6, Reason.OPENING_OVER_TIER)):
        world = make_world(mode="sealed", matching="shuffle")
        send(world, "bob", Place(0, 1, 1_000, 1_000, POST_ONLY))
        orders = (Place(0, 0, 1_000, 998, 1),)  # 998,000 and a fee of 1,996 leave 4
        salt = b"\x07" * 32
        nonce = world.nonce + 1
        digest = world.hash_commit("ann", orders, salt, nonce)
        commit = world.quick("ann", Commit(0, 0, 6, digest))
        assert commit.nonce_ms == nonce
        assert world.block(commit).receipts[0].statuses == [Reason.PENDING]
        world.block()
        world.block(executed=world.state.height)
        opening = world.quick("ann", UseBuilder(APP, ppm), world.opening(digest, orders, salt))
        outcome = world.block(opening, executed=world.state.height)
        status = outcome.receipts[0].statuses[1]
        paid = earned(outcome)
        while status == Reason.PENDING:
            outcome = world.block(executed=world.state.height, gap_ms=3_000)
            paid += earned(outcome)
            status = next((r.status for r in outcome.resolutions if r.op == 1), status)
        assert status == expected
        assert paid == (998_000 * ppm // 10**6 if expected == Reason.FILLED else 0)


def test_parts_triggers_and_exits_keep_the_builder_of_their_order() -> None:
    world = make_world()
    named = UseBuilder(APP, 1_000)
    send(world, "ann", named, PlaceIceberg(0, 1, 1_000, 300, 100))
    paid = 0
    for _ in range(8):
        paid += earned(world.block(world.quick("bob", Place(0, 0, 1_000, 100, 1))))
    assert paid == 300
    send(world, "ann", named, PlaceTrigger(0, 1, 100, 0, 0, 900, 800))
    send(world, "bob", Place(0, 0, 880, 500))
    send(world, "ann", Place(0, 1, 880, 1))
    outcomes = [world.block() for _ in range(3)]
    assert sum(earned(outcome) for outcome in outcomes) == 88
    send(world, "ann", named, PlaceBracket(0, 1, 880, 100, 1, 0, 0, 1_000, 1_100, 0, 0))
    exits = list(world.state.markets[0].triggers.by_id.values())
    assert [trigger.order.builder_ppm for trigger in exits] == [1_000]


def test_a_restored_ledger_pays_the_same_builder() -> None:
    world = make_world()
    send(world, "ann", UseBuilder(APP, 700), Place(0, 0, 1_000, 100, POST_ONLY))
    chunks = snapshot(world.state)
    world.state = restore(world.genesis, chunks)
    assert snapshot(world.state) == chunks
    assert earned(world.block(world.quick("bob", Place(0, 1, 1_000, 100)))) == 70


def test_a_snapshot_that_pays_a_stranger_is_refused() -> None:
    world = make_world()
    world.state.by_address[ANN].builders[99] = 5
    with pytest.raises(InvalidMessage):
        restore(world.genesis, snapshot(world.state))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.integers(0, 1),
        st.integers(1, 30),
        st.integers(1, 400),
        st.integers(0, 1_000),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=25 * soak_factor(), deadline=None)
@given(STEPS, st.integers(0, 1_000), st.integers(0, 1_000))
def test_no_builder_gets_more_than_its_part_of_the_notional(
    steps: list[tuple[str, int, int, int, int, int]], ann_ppm: int, bob_ppm: int
) -> None:
    """`World` checks conservation, holds and signs of balances after every block."""
    world = make_world(0, tick=7)
    approved = {"ann": ann_ppm, "bob": bob_ppm}
    for name, ppm in approved.items():
        if ppm:
            assert send(world, name, ApproveBuilder(APP, ppm)) == [Reason.OK]
    bound = paid = 0
    for name, side, price, size, ppm, tif in steps:
        action: VerifiedAction = world.quick(
            name, UseBuilder(APP, ppm), Place(0, side, price, size, tif)
        )
        outcome = world.block(action)
        if ppm > approved[name] or not approved[name]:
            assert min(outcome.receipts[0].statuses) >= Reason.UNKNOWN_BUILDER
        for fill in outcome.fills:
            bound += fill.price * fill.size * 7 * (ann_ppm + bob_ppm)
            assert fill.maker_fee <= -(-fill.price * fill.size * 7 // 1_000)
            assert fill.taker_fee <= -(-fill.price * fill.size * 7 * 2 // 1_000)
        paid += earned(outcome)
    assert paid * 10**6 <= bound
    assert world.balance("app", QUOTE)[0] == 10**12 + paid
    chunks = snapshot(world.state)
    assert snapshot(restore(world.genesis, chunks)) == chunks


def test_an_approval_has_its_own_digest_under_every_network() -> None:
    action = Action(DOMAIN, ANN, 0, 1, 2, False, (ApproveBuilder(APP, 5),))
    other = Action(DOMAIN, ANN, 0, 1, 2, False, (ApproveBuilder(APP, 6),))
    assert encode_typed_data(NETWORK_ID, action) != encode_typed_data(NETWORK_ID, other)
