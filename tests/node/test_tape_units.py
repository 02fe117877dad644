"""Figures never join prices or sizes of two units; amounts of quote are atoms in both."""

from __future__ import annotations

import msgspec

from exchange.actions import Place, SetTerms
from exchange.limits import LISTING_NOTICE_HEIGHTS
from exchange.outcome import Outcome
from node.replica.tape import Tape
from storage.candles import DAY_MS, INTERVALS_MS
from tests.exchange.world import World, make_genesis


class TapedWorld(World):
    """A world whose blocks are taped."""

    def __init__(self) -> None:
        super().__init__(make_genesis(markets=2, mode="fair", tick=7))
        self.tape = Tape()

    def block(self, *actions, **options) -> Outcome:  # type: ignore[no-untyped-def]
        outcome = super().block(*actions, **options)
        self.tape.apply(outcome, self.state.accounts, self.state.markets)
        return outcome

    def trade(self, market: int, price: int, size: int) -> None:
        self.block(self.act("ann", Place(market, 1, price, size)))
        outcome = self.block(self.act("bob", Place(market, 0, price, size)))
        assert len(outcome.fills) == 1

    def change(self, **fields: object) -> None:
        market = self.state.markets[0]
        op = SetTerms(0, market.round, 0, msgspec.structs.replace(market.terms, **fields))
        self.block(*(self.act(validator, op) for validator in self.validators[:3]))
        for _ in range(LISTING_NOTICE_HEIGHTS):
            self.block()


def test_a_change_of_tick_begins_the_figures_of_that_market_anew() -> None:
    world = TapedWorld()
    world.fund("ann", "bob")
    world.trade(0, 1_000, 5)
    world.trade(1, 900, 2)
    old = world.tape.candles[0, DAY_MS]
    assert (old.high, old.quote_volume) == (1_000, 1_000 * 5 * 7)
    world.change(tick=70, reference_price=100)
    stats = world.tape.get_stats(0)
    assert (stats.trades, stats.last_price, stats.day(world.time_ms)) == (1, None, None)
    assert {market for market, _ in world.tape.candles} == {1}
    world.trade(0, 100, 3)
    fresh = world.tape.candles[0, DAY_MS]
    assert (fresh.open, fresh.high, fresh.volume) == (100, 100, 3)
    assert fresh.quote_volume == 100 * 3 * 70
    day = stats.day(world.time_ms)
    assert day is not None
    assert (day.high, day.trades, day.quote_volume) == (100, 1, 21_000)
    assert world.tape.candles[1, DAY_MS].high == 900


def test_terms_in_the_same_units_leave_the_figures_alone() -> None:
    world = TapedWorld()
    world.fund("ann", "bob")
    world.trade(0, 1_000, 5)
    world.change(mode="sealed")
    world.change(taker_bps=3, maker_bps=2)
    assert world.tape.get_stats(0).last_price == 1_000
    assert {key for key in world.tape.candles if key[0] == 0} == {(0, i) for i in INTERVALS_MS}
