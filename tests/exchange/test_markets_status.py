"""The committee restricts, opens and delists markets; whatever waits ends without a loss."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from exchange.actions import POST_ONLY as TIF_POST_ONLY
from exchange.actions import (
    Cancel,
    CancelAll,
    Commit,
    Place,
    Replace,
    SetMarket,
    VerifiedAction,
    Withdraw,
    encode_amount,
    verify,
)
from exchange.conservation import verify_books, verify_conservation, verify_holds
from exchange.execute import BlockInput, execute
from exchange.market import CANCEL_ONLY, DELISTED, OPEN, POST_ONLY
from exchange.outcome import CLOSED, VOIDED, Outcome
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from primitives.keccak import keccak256
from tests.conftest import soak_factor
from tests.exchange.chaos import Chaos
from tests.exchange.world import BASE, DOMAIN, QUOTE, World, make_genesis, make_key

FAIR = {"mode": "fair"}
SEEDS = 8 * soak_factor()


def vote(world: World, status: int, *who: int, market: int = 0, number: int = 0) -> Outcome:
    return world.block(
        *(world.act(world.validators[i], SetMarket(market, number, status)) for i in who)
    )


def first(outcome: Outcome) -> list[int]:
    return [receipt.statuses[0] for receipt in outcome.receipts]


def make_world(*, markets: int = 1, **market: str) -> World:
    world = World(make_genesis(markets=markets, **market))
    world.fund("ann", "bob", quote=10**9, base=10**9)
    return world


def test_more_than_two_thirds_of_the_weight_decide() -> None:
    world = make_world()
    assert first(vote(world, CANCEL_ONLY, 0, 1)) == [Reason.COUNTED] * 2
    assert world.state.markets[0].status == OPEN
    done = vote(world, CANCEL_ONLY, 2, 3)
    assert first(done) == [Reason.OK, Reason.NOT_THIS_ROUND]
    assert world.state.markets[0].status == CANCEL_ONLY
    assert [tuple(c) for c in map(msgspec.to_builtins, done.market_changes)] == [(0, 2, 1, 0, 0)]


def test_a_newer_word_replaces_the_older_one_and_no_change_takes_it_back() -> None:
    world = make_world()
    vote(world, CANCEL_ONLY, 0, 1)
    vote(world, POST_ONLY, 1)
    assert first(vote(world, OPEN, 0)) == [Reason.NO_CHANGE]
    assert first(vote(world, CANCEL_ONLY, 2)) == [Reason.COUNTED]
    assert first(vote(world, POST_ONLY, 2, 3)) == [Reason.COUNTED, Reason.OK]
    assert world.state.markets[0].status == POST_ONLY


def test_words_of_members_who_left_the_committee_weigh_nothing() -> None:
    world = make_world()
    vote(world, CANCEL_ONLY, 0, 1)
    world.committee = world.committee[1:]
    assert first(vote(world, CANCEL_ONLY, 0)) == [Reason.NOT_VALIDATOR]
    assert first(vote(world, CANCEL_ONLY, 2)) == [Reason.COUNTED]  # two of three is not enough
    assert first(vote(world, CANCEL_ONLY, 3)) == [Reason.OK]


def test_strangers_unknown_markets_and_company_are_refused() -> None:
    world = make_world()
    stranger = world.act("ann", SetMarket(0, 0, CANCEL_ONLY))
    unknown = world.act(world.validators[0], SetMarket(7, 0, CANCEL_ONLY))
    again = world.act(world.validators[0], SetMarket(0, 3, CANCEL_ONLY))
    outcome = world.block(stranger, unknown, again)
    assert first(outcome) == [Reason.NOT_VALIDATOR, Reason.UNKNOWN_MARKET, Reason.NOT_THIS_ROUND]
    two = world.act(world.validators[0], SetMarket(0, 0, 1), SetMarket(0, 0, 1))
    assert verify(two, DOMAIN).error == Reason.MIXED_OPERATIONS
    other = world.act("session", SetMarket(0, 0, 1), account=world.validators[0].address)
    assert verify(other, DOMAIN).error == Reason.NOT_VALIDATOR


def test_post_only_takes_orders_that_rest() -> None:
    world = make_world(**FAIR)
    world.block(world.act("ann", Place(0, 1, 1_000, 5)))
    vote(world, POST_ONLY, 0, 1, 2)
    resting = world.state.next_order
    outcome = world.block(
        world.act("bob", Place(0, 0, 1_000, 5, tif=1)),
        world.act("bob", Place(0, 0, 1_000, 5)),
        world.act("bob", Place(0, 0, 990, 5)),
        world.act("ann", Replace(0, resting - 1, 990, 5)),
    )
    assert first(outcome) == [
        Reason.MARKET_POST_ONLY, Reason.POST_ONLY_CROSSES, Reason.OK, Reason.MARKET_POST_ONLY,
    ]  # fmt: skip
    assert outcome.fills == ()
    kept = world.state.next_order - 1
    assert world.state.markets[0].book.orders[kept].tif == TIF_POST_ONLY
    assert first(world.block(world.act("bob", Replace(0, kept, 991, 5)))) == [Reason.OK]


def test_cancel_only_takes_cancels_and_leaves_money_free_to_go() -> None:
    world = make_world(**FAIR)
    world.block(world.act("ann", Place(0, 1, 1_000, 5)), world.act("ann", Place(0, 1, 1_001, 5)))
    low = min(world.state.markets[0].book.orders)
    vote(world, CANCEL_ONLY, 0, 1, 2)
    amount = encode_amount(10**9)
    outcome = world.block(
        world.act("bob", Place(0, 0, 900, 5)),
        world.act("ann", Replace(0, low, 1_002, 5)),
        world.act("ann", Cancel(0, low)),
        world.act("bob", Withdraw(QUOTE, amount, b"\x09" * 20)),
        world.act("ann", CancelAll(0)),
    )
    closed = Reason.MARKET_CANCEL_ONLY
    assert first(outcome) == [closed, closed, Reason.OK, Reason.OK, Reason.OK]
    assert first(world.block(world.act("ann", Withdraw(BASE, amount, b"\x09" * 20)))) == [Reason.OK]
    assert first(vote(world, OPEN, 0, 1, 2, number=1))[-1] == Reason.OK
    assert first(world.block(world.act("bob", Place(0, 0, 900, 1)))) == [Reason.INSUFFICIENT_FUNDS]


def test_orders_and_replacements_of_the_same_block_end_without_a_trade() -> None:
    world = make_world(**FAIR)
    world.block(world.act("ann", Place(0, 1, 1_000, 5)))
    resting = world.state.next_order - 1
    votes = [world.act(v, SetMarket(0, 0, CANCEL_ONLY)) for v in world.validators[:3]]
    outcome = world.block(
        world.act("bob", Place(0, 0, 1_000, 5)),
        world.act("ann", Replace(0, resting, 1_100, 9)),
        *votes,
    )
    closed = Reason.MARKET_CANCEL_ONLY
    assert first(outcome)[:2] == [closed, closed]
    assert outcome.fills == ()
    assert world.balance("bob", QUOTE) == (10**9, 0)
    assert world.balance("ann", BASE) == (10**9 - 50, 50)


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("status", [CANCEL_ONLY, DELISTED])
def test_commits_are_void_without_forfeit(opened: bool, status: int) -> None:
    world = make_world()
    orders = (Place(0, 0, 1_000, 5, tif=1),)
    salt = b"s" * 32
    world.nonce += 1
    nonce = world.nonce
    hashed = world.hash_commit("ann", orders, salt, nonce)
    world.block(world.act("ann", Commit(0, 0, 4, hashed), nonce=nonce))
    fee = 10**9 - sum(world.balance("ann", QUOTE))
    assert fee > 0
    before = []
    if opened:
        before = [world.act("ann", world.opening(hashed, orders, salt))]
    votes = [world.act(v, SetMarket(0, 0, status)) for v in world.validators[:3]]
    outcome = world.block(*before, *votes)
    assert world.balance("ann", QUOTE) == (10**9 - fee, 0)
    assert world.insurance(QUOTE) == 0
    assert world.state.by_address[make_key("ann").address].commits == 0
    assert [event.kind for event in outcome.commits][-1] == VOIDED
    expected = Reason.MARKET_DELISTED if status == DELISTED else Reason.MARKET_CANCEL_ONLY
    assert [r.status for r in outcome.resolutions] == [expected]
    if opened:
        assert outcome.receipts[0].statuses == [expected]


def test_delisting_ends_every_order_for_ever() -> None:
    world = make_world(**FAIR)
    world.block(world.act("ann", Place(0, 1, 1_000, 5)), world.act("bob", Place(0, 0, 900, 5)))
    outcome = vote(world, DELISTED, 0, 1, 2)
    gone = [(e.kind, e.reason) for e in outcome.orders]
    assert gone == [(CLOSED, Reason.MARKET_DELISTED)] * 2
    assert world.balance("ann", BASE) == (10**9, 0)
    assert world.balance("bob", QUOTE) == (10**9, 0)
    assert not world.state.markets[0].book.orders
    assert first(world.block(world.act("bob", Place(0, 0, 900, 5)))) == [Reason.MARKET_DELISTED]
    assert first(vote(world, OPEN, 0, 1, 2, number=1)) == [Reason.MARKET_DELISTED] * 3


def test_other_markets_go_on() -> None:
    world = make_world(markets=2, **FAIR)
    vote(world, DELISTED, 0, 1, 2)
    outcome = world.block(
        world.act("ann", Place(1, 1, 1_000, 5)), world.act("bob", Place(1, 0, 1_000, 5))
    )
    assert len(outcome.fills) == 1


class Governed(Chaos):
    """Chaos in which validators change their minds about every market, at last for good."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.known = [[OPEN, 0] for _ in range(3)]
        """Status and round per market, as they must be."""

    def make_block(self) -> BlockInput:
        block = super().make_block()
        rng = self.random
        market = rng.randrange(3)
        status = rng.choice((OPEN, OPEN, POST_ONLY, CANCEL_ONLY)) if self.height < 55 else DELISTED
        known = self.known[market]
        voters = self.world.committee[: 4 if rng.random() < 0.4 else 1]
        votes = [self.make_vote(v[0], SetMarket(market, known[1], status)) for v in voters]
        if len(voters) == 4 and status != known[0] != DELISTED:
            known[0] = status
            known[1] += 1
        actions = [*block.actions, *votes]
        rng.shuffle(actions)
        block.actions = tuple(actions)
        return block

    def make_vote(self, voter: bytes, op: SetMarket) -> VerifiedAction:
        self.nonce += 1
        action = VerifiedAction(keccak256(self.nonce.to_bytes(8, "big")), 0, None, voter)
        action.domain = DOMAIN
        action.account = voter
        action.nonce_ms = self.nonce
        action.deadline_ms = self.nonce + 80_000_000
        action.ops = (op,)
        return action


def run(seed: int, blocks: int = 60) -> tuple[Governed, list[BlockInput], list[Outcome]]:
    chaos = Governed(seed)
    chaos.first_block()
    inputs, outcomes = [], []
    for _ in range(blocks):
        inputs.append(chaos.make_block())
        outcomes.append(execute(chaos.world.state, inputs[-1]))
        verify_books(chaos.world.state)
        verify_holds(chaos.world.state)
        verify_conservation(chaos.world.state)
    return chaos, inputs, outcomes


def test_no_atom_is_lost_and_nothing_stays_pending_whatever_is_decided() -> None:
    reached: set[int] = set()
    fills = 0
    for seed in range(SEEDS):
        chaos, _, outcomes = run(seed)
        state = chaos.world.state
        assert [[m.status, m.round] for m in state.markets] == chaos.known
        while any(market.batches for market in state.markets):
            block = chaos.make_block()
            block.actions = ()
            outcomes.append(execute(state, block))
        pending, resolved = set(), []
        for outcome in outcomes:
            fills += len(outcome.fills)
            for change in outcome.market_changes:
                reached.add(change.status)
            for receipt in outcome.receipts:
                for op, status in enumerate(receipt.statuses):
                    if status == Reason.PENDING:
                        pending.add((receipt.action_id, op))
            resolved += [(r.action_id, r.op) for r in outcome.resolutions]
        assert len(resolved) == len(set(resolved))
        assert set(resolved) == pending
    assert reached == {OPEN, POST_ONLY, CANCEL_ONLY, DELISTED}
    assert fills > SEEDS


def test_a_restored_ledger_goes_on_with_votes_and_statuses() -> None:
    for seed in range(SEEDS // 2):
        chaos = Governed(seed)
        chaos.first_block()
        state = chaos.world.state
        copies = []
        for height in range(60):
            if height % 9 == seed % 9:
                chunks = snapshot(state)
                copies.append(restore(chaos.world.genesis, chunks))
                assert snapshot(copies[-1]) == chunks
            block = chaos.make_block()
            expected = msgspec.msgpack.encode(execute(state, block))
            for copy in copies:
                assert msgspec.msgpack.encode(execute(copy, block)) == expected


def digest(seed: int) -> str:
    chaos, _, outcomes = run(seed)
    parts = [msgspec.msgpack.encode(o) for o in outcomes] + list(snapshot(chaos.world.state))
    return keccak256(b"".join(parts)).hex()


def test_decisions_do_not_depend_on_the_hash_seed() -> None:
    script = "from tests.exchange.test_markets_status import digest; print(digest(3))"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest(3)
