"""A vault whose chain has lost the ledger freezes, and thaws when it is found again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.actions import (
    GTC,
    CancelAll,
    Doubt,
    Place,
    Settled,
    SignedAction,
    Transfer,
    Withdraw,
    encode_amount,
)
from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from exchange.market import CANCEL_ONLY
from exchange.outcome import Outcome, VaultFrozen
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.roots import compute_roots
from exchange.snapshot import snapshot
from exchange.vaults import DOUBTED, STALE
from tests.exchange.test_vault_moves import NEXT, follow, move
from tests.exchange.world import BASE, QUOTE, VAULT, World, make_genesis, make_key

CHAIN = 31337
OTHER_CHAIN = 31338
LIMIT_MS = 10_000
VAULTS = ((CHAIN, VAULT), (OTHER_CHAIN, VAULT))


def make_world() -> World:
    return World(
        make_genesis(
            mode="fair",
            checkpoint_interval=4,
            freeze_after_ms=LIMIT_MS,
            vault_notice_ms=0,
        )
    )


def settle(world: World, height: int, *who: int, chain: int = CHAIN, vault: bytes = VAULT):
    words = [world.act(world.validators[i], Settled(chain, vault, height)) for i in who]
    return [receipt.statuses[0] for receipt in world.block(*words).receipts]


def doubt(world: World, *who: int, doubts: bool = True, content: bytes | None = None) -> list[int]:
    content = world.state.vaults[(CHAIN, VAULT)].last_hash if content is None else content
    words = [world.act(world.validators[i], Doubt(CHAIN, VAULT, content, doubts)) for i in who]
    return [receipt.statuses[0] for receipt in world.block(*words).receipts]


def first(outcome: Outcome) -> int:
    return outcome.receipts[0].statuses[0]


def pay(world: World, to: bytes = b"\x77" * 20) -> SignedAction:
    return world.act("a", Withdraw(QUOTE, encode_amount(5), to))


def frozen(world: World) -> int:
    return world.state.vaults[(CHAIN, VAULT)].frozen


def test_a_vault_without_a_settled_checkpoint_freezes_to_the_millisecond():
    world = make_world()
    world.fund("a")
    opened = world.state.vaults[(CHAIN, VAULT)].settled_ms
    assert opened == world.time_ms
    world.block(gap_ms=LIMIT_MS)
    assert frozen(world) == 0
    outcome = world.block(gap_ms=1)
    assert outcome.freezes == (VaultFrozen(CHAIN, VAULT, STALE),)
    assert [change.status for change in outcome.market_changes] == [CANCEL_ONLY]


def test_frozen_assets_stay_where_they_are_and_orders_can_be_cancelled():
    world = make_world()
    world.fund("a", "b")
    world.block(world.act("a", Place(0, 0, 1_000, 7, GTC, 0, 0)))
    world.block(gap_ms=LIMIT_MS + 1)
    roots = compute_roots(world.state).accounts
    assert first(world.block(pay(world))) == Reason.VAULT_FROZEN
    to = Transfer(QUOTE, encode_amount(5), make_key("b").address, 0)
    assert first(world.block(world.act("a", to))) == Reason.VAULT_FROZEN
    order = Place(0, 1, 1_000, 7, GTC, 0, 0)
    assert first(world.block(world.act("b", order))) == Reason.VAULT_FROZEN
    deposits = world.attest((make_key("a").address, QUOTE, 5))
    assert first(world.block(*deposits)) == Reason.VAULT_FROZEN
    assert compute_roots(world.state).accounts == roots
    held = world.balance("a", QUOTE)[1]
    world.block(world.act("a", CancelAll(0)))
    world.block()
    assert held > 0 == world.balance("a", QUOTE)[1]


def test_what_waits_in_a_batch_ends_without_loss():
    world = World(make_genesis(checkpoint_interval=4, freeze_after_ms=LIMIT_MS))
    world.fund("a")
    before = world.balance("a", QUOTE)
    world.block(world.act("a", Place(0, 0, 1_000, 7, 3, 0, 0)))
    world.block(gap_ms=LIMIT_MS + 1)
    world.block(world.act("a", CancelAll(0)))
    world.block()
    assert world.balance("a", QUOTE) == before


def test_more_than_two_thirds_settle_the_height_that_they_all_reach():
    world = make_world()
    world.fund("a")
    for _ in range(10):
        world.block()
    assert settle(world, 7, 0) == [Reason.COUNTED]
    assert settle(world, 9, 1) == [Reason.COUNTED]
    assert settle(world, 7, 1) == [Reason.ATTESTED_ALREADY]
    assert settle(world, 6, 2) == [Reason.OK]
    vault = world.state.vaults[(CHAIN, VAULT)]
    assert (vault.settled_height, vault.settled_ms) == (6, world.time_ms)
    assert settle(world, 8, 3) == [Reason.OK]
    assert vault.settled_height == 7
    assert settle(world, 7, 2) == [Reason.ATTESTED_ALREADY]
    assert settle(world, 10**6, 2) == [Reason.ATTESTATION_NOT_NEXT]
    assert settle(world, 8, 2, chain=5) == [Reason.UNKNOWN_VAULT]
    stranger = world.act("stranger", Settled(CHAIN, VAULT, 9))
    assert first(world.block(stranger)) == Reason.NOT_VALIDATOR


def test_a_settled_checkpoint_thaws():
    world = make_world()
    world.fund("a")
    world.block(gap_ms=LIMIT_MS + 1)
    settle(world, 1, 0, 1, 2)
    assert frozen(world) == STALE  # until the next block begins
    outcome = world.block(pay(world))
    assert outcome.freezes == (VaultFrozen(CHAIN, VAULT, 0),)
    assert first(outcome) == Reason.OK
    assert not world.state.markets[0].is_frozen


def test_a_third_of_the_weight_freezes_by_doubt_and_thaws_by_taking_it_back():
    world = make_world()
    world.committee = world.committee[:3]
    world.fund("a")
    assert doubt(world, 0) == [Reason.OK]
    world.block()
    assert frozen(world) == DOUBTED
    assert first(world.block(pay(world))) == Reason.VAULT_FROZEN
    assert doubt(world, 0) == [Reason.NO_CHANGE]
    assert doubt(world, 1, doubts=False) == [Reason.NO_CHANGE]
    assert doubt(world, 0, doubts=False) == [Reason.OK]
    assert first(world.block(pay(world))) == Reason.OK


def test_less_than_a_third_freezes_nothing():
    world = make_world()
    world.fund("a")
    doubt(world, 0)
    world.block()
    assert frozen(world) == 0
    doubt(world, 1)
    world.block()
    assert frozen(world) == DOUBTED


def test_a_doubt_is_about_what_was_applied_last():
    world = make_world()
    assert doubt(world, 0) == [Reason.ATTESTATION_NOT_NEXT]  # nothing was
    world.fund("a")
    assert doubt(world, 0, content=b"x" * 32) == [Reason.ATTESTATION_NOT_NEXT]
    doubt(world, 0, 1)
    world.block()
    assert frozen(world) == DOUBTED
    world.fund("b")  # more than two thirds go on from there
    world.block()
    assert frozen(world) == 0
    assert not world.state.vaults[(CHAIN, VAULT)].doubts


def test_a_move_leaves_the_freeze_behind():
    world = make_world()
    world.fund("a")
    doubt(world, 0, 1)
    world.block()
    assert world.state.markets[0].is_frozen
    move(world)
    assert not world.state.markets[0].is_frozen
    assert settle(world, 1, 0) == [Reason.VAULT_MOVED]
    assert doubt(world, 2) == [Reason.VAULT_MOVED]
    assert first(world.block(pay(world))) == Reason.OK
    follow(world, NEXT)
    world.block(gap_ms=LIMIT_MS + 1)
    assert world.state.markets[0].is_frozen  # the new one needs checkpoints as well


def test_a_decided_phase_is_what_a_market_thaws_to():
    world = make_world()
    world.fund("a")
    world.block(gap_ms=LIMIT_MS + 1)
    world.state.markets[0].status = 1
    settle(world, 1, 0, 1, 2)
    world.block()
    assert (world.state.markets[0].status, world.state.markets[0].is_frozen) == (1, False)


@pytest.mark.parametrize("limit", [0, LIMIT_MS])
def test_a_network_may_say_that_nothing_is_too_old(limit: int):
    world = World(make_genesis(freeze_after_ms=limit))
    world.block()
    world.block(gap_ms=10**9)
    assert frozen(world) == (STALE if limit else 0)


def two_chains() -> World:
    """Asset 1 is on another chain; market 0 trades both, market 1 only what is on the first."""
    place = {CHAIN: "0x" + VAULT.hex(), OTHER_CHAIN: "0x" + VAULT.hex()}
    assets = tuple(
        AssetConfig(
            name=name,
            decimals=6,
            chain_id=chain,
            vault=place[chain],
            token="0x" + bytes([number + 1] * 20).hex(),
        )
        for number, (name, chain) in enumerate(
            (("USDX", CHAIN), ("WETH", OTHER_CHAIN), ("XOM", CHAIN))
        )
    )
    markets = tuple(
        MarketConfig(name=f"M{base}", base=base, quote=QUOTE, tick=1, lot=10, mode="fair")
        for base in (BASE, 2)
    )
    return World(
        ExchangeGenesis(
            assets=assets, markets=markets, freeze_after_ms=LIMIT_MS, checkpoint_interval=4
        )
    )


def test_a_frozen_chain_does_not_hold_up_the_other_one():
    world = two_chains()
    world.block(*world.attest((make_key("a").address, QUOTE, 10**6)))
    world.block(gap_ms=LIMIT_MS // 2)
    settle(world, 1, 0, 1, 2)
    outcome = world.block(gap_ms=LIMIT_MS // 2)
    assert outcome.freezes == (VaultFrozen(OTHER_CHAIN, VAULT, STALE),)
    assert [market.is_frozen for market in world.state.markets] == [True, False]
    assert first(world.block(pay(world))) == Reason.OK
    order = world.act("a", Place(1, 0, 100, 7, GTC, 0, 0))
    assert first(world.block(order)) < Reason.MALFORMED


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("settle"), st.integers(0, 3), st.integers(0, 40), st.sampled_from(VAULTS)
        ),
        st.tuples(st.just("doubt"), st.integers(0, 3), st.integers(0, 1), st.just(VAULTS[0])),
        st.tuples(st.just("deposit"), st.just(0), st.integers(1, 99), st.just(VAULTS[0])),
        st.tuples(st.just("pay"), st.just(0), st.integers(1, 99), st.just(VAULTS[0])),
        st.tuples(st.just("trade"), st.integers(0, 1), st.integers(1, 9), st.just(VAULTS[0])),
        st.tuples(st.just("wait"), st.just(0), st.integers(1, LIMIT_MS), st.just(VAULTS[0])),
    ),
    max_size=25,
)


@given(STEPS)
def test_frozen_is_what_the_words_and_the_time_say(steps):
    world = two_chains()
    world.block(*world.attest((make_key("a").address, QUOTE, 10**9)))
    world.fund("b", base=0)
    for kind, who, amount, (chain, vault) in steps:
        key = world.validators[who]
        if kind == "settle":
            world.block(world.act(key, Settled(chain, vault, amount)))
        elif kind == "doubt":
            content = world.state.vaults[(chain, vault)].last_hash
            world.block(world.act(key, Doubt(chain, vault, content, amount == 1)))
        elif kind == "deposit" and not frozen(world) & STALE:
            world.block(*world.attest((make_key("a").address, QUOTE, amount)))
        elif kind == "pay":
            paid = first(world.block(pay(world))) == Reason.OK
            assert paid == (not frozen(world))
        elif kind == "trade":
            world.block(world.act("a", Place(1, 0, 100, amount, GTC, 0, 0)))
        else:
            world.block(gap_ms=amount)
        for one in world.state.vaults.values():
            is_stale = world.time_ms - one.settled_ms > LIMIT_MS
            assert not one.frozen & STALE or is_stale or one.settled_ms == world.time_ms
        twin = restore(world.genesis, snapshot(world.state))
        assert snapshot(twin) == snapshot(world.state)
        assert [m.is_frozen for m in twin.markets] == [m.is_frozen for m in world.state.markets]
