"""A quorum lists assets and markets, changes terms and delists; one validator alone does not."""

from __future__ import annotations

import msgspec
import pytest

from exchange import listing, sweeping
from exchange.actions import (
    Cancel,
    ListAsset,
    ListMarket,
    Place,
    SetMarket,
    SetTerms,
    verify,
)
from exchange.genesis import AssetConfig, MarketConfig
from exchange.limits import LISTING_NOTICE_HEIGHTS
from exchange.market import CANCEL_ONLY, DELISTED, OPEN, POST_ONLY
from exchange.outcome import ASSET_LISTED, CLOSED, MARKET_LISTED, TERMS_SET, Outcome
from exchange.reasons import Reason
from tests.exchange.world import BASE, DOMAIN, QUOTE, World, make_genesis, make_key

Vote = ListAsset | ListMarket | SetTerms | SetMarket


def make_world() -> World:
    world = World(make_genesis(mode="fair"))
    world.fund("ann", "bob", quote=10**9, base=10**9)
    return world


def vote(world: World, op: Vote, *who: int) -> list[int]:
    outcome = world.block(*(world.act(world.validators[i], op) for i in who or (0, 1, 2)))
    return [receipt.statuses[0] for receipt in outcome.receipts]


def skip(world: World, blocks: int = LISTING_NOTICE_HEIGHTS) -> Outcome:
    for _ in range(blocks):
        outcome = world.block()
    return outcome


def new_asset(world: World, **fields: object) -> AssetConfig:
    wanted = {"name": "NEW", "token": "0x" + "04" * 20, **fields}
    return msgspec.structs.replace(world.state.assets[0].terms, **wanted)


def new_market(world: World, **fields: object) -> MarketConfig:
    wanted = {"name": "NEW-USDX", "taker_bps": 40, **fields}
    return msgspec.structs.replace(world.state.markets[0].terms, **wanted)


def new_terms(world: World, **fields: object) -> SetTerms:
    market = world.state.markets[0]
    return SetTerms(0, market.round, 0, msgspec.structs.replace(market.terms, **fields))


def status_of(outcome: Outcome) -> list[int]:
    return [receipt.statuses[0] for receipt in outcome.receipts]


def test_a_quorum_lists_an_asset_that_can_be_deposited_and_traded() -> None:
    world = make_world()
    op = ListAsset(0, 0, new_asset(world))
    assert vote(world, op) == [Reason.COUNTED, Reason.COUNTED, Reason.OK]
    before = skip(world, LISTING_NOTICE_HEIGHTS - 1)
    assert (before.listings, len(world.state.assets)) == ((), 3)
    outcome = world.block()
    assert [(one.kind, one.id) for one in outcome.listings] == [(ASSET_LISTED, 3)]
    assert world.state.assets[3].name == "NEW"
    world.block(*world.attest((make_key("ann").address, 3, 10**6)))
    assert world.state.deposited[3] == 10**6
    market = ListMarket(1, 0, 0, new_market(world, base=3))
    assert vote(world, market)[-1] == Reason.OK
    skip(world)
    outcome = world.block(world.act("ann", Place(1, 1, 1_000, 5)))
    assert status_of(outcome) == [Reason.OK]
    assert outcome.balances[0].asset == 3


def test_a_new_market_takes_resting_orders_first_and_opens_when_said() -> None:
    world = make_world()
    opening = 4
    height = world.state.height + 20
    vote(world, ListMarket(0, height, opening, new_market(world)))
    skip(world, height - 2 - world.state.height)
    refused = world.block(world.act("ann", Place(1, 1, 1_000, 5)))
    assert status_of(refused) == [Reason.UNKNOWN_MARKET]
    outcome = world.block(
        world.act("ann", Place(1, 1, 1_000, 5)), world.act("bob", Place(1, 0, 1_000, 5, tif=1))
    )
    assert (outcome.height, outcome.listings[0].kind) == (height, MARKET_LISTED)
    assert status_of(outcome) == [Reason.OK, Reason.MARKET_POST_ONLY]
    skip(world, opening - 1)
    assert world.state.markets[1].status == POST_ONLY
    outcome = world.block(world.act("bob", Place(1, 0, 1_000, 5, tif=1)))
    assert (outcome.height, len(outcome.fills)) == (height + opening, 1)
    assert outcome.market_changes[0].status == OPEN
    assert outcome.fills[0].taker_fee == 20  # 40 basis points of 5 * 1,000: its own terms


def test_a_decision_about_the_phase_ends_the_opening_by_itself() -> None:
    world = make_world()
    vote(world, ListMarket(0, 0, 12, new_market(world)))
    skip(world)
    assert vote(world, SetMarket(1, 0, CANCEL_ONLY))[-1] == Reason.OK
    skip(world, 15)
    assert world.state.markets[1].status == CANCEL_ONLY


def test_one_validator_a_stranger_and_two_different_wishes_list_nothing() -> None:
    world = make_world()
    terms = new_asset(world)
    assert vote(world, ListAsset(0, 0, terms), 0) == [Reason.COUNTED]
    assert vote(world, ListAsset(0, 0, terms), 0) == [Reason.COUNTED]  # still one voice
    assert vote(world, ListAsset(0, 99, terms), 1) == [Reason.COUNTED]
    other = msgspec.structs.replace(terms, decimals=7)
    assert vote(world, ListAsset(0, 0, other), 2, 3) == [Reason.COUNTED] * 2
    stranger = world.block(world.act("ann", ListAsset(0, 0, terms)))
    assert status_of(stranger) == [Reason.NOT_VALIDATOR]
    forged = world.act("mallory", ListAsset(0, 0, terms), account=world.validators[0].address)
    assert verify(forged, DOMAIN).error == Reason.NOT_VALIDATOR
    pair = world.act(world.validators[0], ListAsset(0, 0, terms), ListAsset(0, 0, terms))
    assert verify(pair, DOMAIN).error == Reason.MIXED_OPERATIONS
    skip(world, 20)
    assert len(world.state.assets) == 3
    assert vote(world, ListAsset(0, 0, other), 1) == [Reason.OK]
    assert vote(world, ListAsset(0, 0, terms), 0) == [Reason.NOT_THIS_ROUND]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"vault": "0x" + "77" * 20}, Reason.UNKNOWN_VAULT),
        ({"chain_id": 5}, Reason.UNKNOWN_VAULT),
        ({"token": "0x" + "51" * 20}, Reason.BAD_LISTING),
        ({"name": "USDX"}, Reason.LISTED_ALREADY),
        ({"token": "0x" + "02" * 20}, Reason.LISTED_ALREADY),
    ],
)
def test_assets_that_are_refused(fields: dict[str, object], reason: Reason) -> None:
    world = make_world()
    assert vote(world, ListAsset(0, 0, new_asset(world, **fields)), 0) == [reason]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"base": 3}, Reason.UNKNOWN_ASSET),
        ({"base": 0}, Reason.BAD_LISTING),
        ({"maker_bps": 41}, Reason.BAD_LISTING),
        ({"name": "17"}, Reason.BAD_LISTING),
        ({"name": "M0-USDX"}, Reason.LISTED_ALREADY),
    ],
)
def test_markets_that_are_refused(fields: dict[str, object], reason: Reason) -> None:
    world = make_world()
    assert vote(world, ListMarket(0, 0, 0, new_market(world, **fields)), 0) == [reason]


def test_what_is_decided_but_not_there_yet_is_taken_too(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world()
    vote(world, ListAsset(0, 0, new_asset(world)))
    assert vote(world, ListAsset(1, 0, new_asset(world)), 0) == [Reason.LISTED_ALREADY]
    vote(world, ListMarket(1, 0, 0, new_market(world)))
    assert vote(world, ListMarket(2, 0, 0, new_market(world)), 0) == [Reason.LISTED_ALREADY]
    monkeypatch.setattr(listing, "ASSETS_MAX", 4)
    monkeypatch.setattr(listing, "MARKETS_MAX", 2)
    more = new_asset(world, name="MORE", token="0x" + "05" * 20)
    assert vote(world, ListAsset(2, 0, more), 0) == [Reason.LISTINGS_FULL]
    assert vote(world, ListMarket(2, 0, 0, new_market(world, name="B")), 0) == [
        Reason.LISTINGS_FULL
    ]


def test_delisting_ends_so_many_orders_a_block_and_owners_may_be_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "SWEPT_PER_BLOCK_MAX", 4)
    world = make_world()
    world.block(*(world.act("ann", Place(0, 1, 1_000 + n, 1)) for n in range(10)))
    orders = sorted(world.state.markets[0].book.orders)
    votes = [world.act(v, SetMarket(0, 0, DELISTED)) for v in world.validators[:3]]
    outcome = world.block(*votes)
    assert [e.order_id for e in outcome.orders] == orders[:4]
    assert {(e.kind, e.reason) for e in outcome.orders} == {(CLOSED, Reason.MARKET_DELISTED)}
    outcome = world.block(
        world.act("ann", Cancel(0, orders[9])),
        world.act("ann", Cancel(0, orders[4])),
        world.act("bob", Place(0, 0, 900, 1)),
    )
    assert status_of(outcome) == [Reason.OK, Reason.OK, Reason.MARKET_DELISTED]
    assert [e.order_id for e in outcome.orders if e.reason == Reason.MARKET_DELISTED] == orders[5:9]
    assert world.balance("ann", BASE) == (10**9, 0)
    again = ListMarket(0, 0, 0, new_market(world, name="M0-USDX"))
    assert vote(world, again, 0) == [Reason.LISTED_ALREADY]
    vote(world, ListMarket(0, 0, 0, new_market(world)))
    skip(world)
    assert [market.name for market in world.state.markets] == ["M0-USDX", "NEW-USDX"]


def test_fees_fall_in_place_and_resting_buys_keep_what_they_hold() -> None:
    world = make_world()
    world.block(world.act("bob", Place(0, 0, 1_000, 100)))
    held = world.balance("bob", QUOTE)[1]
    assert held == 100_000 * 10_020 // 10_000
    assert vote(world, new_terms(world, taker_bps=10, maker_bps=5))[-1] == Reason.OK
    outcome = skip(world)
    assert [one.kind for one in outcome.listings] == [TERMS_SET]
    assert world.balance("bob", QUOTE)[1] == held
    outcome = world.block(world.act("ann", Place(0, 1, 1_000, 50)))
    assert (outcome.fills[0].maker_fee, outcome.fills[0].taker_fee) == (25, 50)
    assert world.state.markets[0].status == OPEN
    world.block(world.act("bob", Cancel(0, world.state.next_order - 2)))
    assert world.balance("bob", QUOTE)[1] == 0


def test_other_terms_end_all_orders_first_and_then_the_market_reopens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "SWEPT_PER_BLOCK_MAX", 3)
    world = make_world()
    world.block(*(world.act("bob", Place(0, 0, 900 + n, 1)) for n in range(5)))
    wanted = new_terms(world, tick=3, lot=5, mode="sealed", taker_bps=25, reference_price=300)
    vote(world, wanted)
    outcome = skip(world)
    assert [(c.status, c.round) for c in outcome.market_changes] == [(CANCEL_ONLY, 2)]
    assert [e.reason for e in outcome.orders] == [Reason.TERMS_CHANGED] * 3
    refused = vote(world, SetMarket(0, 2, OPEN), 0)
    assert refused == [Reason.MARKET_IN_CHANGE]
    market = world.state.markets[0]
    assert (market.tick, market.lot, market.sealed, market.hold_bps) == (3, 5, True, 25)
    assert (market.status, market.round, market.last_price) == (OPEN, 3, 300)
    outcome = world.outcomes[-1]
    assert [(one.kind, one.id) for one in outcome.listings] == [(TERMS_SET, 0)]
    assert [(c.status, c.round) for c in outcome.market_changes] == [(OPEN, 3)]
    assert world.balance("bob", QUOTE) == (10**9, 0)
    outcome = world.block(world.act("bob", Place(0, 0, 300, 10)))
    assert status_of(outcome) == [Reason.OK]
    assert world.balance("bob", QUOTE)[1] == 300 * 10 * 3 + 23


def test_a_change_is_called_off_and_delisting_ends_one_that_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "SWEPT_PER_BLOCK_MAX", 1)
    world = make_world()
    world.block(*(world.act("bob", Place(0, 0, 900 + n, 1)) for n in range(4)))
    assert vote(world, new_terms(world), 0) == [Reason.NO_CHANGE]
    vote(world, new_terms(world, tick=3))
    assert vote(world, new_terms(world))[-1] == Reason.OK  # the present ones again
    skip(world)
    assert (world.state.markets[0].status, world.state.markets[0].tick) == (OPEN, 1)
    vote(world, new_terms(world, tick=3))
    skip(world)
    assert world.state.markets[0].change.is_sweeping
    assert vote(world, new_terms(world, tick=5), 0) == [Reason.MARKET_IN_CHANGE]
    assert vote(world, SetMarket(0, world.state.markets[0].round, DELISTED))[-1] == Reason.OK
    skip(world)
    market = world.state.markets[0]
    assert (market.status, market.tick, len(market.book.orders)) == (DELISTED, 1, 0)
    assert vote(world, new_terms(world, tick=3), 0) == [Reason.MARKET_DELISTED]


def test_a_market_stays_what_it_is() -> None:
    world = make_world()
    for fields in ({"name": "X"}, {"base": 2}, {"quote": 2}, {"maker_bps": 21}):
        assert vote(world, new_terms(world, **fields), 0) == [Reason.BAD_LISTING]
    unknown = SetTerms(9, 0, 0, world.state.markets[0].terms)
    assert vote(world, unknown, 0) == [Reason.UNKNOWN_MARKET]


@pytest.mark.parametrize("text", ["NEW\n", "new", "N" * 33, "", "NÉW"])
def test_names_that_could_deceive_are_malformed(text: str) -> None:
    world = make_world()
    wish = ListMarket(0, 0, 0, new_market(world, name=text))
    signed = world.act(world.validators[0], wish)
    assert verify(signed, DOMAIN).error == Reason.MALFORMED
    wish_asset = ListAsset(0, 0, new_asset(world, token="0x" + "04" * 20 + "\n"))
    assert verify(world.act(world.validators[0], wish_asset), DOMAIN).error == Reason.MALFORMED
