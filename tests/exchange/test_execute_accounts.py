"""Accounts, keys, nonces, limits: who may do what, and that a refusal changes nothing."""

from __future__ import annotations

import pytest

from exchange.actions import (
    AnyOp,
    Cancel,
    CancelAll,
    CancelClient,
    Grant,
    Place,
    Replace,
    Revoke,
    SignedAction,
    Transfer,
    Withdraw,
    encode_amount,
)
from exchange.authority import prune_nonces
from exchange.outcome import CLOSED, RESTING, Outcome
from exchange.queries import get_balances, get_depth, get_keys, get_open_orders
from exchange.reasons import Reason
from tests.exchange.world import BASE, QUOTE, World, make_genesis, make_key

DAY_MS = 86_400_000
ALL = 0b11111110


def grant(
    world: World,
    *,
    key: str = "session",
    actions: int = ALL,
    markets: tuple[int, ...] = (),
    cap: int = 0,
    cancel: bool = False,
    life_ms: int = DAY_MS,
) -> Grant:
    expiry = world.time_ms + life_ms
    address = make_key(key).address
    return Grant(address, expiry, actions, markets, encode_amount(cap), cancel)


@pytest.fixture
def world() -> World:
    made = World(make_genesis(markets=2))
    made.fund("a", "b")
    return made


def by_session(world: World, *ops: AnyOp, key: str = "session", owner: str = "a") -> SignedAction:
    return world.act(make_key(key), *ops, account=make_key(owner).address)


def statuses(outcome: Outcome) -> list[list[int]]:
    return [list(r.statuses) for r in outcome.receipts]


def test_order_rests_with_exactly_its_funds_held(world: World) -> None:
    outcome = world.block(world.act("a", Place(0, 0, 1_000, 7), Place(0, 1, 1_010, 3)))
    assert statuses(outcome) == [[0, 0]]
    assert world.balance("a", QUOTE) == (10**12 - 7_014, 7_014)  # 0.2 % of 7,000 is 14
    assert world.balance("a", BASE) == (10**12 - 30, 30)
    assert get_depth(world.state, 0, 5) == ([(1_000, 7)], [(1_010, 3)])
    assert [e.kind for e in outcome.orders] == [RESTING, RESTING]


def test_unknown_account_market_asset_and_poor_trader_are_refused(world: World) -> None:
    outcome = world.block(
        world.act("nobody", Place(0, 0, 5, 5)),
        world.act("a", Place(9, 0, 5, 5), Place(0, 0, 10**9, 10**9)),
        world.act("a", Withdraw(9, encode_amount(5), b"\x01" * 20)),
    )
    assert statuses(outcome) == [
        [Reason.UNKNOWN_ACCOUNT],
        [Reason.UNKNOWN_MARKET, Reason.INSUFFICIENT_FUNDS],
        [Reason.UNKNOWN_ASSET],
    ]
    assert outcome.balances == ()


def test_replayed_action_is_refused_and_nonces_need_no_order(world: World) -> None:
    first = world.act("a", Place(0, 0, 1_000, 1), nonce=world.nonce + 50)
    second = world.act("a", Place(0, 0, 1_000, 1), nonce=world.nonce + 20)
    outcome = world.block(first, second, first)
    assert statuses(outcome) == [[0], [0], [Reason.NONCE_USED]]
    assert statuses(world.block(second)) == [[Reason.NONCE_USED]]


def test_only_the_hundred_highest_nonces_are_kept(world: World) -> None:
    start = world.nonce + 1_000
    cancel = CancelAll(0)
    world.block(*[world.act("a", cancel, nonce=start + i) for i in range(100)])
    assert statuses(world.block(world.act("a", cancel, nonce=start - 1))) == [
        [Reason.NONCE_TOO_OLD]
    ]
    assert len(world.state.nonces[make_key("a").address]) == 100


def test_nonce_and_deadline_windows(world: World) -> None:
    now = world.time_ms + 100
    op = CancelAll(0)
    cases = [
        (now - 2 * DAY_MS - 1, None, Reason.DEADLINE_PASSED),
        (now + DAY_MS + 1, None, Reason.NONCE_OUT_OF_WINDOW),
        (now, now - 1, Reason.DEADLINE_PASSED),
        (now, now + DAY_MS + 1, Reason.DEADLINE_TOO_FAR),
        (now, now, Reason.OK),
        (now + 1, now + DAY_MS + 1, Reason.OK),
    ]
    actions = [world.act("a", op, nonce=n, deadline=d) for n, d, _ in cases]
    assert statuses(world.block(*actions)) == [[reason] for _, _, reason in cases]


def test_nonces_of_the_past_are_forgotten_but_stay_unusable(world: World) -> None:
    old = world.act("a", CancelAll(0))
    world.block(old)
    world.block(gap_ms=3 * DAY_MS)
    prune_nonces(world.state)
    assert make_key("a").address not in world.state.nonces
    assert statuses(world.block(old)) == [[Reason.DEADLINE_PASSED]]


def test_session_key_acts_within_its_scope(world: World) -> None:
    scoped = grant(world, actions=1 << 1, markets=(0,), cap=5_000)
    assert statuses(world.block(world.act("a", scoped))) == [[Reason.OK]]
    outcome = world.block(
        by_session(
            world,
            Place(0, 0, 1_000, 5),
            Place(1, 0, 1_000, 5),
            Place(0, 0, 1_000, 6),
            Cancel(0, 1),
        )
    )
    assert statuses(outcome) == [
        [
            Reason.OK,
            Reason.KEY_LACKS_MARKET,
            Reason.OVER_KEY_NOTIONAL,
            Reason.KEY_LACKS_ACTION,
        ]
    ]
    [view] = get_keys(world.state, make_key("a").address, 9)
    assert (view.notional_cap, view.markets, view.revoked) == (5_000, (0,), False)


def test_session_key_never_withdraws(world: World) -> None:
    world.block(world.act("a", grant(world)))
    stolen = Withdraw(QUOTE, encode_amount(5), b"\x01" * 20)
    assert statuses(world.block(by_session(world, stolen))) == [[Reason.NEEDS_WALLET]]


def test_session_key_ends_with_its_grant(world: World) -> None:
    world.block(world.act("a", grant(world, life_ms=1_000)))
    op = CancelAll(0)
    assert statuses(world.block(by_session(world, op))) == [[Reason.OK]]
    late = by_session(world, op)
    assert statuses(world.block(late, gap_ms=1_000)) == [[Reason.KEY_EXPIRED]]


def test_key_acts_for_one_account_only_and_is_never_granted_twice(world: World) -> None:
    world.block(world.act("a", grant(world)))
    outcome = world.block(
        by_session(world, CancelAll(0), owner="b"),
        world.act("b", grant(world)),
        world.act("a", Revoke(make_key("session").address)),
        world.act("a", grant(world)),
        by_session(world, CancelAll(0)),
        world.act("a", Revoke(make_key("session").address)),
        world.act("b", Revoke(make_key("session").address)),
    )
    assert statuses(outcome) == [
        [Reason.UNKNOWN_KEY],
        [Reason.KEY_USED_BEFORE],
        [Reason.OK],
        [Reason.KEY_USED_BEFORE],
        [Reason.KEY_REVOKED],
        [Reason.UNKNOWN_KEY],
        [Reason.UNKNOWN_KEY],
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"actions": 0}, Reason.BAD_GRANT),
        ({"actions": 1 << 20}, Reason.BAD_GRANT),
        ({"life_ms": 0}, Reason.BAD_GRANT),
        ({"life_ms": 367 * DAY_MS}, Reason.BAD_GRANT),
        ({"markets": (2,)}, Reason.BAD_GRANT),
        ({"key": "a"}, Reason.BAD_GRANT),
    ],
)
def test_bad_grants_are_refused(world: World, change: dict[str, int], reason: Reason) -> None:
    assert statuses(world.block(world.act("a", grant(world, **change)))) == [[reason]]


def test_revoking_leaves_orders_unless_the_grant_says_otherwise(world: World) -> None:
    world.block(
        world.act("a", grant(world)), world.act("a", grant(world, key="strict", cancel=True))
    )
    world.block(
        by_session(world, Place(0, 0, 900, 1)),
        by_session(world, Place(0, 0, 901, 1), Place(1, 1, 990, 1), key="strict"),
        world.act("a", Place(0, 0, 902, 1)),
    )
    world.block(world.act("a", Revoke(make_key("session").address)))
    assert len(get_open_orders(world.state, make_key("a").address)) == 4
    outcome = world.block(world.act("a", Revoke(make_key("strict").address)))
    assert {(e.price, e.kind, e.reason) for e in outcome.orders} == {
        (901, CLOSED, Reason.REVOKED),
        (990, CLOSED, Reason.REVOKED),
    }
    prices = {o.price for o in get_open_orders(world.state, make_key("a").address)}
    assert prices == {900, 902}


def test_sub_accounts_are_isolated(world: World) -> None:
    me = make_key("a").address
    outcome = world.block(
        world.act("a", Transfer(QUOTE, encode_amount(5_010), me, 7)),
        world.act("a", Place(0, 0, 1_000, 5), sub=7),
        world.act("a", Place(0, 0, 1_000, 1), sub=7),
        world.act("a", Place(0, 0, 1_000, 1), sub=8),
    )
    poor = Reason.INSUFFICIENT_FUNDS
    assert statuses(outcome) == [[0], [0], [poor], [poor]]
    order_id = outcome.receipts[1].orders[0]
    outcome = world.block(
        world.act("a", Cancel(0, order_id)), world.act("a", Cancel(0, order_id), sub=7)
    )
    assert statuses(outcome) == [[Reason.UNKNOWN_ORDER], [Reason.OK]]
    assert world.balance("a", QUOTE, sub=7) == (5_010, 0)


def test_transfer_opens_accounts_and_refuses_nonsense(world: World) -> None:
    to = make_key("new").address
    me = make_key("a").address
    outcome = world.block(
        world.act("a", Transfer(QUOTE, encode_amount(500), to, 3)),
        world.act("a", Transfer(QUOTE, encode_amount(0), to, 0)),
        world.act("a", Transfer(QUOTE, encode_amount(5), me, 0)),
        world.act("a", Transfer(QUOTE, encode_amount(5), bytes(20), 0)),
        world.act("a", Transfer(QUOTE, encode_amount(1 << 100), to, 0)),
    )
    assert statuses(outcome) == [
        [Reason.OK],
        [Reason.BAD_TRANSFER],
        [Reason.BAD_TRANSFER],
        [Reason.BAD_TRANSFER],
        [Reason.INSUFFICIENT_FUNDS],
    ]
    assert get_balances(world.state, to) == [(3, QUOTE, 500, 0)]


def test_held_funds_cannot_leave(world: World) -> None:
    free = world.balance("a", QUOTE)[0]
    outcome = world.block(
        world.act("a", Place(0, 0, 1_000, 1)),
        world.act("a", Withdraw(QUOTE, encode_amount(free - 1_001), b"\x07" * 20)),
        world.act("a", Withdraw(QUOTE, encode_amount(free - 1_002), b"\x07" * 20)),
    )
    assert statuses(outcome) == [[0], [Reason.INSUFFICIENT_FUNDS], [0]]
    [withdrawal] = outcome.withdrawals
    assert (withdrawal.index, withdrawal.amount) == (0, free - 1_002)


def test_cancels_by_id_client_id_and_all(world: World) -> None:
    placed = world.block(
        world.act("a", *[Place(0, 0, 900 + i, 1, client_id=i) for i in range(1, 6)])
    )
    ids = placed.receipts[0].orders
    outcome = world.block(
        world.act("b", Cancel(0, ids[0])),
        world.act("a", Cancel(0, ids[0]), Cancel(1, ids[1]), CancelClient(0, 2)),
        world.act("a", CancelClient(0, 99), Place(0, 0, 999, 1, client_id=2)),
    )
    assert statuses(outcome) == [
        [Reason.UNKNOWN_ORDER],
        [Reason.OK, Reason.UNKNOWN_ORDER, Reason.OK],
        [Reason.UNKNOWN_ORDER, Reason.DUPLICATE_CLIENT_ID],
    ]
    outcome = world.block(world.act("a", CancelAll(0), Place(0, 0, 950, 1)))
    assert statuses(outcome) == [[Reason.OK, Reason.OK]]
    orders = get_open_orders(world.state, make_key("a").address)
    assert [order.price for order in orders] == [950]  # the new order is not caught by it


def test_cancel_of_a_pending_order_of_the_same_block(world: World) -> None:
    before = world.state.next_order
    outcome = world.block(world.act("a", Place(0, 0, 900, 1)), world.act("a", Cancel(0, before)))
    assert statuses(outcome) == [[Reason.CANCELLED], [Reason.OK]]
    assert world.balance("a", QUOTE)[1] == 0


def test_replace_keeps_its_place_only_when_the_size_falls(world: World) -> None:
    first = world.block(world.act("a", Place(0, 1, 1_000, 5))).receipts[0].orders[0]
    second = world.block(world.act("b", Place(0, 1, 1_000, 5))).receipts[0].orders[0]
    world.block(world.act("a", Replace(0, first, 1_000, 4)))
    level = world.state.markets[0].book.asks.levels[-1_000]
    assert level.head is not None
    assert level.head.id == first
    world.block(world.act("a", Replace(0, first, 1_000, 6)))
    assert level.head.id == second
    assert level.size == 11


def test_replace_is_refused_when_poor_foreign_or_crossing(world: World) -> None:
    order = world.block(world.act("a", Place(0, 0, 1_000, 5))).receipts[0].orders[0]
    world.block(world.act("b", Place(0, 1, 1_010, 5)))
    outcome = world.block(
        world.act("a", Replace(0, order, 10**9, 10**9)),
        world.act("b", Replace(0, order, 1_001, 5)),
        world.act("a", Replace(0, order, 1_010, 5)),
    )
    assert statuses(outcome) == [
        [Reason.INSUFFICIENT_FUNDS],
        [Reason.UNKNOWN_ORDER],
        [Reason.POST_ONLY_CROSSES],
    ]
    assert get_depth(world.state, 0, 5)[0] == [(1_000, 5)]


def test_atomic_action_is_all_or_nothing(world: World) -> None:
    order = world.block(world.act("a", Place(0, 0, 900, 5))).receipts[0].orders[0]
    owner = make_key("a").address
    before = (get_open_orders(world.state, owner), get_balances(world.state, owner))
    ops = (
        Place(0, 0, 901, 1, client_id=5),
        Place(1, 1, 1_100, 1),
        Place(0, 0, 902, 1),
        Cancel(0, order),
        Replace(0, order, 903, 7),
        CancelAll(0),
        Place(0, 0, 10**9, 10**9),
        Place(0, 0, 1, 1),
    )
    outcome = world.block(world.act("a", *ops, atomic=True))
    failed = [Reason.ATOMIC_FAILED] * 8
    failed[6] = Reason.INSUFFICIENT_FUNDS
    assert statuses(outcome) == [failed]
    assert outcome.receipts[0].orders == [0] * 8
    assert outcome.levels == {}
    assert before == (get_open_orders(world.state, owner), get_balances(world.state, owner))
    assert statuses(world.block(world.act("a", *ops[:6], atomic=True))) == [[5, 0, 5, 0, 56, 0]]


def test_rate_limit_per_account_and_block() -> None:
    world = World(make_genesis(actions_per_account_block=2))
    world.fund("a", "b")
    actions = [world.act("a", CancelAll(0)) for _ in range(3)]
    outcome = world.block(*actions, world.act("b", CancelAll(0)))
    assert statuses(outcome) == [[0], [0], [Reason.RATE_LIMITED], [0]]
    assert statuses(world.block(world.act("a", CancelAll(0)))) == [[0]]


def test_live_orders_per_market_are_capped() -> None:
    world = World(make_genesis(orders_per_account_market=2))
    world.fund("a")
    outcome = world.block(world.act("a", *[Place(0, 0, 900, 1) for _ in range(3)]))
    assert statuses(outcome) == [[0, 0, Reason.TOO_MANY_ORDERS]]


def test_every_operation_of_a_bad_action_has_a_status(world: World) -> None:
    action = world.act("a", CancelAll(0), CancelAll(1))
    stranger = make_key("stranger")
    foreign = world.act(stranger, CancelAll(0), account=make_key("a").address)
    garbage = SignedAction(b"garbage", bytes(65))
    outcome = world.block(action, action, foreign, garbage)
    assert statuses(outcome) == [
        [0, 0],
        [Reason.NONCE_USED] * 2,
        [Reason.UNKNOWN_KEY],
        [Reason.MALFORMED],
    ]
