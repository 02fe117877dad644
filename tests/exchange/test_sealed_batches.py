"""Sealed batches, attacked: what each trick costs who tries it."""

from __future__ import annotations

import pytest

from exchange.actions import (
    BUY,
    FOK,
    GTC,
    HOLD_BASE,
    HOLD_BOTH,
    HOLD_QUOTE,
    IOC,
    POST_ONLY,
    SELL,
    Cancel,
    CancelAll,
    Commit,
    Grant,
    Place,
    Replace,
    Revoke,
    SignedAction,
    Transfer,
    Withdraw,
    encode_amount,
)
from exchange.commits import choose_tier, compute_needs
from exchange.limits import BASE_TIERS
from exchange.outcome import COMMITTED, FORFEITED, Outcome
from exchange.queries import has_waiting_batches
from exchange.reasons import Reason
from primitives.keccak import keccak256
from tests.exchange.world import BASE, QUOTE, World, make_genesis, make_key

SALT = b"\x05" * 32


class Sealed:
    """A trader's commit and the opening that fits it."""

    def __init__(
        self,
        world: World,
        trader: str,
        *orders: Place,
        hold: int = HOLD_QUOTE,
        tier: int = 5,
        salt: bytes = SALT,
    ) -> None:
        world.nonce += 1
        self.hash = world.hash_commit(trader, orders, salt, world.nonce)
        op = Commit(0, hold, tier, self.hash)
        self.commit = world.act(trader, op, nonce=world.nonce)
        self.opening = world.opening(self.hash, orders, salt)
        self.world = world
        self.trader = trader

    def open(self, trader: str = "") -> SignedAction:
        return self.world.act(trader or self.trader, self.opening)


def buy(price: int, size: int, tif: int = IOC, stp: int = 0) -> Place:
    return Place(0, BUY, price, size, tif, stp)


def sell(price: int, size: int, tif: int = IOC, stp: int = 0) -> Place:
    return Place(0, SELL, price, size, tif, stp)


def status(outcome: Outcome, index: int = 0) -> list[int]:
    return list(outcome.receipts[index].statuses)


def resolved(outcome: Outcome) -> list[int]:
    return [r.status for r in outcome.resolutions]


@pytest.fixture(params=["uniform", "shuffle"])
def world(request: pytest.FixtureRequest) -> World:
    made = World(make_genesis(matching=request.param))
    made.fund("maker", "taker", "thief")
    made.block(made.act("maker", sell(1_000, 5, GTC), sell(1_001, 5, GTC), buy(990, 5, GTC)))
    return made


def test_commit_open_clear_trades_and_returns_bond_and_tier(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_000, 7))
    outcome = world.block(sealed.commit)
    assert status(outcome) == [Reason.PENDING]
    assert outcome.commits[0].kind == COMMITTED
    # The tier of 100,000, a bond of 10 bp of it (100) and a kept fee of 0.1 bp (1).
    assert world.balance("taker", QUOTE) == (10**12 - 100_101, 100_100)
    world.block()
    outcome = world.block(sealed.open())
    assert status(outcome) == [Reason.PARTLY_FILLED]
    assert resolved(outcome) == [Reason.OK]
    assert [(f.price, f.size, f.taker_account) for f in outcome.fills] == [
        (1_000, 5, world.number("taker"))
    ]
    assert world.balance("taker", QUOTE) == (10**12 - 1 - 5_000 - 10, 0)
    assert world.insurance(QUOTE) == 0


def test_taking_without_a_commit_is_refused(world: World) -> None:
    outcome = world.block(world.act("taker", buy(1_000, 1, IOC), buy(1_000, 1, FOK)))
    assert status(outcome) == [Reason.NEEDS_COMMIT] * 2
    outcome = world.block(world.act("taker", buy(1_000, 1, GTC), buy(1_000, 1, POST_ONLY)))
    assert status(outcome) == [Reason.POST_ONLY_CROSSES] * 2


def test_batch_clears_at_once_when_all_is_open_else_when_the_window_closes(world: World) -> None:
    one, two = Sealed(world, "taker", buy(1_000, 1)), Sealed(world, "thief", buy(1_000, 1))
    world.block(one.commit, two.commit)
    world.block()
    assert not world.block(one.open()).fills
    assert len(world.block(two.open()).fills) == 2


def test_withheld_opening_forfeits_the_bond_to_insurance(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_000, 7))
    world.block(sealed.commit)
    held = []
    for _ in range(30):
        outcome = world.block()
        held.append(world.balance("taker", QUOTE)[1])
        if outcome.resolutions:
            break
    # Executed height lags by two, so the first opening block comes at once; then 2 s at 100 ms.
    assert held.count(100_100) == 21
    assert resolved(outcome) == [Reason.NOT_OPENED]
    assert outcome.commits[-1].kind == FORFEITED
    assert world.insurance(QUOTE) == 100
    assert world.balance("taker", QUOTE) == (10**12 - 101, 0)
    assert status(world.block(sealed.open())) == [Reason.UNKNOWN_COMMIT]


def test_one_proposer_alone_cannot_close_the_window(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_000, 1))
    world.block(sealed.commit)
    for _ in range(40):
        assert not world.block(proposer=2).resolutions
    for _ in range(5):
        assert not world.block(proposer=3, executed=2).resolutions  # not an opening block
    assert not world.block(proposer=3, seal=True).resolutions  # neither is a seal
    assert resolved(world.block(proposer=3)) == [Reason.NOT_OPENED]


def test_a_single_validator_closes_the_window_alone(world: World) -> None:
    world.committee = world.committee[:1]
    world.block(Sealed(world, "taker", buy(1_000, 1)).commit)
    assert has_waiting_batches(world.state)
    outcomes = [world.block(proposer=0) for _ in range(25)]
    assert [resolved(o) for o in outcomes if o.resolutions] == [[Reason.NOT_OPENED]]
    assert not has_waiting_batches(world.state)


def test_bond_quadruples_for_a_day_after_each_forfeit(world: World) -> None:
    bonds = []
    for gap_ms in (100, 100, 100, 2 * 86_400_000):
        world.time_ms += gap_ms
        world.nonce = max(world.nonce, world.time_ms)
        sealed = Sealed(world, "taker", buy(1_000, 1))
        world.block(sealed.commit)
        bonds.append(world.balance("taker", QUOTE)[1] - 100_000)
        for _ in range(30):
            if world.block(gap_ms=200).resolutions:
                break
    assert bonds == [100, 400, 1_600, 100]


def test_copied_commitment_cannot_be_opened_by_the_copier(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_000, 5))
    copy = world.act("thief", Commit(0, HOLD_QUOTE, 5, sealed.hash))
    world.block(sealed.commit, copy)
    world.block()
    outcome = world.block(sealed.open(), sealed.open("thief"))
    assert status(outcome, 1) == [Reason.OPENING_MISMATCH]
    for _ in range(30):
        outcome = world.block()
        if outcome.fills:
            break
    assert {f.taker_account for f in outcome.fills} == {world.number("taker")}
    assert world.insurance(QUOTE) == 100  # the copier's bond
    assert world.balance("thief", QUOTE)[0] == 10**12 - 101


def test_another_account_or_sub_account_cannot_open(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_000, 5))
    world.block(sealed.commit)
    outcome = world.block(
        sealed.open("thief"), world.act("taker", sealed.opening, sub=3), sealed.open()
    )
    assert status(outcome, 0) == [Reason.UNKNOWN_COMMIT]
    assert status(outcome, 1) == [Reason.UNKNOWN_COMMIT]
    assert status(outcome, 2) == [Reason.FILLED]


def test_opening_in_the_commits_own_block_is_refused(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_000, 5))
    outcome = world.block(sealed.commit, sealed.open())
    assert status(outcome, 1) == [Reason.OPENED_TOO_EARLY]
    assert status(world.block(sealed.open(), sealed.open())) == [Reason.FILLED]


def test_second_opening_changes_nothing(world: World) -> None:
    one, two = Sealed(world, "taker", buy(1_000, 1)), Sealed(world, "thief", buy(1_000, 1))
    world.block(one.commit, two.commit)
    outcome = world.block(one.open(), one.open())
    assert status(outcome, 1) == [Reason.ALREADY_OPEN]


def test_wrong_opening_may_be_corrected_in_time(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_000, 5))
    world.block(sealed.commit)
    wrong = world.act("taker", world.opening(sealed.hash, [buy(1_000, 6)], SALT))
    assert status(world.block(wrong)) == [Reason.OPENING_MISMATCH]
    assert status(world.block(sealed.open())) == [Reason.FILLED]


def test_duplicate_commit_is_refused_and_costs_nothing(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_000, 5))
    again = world.act("taker", Commit(0, HOLD_QUOTE, 5, sealed.hash))
    outcome = world.block(sealed.commit, again)
    assert status(outcome, 1) == [Reason.DUPLICATE_COMMIT]
    assert world.balance("taker", QUOTE)[1] == 100_100


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        ([buy(1_000, 100)], Reason.OPENING_OVER_TIER),  # 100,000 without room for the fee
        ([buy(1_000, 60), buy(1_000, 60)], Reason.OPENING_OVER_TIER),
        ([sell(1_000, 1)], Reason.OPENING_OVER_TIER),
        ([buy(1_000, 1, POST_ONLY)], Reason.OPENING_INVALID),
        ([Place(1, BUY, 1_000, 1, IOC)], Reason.OPENING_INVALID),
    ],
)
def test_void_content_forfeits_at_once(world: World, orders: list[Place], reason: Reason) -> None:
    sealed = Sealed(world, "taker", *orders)
    world.block(sealed.commit)
    outcome = world.block(sealed.open())
    assert status(outcome) == [reason]
    assert resolved(outcome) == [reason]
    assert world.insurance(QUOTE) == 100
    assert not outcome.fills


def test_last_look_of_a_maker_cancel_after_the_commit_comes_too_late(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_001, 10))
    world.block(sealed.commit)
    outcome = world.block(world.act("maker", CancelAll(0)), sealed.open())
    assert sum(f.size for f in outcome.fills) == 10
    assert status(outcome, 0) == [Reason.OK]
    assert status(outcome, 1) == [Reason.FILLED]


def test_cancel_in_the_commits_own_block_comes_first(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_001, 10))
    world.block(sealed.commit, world.act("maker", CancelAll(0)))
    outcome = world.block(sealed.open())
    assert outcome.fills == ()
    assert status(outcome) == [Reason.IOC_UNFILLED]


def test_late_replace_and_late_quotes_wait_behind_the_batch(world: World) -> None:
    order = next(iter(world.state.markets[0].book.orders))
    sealed = Sealed(world, "taker", buy(1_001, 10))
    world.block(sealed.commit)
    late = world.block(world.act("maker", Replace(0, order, 1_005, 5), sell(999, 1, GTC)))
    assert status(late) == [Reason.PENDING] * 2
    outcome = world.block(sealed.open())
    assert sum(f.size for f in outcome.fills) == 10
    assert [r.status for r in outcome.resolutions] == [
        Reason.OK,  # the commit
        Reason.UNKNOWN_ORDER,  # the replaced order has traded
        Reason.OK,  # the late quote rests now
    ]


def test_taker_cannot_escape_by_moving_its_balance(world: World) -> None:
    sealed = Sealed(world, "taker", buy(1_000, 5))
    free = 10**12 - 100_101
    outcome = world.block(
        sealed.commit,
        world.act("taker", Transfer(QUOTE, encode_amount(free), make_key("friend").address, 0)),
        world.act("taker", Withdraw(BASE, encode_amount(10**12), b"\x07" * 20)),
        world.act("taker", Withdraw(QUOTE, encode_amount(1), b"\x07" * 20)),
    )
    assert status(outcome, 1) == [Reason.OK]
    assert status(outcome, 3) == [Reason.INSUFFICIENT_FUNDS]
    assert status(world.block(sealed.open())) == [Reason.FILLED]


def test_taker_cannot_escape_by_revoking_its_key(world: World) -> None:
    session = make_key("session")
    owner = make_key("taker").address
    allowed = Grant(session.address, world.time_ms + 10**6, 0xFE, (), encode_amount(0), True)
    world.block(world.act("taker", allowed))
    world.nonce += 1
    orders = [buy(1_000, 5)]
    sealed_hash = world.hash_commit("taker", orders, SALT, world.nonce)
    op = Commit(0, HOLD_QUOTE, 5, sealed_hash)
    world.block(world.act(session, op, account=owner, nonce=world.nonce))
    world.block(world.act("taker", Revoke(session.address)))
    assert world.balance("taker", QUOTE)[1] == 100_100
    opening = world.act("taker", world.opening(sealed_hash, orders, SALT))
    assert status(world.block(opening)) == [Reason.FILLED]


def test_taker_cannot_escape_by_taking_its_client_id(world: World) -> None:
    order = Place(0, BUY, 1_000, 5, IOC, 0, client_id=77)
    sealed = Sealed(world, "taker", order)
    world.block(sealed.commit)
    world.block(world.act("taker", Place(0, BUY, 900, 1, client_id=77)))
    outcome = world.block(sealed.open())
    assert status(outcome) == [Reason.FILLED]


def test_commit_flood_is_bounded_and_paid_for(world: World) -> None:
    ops = [Commit(0, HOLD_QUOTE, 3, keccak256(bytes([i]))) for i in range(64)]
    outcome = world.block(
        world.act("thief", *ops), world.act("thief", Commit(0, HOLD_QUOTE, 3, bytes(32)))
    )
    assert status(outcome, 0) == [Reason.PENDING] * 64
    assert status(outcome, 1) == [Reason.TOO_MANY_COMMITS]
    for _ in range(30):
        world.block()
    assert world.insurance(QUOTE) == 64  # a bond of at least one atom each
    assert world.balance("thief", QUOTE) == (10**12 - 128, 0)


def test_batches_clear_in_block_order_while_one_waits(world: World) -> None:
    first = Sealed(world, "taker", buy(1_000, 1))
    second = Sealed(world, "thief", buy(1_000, 1), salt=b"\x06" * 32)
    world.block(first.commit)
    world.block(second.commit)
    assert not world.block(second.open()).fills  # open, but the batch before it is not
    outcome = world.block(first.open())
    assert [f.batch for f in outcome.fills] == [3, 4]


def test_sell_and_hidden_side_commits(world: World) -> None:
    seller = Sealed(world, "taker", sell(990, 3), hold=HOLD_BASE, tier=1)
    both = Sealed(world, "thief", buy(1_000, 3), hold=HOLD_BOTH, tier=4 * BASE_TIERS + 2)
    world.block(seller.commit, both.commit)
    assert world.balance("taker", BASE) == (10**12 - 102, 101)  # 10 lots, bond 1, fee 1
    assert world.balance("thief", QUOTE)[1] == 10_010
    assert world.balance("thief", BASE)[1] == 1_001
    outcome = world.block(seller.open(), both.open())
    assert status(outcome, 0) == status(outcome, 1) == [Reason.FILLED]


def test_fair_market_takes_no_commits() -> None:
    world = World(make_genesis(mode="fair"))
    world.fund("taker")
    outcome = world.block(Sealed(world, "taker", buy(1_000, 1)).commit)
    assert status(outcome) == [Reason.NOT_SEALED]


def test_bad_tiers_and_poor_committers_are_refused(world: World) -> None:
    ops = [
        Commit(0, HOLD_QUOTE, 25, bytes(32)),
        Commit(0, HOLD_BASE, 13, bytes(32)),
        Commit(0, HOLD_BOTH, 13, bytes(32)),
        Commit(0, HOLD_QUOTE, 20, bytes(32)),
        Commit(7, HOLD_QUOTE, 1, bytes(32)),
    ]
    assert status(world.block(world.act("taker", *ops))) == [
        Reason.BAD_TIER,
        Reason.BAD_TIER,
        Reason.BAD_TIER,
        Reason.INSUFFICIENT_FUNDS,
        Reason.UNKNOWN_MARKET,
    ]


def test_atomic_commit_and_opening_can_be_taken_back(world: World) -> None:
    fees = list(world.state.fees)
    world.nonce += 1
    op = Commit(0, HOLD_BOTH, 4 * BASE_TIERS + 2, keccak256(b"x"))
    outcome = world.block(world.act("taker", op, Cancel(0, 999), atomic=True))
    assert status(outcome) == [Reason.ATOMIC_FAILED, Reason.UNKNOWN_ORDER]
    assert world.state.fees == fees
    assert outcome.commits == ()
    sealed = Sealed(world, "taker", buy(1_000, 1))
    world.block(sealed.commit)
    outcome = world.block(world.act("taker", sealed.opening, Cancel(0, 999), atomic=True))
    assert status(outcome) == [Reason.ATOMIC_FAILED, Reason.UNKNOWN_ORDER]
    assert outcome.commits == ()
    assert status(world.block(sealed.open())) == [Reason.FILLED]


def test_commit_resting_remainder_and_choose_tier(world: World) -> None:
    orders = [buy(1_000, 8, GTC)]
    quote, base = compute_needs(orders, 1, 10, 20)
    hold, tier = choose_tier(quote, base, 1, 10)
    assert (quote, base, hold, tier) == (8_016, 0, HOLD_QUOTE, 4)
    sealed = Sealed(world, "taker", *orders, hold=hold, tier=tier)
    world.block(sealed.commit)
    outcome = world.block(sealed.open())
    assert status(outcome) == [Reason.OK]
    assert world.balance("taker", QUOTE)[1] == 3_006


def test_shuffle_follows_the_salts_and_the_next_blocks_hash() -> None:
    """The order of takers is that of keccak(salt ‖ hash of k+1), whatever the leader listed."""
    orders = []
    for turn in range(2):
        world = World(make_genesis(matching="shuffle"))
        names = [f"t{i}" for i in range(8)]
        world.fund("maker", *names)
        world.block(world.act("maker", *[sell(1_000 + i, 1, GTC) for i in range(8)]))
        batch = [
            Sealed(world, name, buy(1_010, 1), salt=bytes([i]) * 32) for i, name in enumerate(names)
        ]
        listed = batch if turn == 0 else batch[::-1]
        world.block(*[s.commit for s in listed])
        outcome = world.block(*[s.open() for s in listed])
        next_hash = keccak256(b"block" + (4).to_bytes(8, "big"))
        ranks = sorted(range(8), key=lambda i: keccak256(bytes([i]) * 32 + next_hash))
        got = [f.taker_account for f in outcome.fills]
        assert got == [world.number(f"t{i}") for i in ranks]
        assert sorted(got) == [world.number(name) for name in names]
        orders.append(got)
    assert orders[0] == orders[1]


def test_visible_orders_are_ranked_not_taken_as_listed() -> None:
    firsts = set()
    for seed in range(12):
        world = World()
        world.fund("a", "b")
        one, two = world.act("a", sell(1_000, 1, GTC)), world.act("b", sell(1_000, 1, GTC))
        world.block(one, two, block_hash=keccak256(bytes([seed])))
        head = world.state.markets[0].book.asks.levels[-1_000].head
        assert head is not None
        firsts.add(head.trader.number)
    assert len(firsts) == 2


def test_the_rest_of_an_opened_order_is_not_replaced_into_the_book(world: World) -> None:
    """A replacement is in plain sight: in a sealed market it may rest, never take."""
    sealed = Sealed(world, "taker", buy(992, 3, GTC), tier=4)
    world.block(sealed.commit)
    world.block()
    order = world.block(sealed.open()).receipts[0].orders[0]
    outcome = world.block(world.act("taker", Replace(0, order, 1_000, 3)))
    assert status(outcome) == [Reason.POST_ONLY_CROSSES]
    assert outcome.fills == ()
    assert world.state.markets[0].book.orders[order].price == 992
    assert status(world.block(world.act("taker", Replace(0, order, 999, 3)))) == [Reason.OK]
