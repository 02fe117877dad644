"""Volume of thirty days lowers fees, for everybody by the same rule, and never raises one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.actions import Place, Transfer, encode_amount
from exchange.genesis import FeeTier, VolumeRate, VolumeTerms, load_genesis
from exchange.outcome import Fill
from exchange.queries import get_fees
from exchange.restore import restore
from exchange.snapshot import snapshot
from exchange.volume import DAY_MS, Volume, compute_past, find_tier, roll
from primitives.errors import ConfigError, InvalidMessage
from tests.conftest import soak_factor
from tests.exchange.world import START_MS, World, make_genesis, make_key

TIERS = (
    FeeTier(volume=1_000_000, maker_share_bps=8_000, taker_share_bps=9_000),
    FeeTier(volume=5_000_000, maker_share_bps=0, taker_share_bps=5_000),
)
TERMS = VolumeTerms(rates=(VolumeRate(asset=0, numerator=1, denominator=1),), tiers=TIERS)
POST_ONLY = 3


def make_world(terms: VolumeTerms = TERMS, **market: object) -> World:
    world = World(make_genesis(**{"mode": "fair", "volume": terms, **market}))
    world.fund("ann", "bob", "cat")
    return world


def trade(world: World, seller: str, buyer: str, size: int, *, gap_ms: int = 100) -> Fill:
    """One trade of `size` lots at 1,000: the seller rests, the buyer takes."""
    world.block(world.quick(seller, Place(0, 1, 1_000, size, POST_ONLY)), gap_ms=gap_ms)
    return world.block(world.quick(buyer, Place(0, 0, 1_000, size))).fills[0]


def next_day(world: World, days: int = 1) -> None:
    world.nonce = world.time_ms = (world.time_ms // DAY_MS + days) * DAY_MS


def test_a_tier_holds_from_the_day_after_and_only_for_who_traded() -> None:
    world = make_world()
    first = trade(world, "ann", "bob", 1_000)
    assert (first.maker_fee, first.taker_fee) == (1_000, 2_000)
    same_day = trade(world, "ann", "bob", 1)
    assert (same_day.maker_fee, same_day.taker_fee) == (1, 2)
    next_day(world)
    lower = trade(world, "ann", "bob", 1_000)
    assert (lower.maker_fee, lower.taker_fee) == (800, 1_800)
    other = trade(world, "ann", "cat", 1_000)
    assert (other.maker_fee, other.taker_fee) == (800, 2_000)


def test_a_tier_ends_when_its_days_are_thirty_days_ago() -> None:
    world = make_world()
    trade(world, "ann", "bob", 1_000)
    next_day(world, 30)
    assert trade(world, "ann", "bob", 1).taker_fee == 2
    assert trade(world, "ann", "bob", 500).taker_fee == 900
    next_day(world)
    assert trade(world, "ann", "bob", 1_000).taker_fee == 2_000


def test_sub_accounts_share_the_volume_of_their_account() -> None:
    world = make_world()
    key = make_key("bob").address
    world.block(world.quick("bob", Transfer(0, encode_amount(10**9), key, 3)))
    world.block(world.quick("ann", Place(0, 1, 1_000, 1_000, POST_ONLY)))
    assert world.block(world.quick("bob", Place(0, 0, 1_000, 400), sub=3)).fills[0].size == 400
    assert world.block(world.quick("bob", Place(0, 0, 1_000, 600))).fills[0].size == 600
    next_day(world)
    view = get_fees(world.state, make_key("bob").address)
    assert view is not None
    assert (view.tier, view.past, view.today) == (0, 0, 1_000_000)
    world.block()
    view = get_fees(world.state, make_key("bob").address)
    assert view is not None
    assert (view.tier, view.past, view.today) == (1, 1_000_000, 0)
    assert view.markets[0] == (0, 10 * 8_000, 20 * 9_000)


def test_a_resting_buy_pays_the_lower_fee_and_gets_the_rest_of_its_hold_back() -> None:
    world = make_world()
    trade(world, "ann", "bob", 5_000)
    next_day(world)
    world.block(world.quick("bob", Place(0, 0, 1_000, 100, POST_ONLY)))
    balance = world.state.by_address[make_key("bob").address].get_balance(0, 0)
    assert balance is not None
    assert balance.held == 100_000 + 200
    before = balance.free
    fill = world.block(world.quick("ann", Place(0, 1, 1_000, 100))).fills[0]
    assert fill.maker_fee == 0
    assert fill.taker_fee == 100
    assert (balance.held, balance.free) == (0, before + 200)


def test_a_market_with_lower_fees_counts_for_less_and_one_without_for_nothing() -> None:
    for maker, taker, units in ((10, 20, 1_000_000), (5, 10, 500_000), (0, 0, 0), (50, 90, 10**6)):
        world = make_world(maker_bps=maker, taker_bps=taker)
        trade(world, "ann", "bob", 1_000)
        volume = world.state.by_address[make_key("ann").address].volume
        assert volume is not None
        assert volume.today == units


def test_a_quote_asset_without_a_rate_counts_for_nothing() -> None:
    rate = VolumeRate(asset=2, numerator=1, denominator=1)
    world = make_world(VolumeTerms(rates=(rate,), tiers=TIERS))
    trade(world, "ann", "bob", 1_000)
    next_day(world)
    assert trade(world, "ann", "bob", 1_000).taker_fee == 2_000


def test_no_price_anybody_moves_changes_what_a_trade_counts() -> None:
    """Rates are fixed: what a wash trade counts follows from the fees it pays alone."""
    terms = VolumeTerms(rates=(VolumeRate(asset=0, numerator=3, denominator=2),), tiers=TIERS)
    world = make_world(terms)
    paid = counted = 0
    for price, size in ((1, 50), (1_000_000, 3), (7, 1_000)):
        world.block(world.quick("ann", Place(0, 1, price, size, POST_ONLY)))
        fill = world.block(world.quick("bob", Place(0, 0, price, size))).fills[0]
        paid += fill.maker_fee + fill.taker_fee
        counted += price * size * 3 // 2
    volume = world.state.by_address[make_key("bob").address].volume
    assert volume is not None
    assert volume.today == counted
    assert paid * 10_000 * 3 >= 30 * counted * 2


def test_an_account_cannot_trade_with_itself_for_volume() -> None:
    world = make_world()
    for stp in range(4):
        world.block(world.quick("ann", Place(0, 1, 1_000, 10)))
        world.block(world.quick("ann", Place(0, 0, 1_000, 10, 0, stp)))
    assert world.state.by_address[make_key("ann").address].volume is None


def test_volume_that_is_over_leaves_the_state() -> None:
    world = make_world(checkpoint_interval=1)
    trade(world, "ann", "bob", 1_000)
    account = world.state.by_address[make_key("ann").address]
    next_day(world, 30)
    world.block()
    assert account.volume is not None
    next_day(world)
    world.block()
    assert account.volume is None


def test_a_restored_ledger_charges_the_same_fees() -> None:
    world = make_world(checkpoint_interval=1)
    for _ in range(4):
        trade(world, "ann", "bob", 700)
        next_day(world)
        world.block()
        chunks = snapshot(world.state)
        world.state = restore(world.genesis, chunks)
        assert snapshot(world.state) == chunks
    fill = trade(world, "ann", "bob", 1_000)
    assert (fill.maker_fee, fill.taker_fee) == (800, 1_800)


def test_a_snapshot_with_volume_of_the_future_is_refused() -> None:
    world = make_world()
    trade(world, "ann", "bob", 1_000)
    account = world.state.by_address[make_key("ann").address]
    assert account.volume is not None
    account.volume.day += 1
    with pytest.raises(InvalidMessage):
        restore(world.genesis, snapshot(world.state))
    account.volume.day -= 1
    account.volume.days = [(account.volume.day, 5)]
    with pytest.raises(InvalidMessage):
        restore(world.genesis, snapshot(world.state))


TRADES = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 3_000), st.sampled_from(["ab", "ba", "bc", "ca"])),
    max_size=25,
)
NAMES = {"a": "ann", "b": "bob", "c": "cat"}


@settings(max_examples=15 * soak_factor(), deadline=None)
@given(TRADES)
def test_fees_follow_a_second_count_of_the_volume(trades: list[tuple[int, int, str]]) -> None:
    """A plain list of all trades gives the same fees, none of them above the market's."""
    world = make_world()
    history: list[tuple[int, str, int]] = []
    for days, size, pair in trades:
        if days:
            next_day(world, days)
        day = (world.time_ms + 200) // DAY_MS
        fill = trade(world, NAMES[pair[0]], NAMES[pair[1]], size)
        cost = size * 1_000
        for who, fee, bps, taker in (
            (pair[0], fill.maker_fee, 10, False),
            (pair[1], fill.taker_fee, 20, True),
        ):
            past = sum(c for d, w, c in history if w == who and day - 30 <= d < day)
            tier = find_tier(past, TIERS)
            share = 10_000
            if tier:
                one = TIERS[tier - 1]
                share = one.taker_share_bps if taker else one.maker_share_bps
            assert fee == -(-cost * bps * share // 10**8)
            assert fee <= -(-cost * bps // 10**4)
        history += [(day, pair[0], cost), (day, pair[1], cost)]
    world.state = restore(world.genesis, snapshot(world.state))


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 10**9)), max_size=60))
def test_the_kept_sum_is_that_of_the_days(steps: list[tuple[int, int]]) -> None:
    volume = Volume(START_MS // DAY_MS)
    for days, units in steps:
        expected = compute_past(volume, volume.day + days)
        roll(volume, volume.day + days, TIERS)
        assert volume.past == expected
        assert len(volume.days) <= 30
        volume.today += units


def test_a_schedule_by_which_a_fee_would_rise_is_refused() -> None:
    asset = {"name": "A", "decimals": 6, "chain_id": 1, "vault": "0x" + "11" * 20}
    plain = {
        "assets": [{**asset, "token": "0x" + "22" * 20}],
        "markets": [],
    }
    tier = {"volume": 5, "maker_share_bps": 9_000, "taker_share_bps": 9_000}
    rate = {"asset": 0, "numerator": 1, "denominator": 1}
    assert load_genesis({**plain, "volume": {"tiers": [tier], "rates": [rate]}}).volume.tiers
    for bad in (
        {"tiers": [tier, tier]},
        {"tiers": [tier, {**tier, "volume": 6, "taker_share_bps": 9_001}]},
        {"tiers": [{**tier, "maker_share_bps": 10_001}]},
        {"rates": [rate, rate]},
        {"rates": [{**rate, "asset": 1}]},
    ):
        with pytest.raises(ConfigError):
            load_genesis({**plain, "volume": bad})
