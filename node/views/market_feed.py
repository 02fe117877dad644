"""Publish what a block did to books, figures, candles and accounts, for those who listen.

Rule: called right after the block was executed, before anything else runs: the numbers published
follow those of every snapshot taken before. Nothing is built for nobody.
Spec: docs/spec/market-data.md; docs/reference/api.md (Market data). Deviations: none.
"""

from __future__ import annotations

from exchange.outcome import Outcome
from node.api.hub import Hub
from node.views.account_views import make_live_events
from node.views.book_views import make_l2_update, make_l3_update
from node.views.market_data import Books, make_live_candle, make_ticker
from node.views.market_history import make_block_events


def publish_market_data(hub: Hub, ledger: Books, outcome: Outcome) -> None:
    """Publish updates of the markets the block touched."""
    state, tape = ledger.state, ledger.tape
    for market, update in tape.block.updates.items():
        if hub.is_wanted("l2", market):
            hub.publish("l2", make_l2_update(state, tape, outcome, market), market, seq=update)
        if hub.is_wanted("l3", market):
            hub.publish("l3", make_l3_update(state, tape, outcome, market), market, seq=update)
        if hub.is_wanted("candles", market):
            candles = [c for c in tape.block.candles if c.market == market]
            if candles:
                shown = tuple(make_live_candle(candle) for candle in candles)
                hub.publish("candles", shown, market)
    if tape.block.market_events and hub.is_wanted("market_events"):
        hub.publish("market_events", make_block_events(tape, outcome.time_ms))


def publish_tickers(hub: Hub, ledger: Books, outcome: Outcome) -> None:
    """Publish the figures of markets whose book or phase the block changed."""
    changed = {change.market for change in outcome.market_changes}
    for market in sorted(changed.union(ledger.tape.block.updates)):
        if hub.is_wanted("ticker", market):
            hub.publish("ticker", make_ticker(ledger.state, ledger.tape, market), market)


def publish_events(hub: Hub, ledger: Books, outcome: Outcome) -> None:
    """Publish the events of accounts somebody follows."""
    wanted = set(hub.wanted_keys("events"))
    if not wanted:
        return
    for batch in ledger.tape.block.accounts:
        if batch.owner in wanted:
            events = make_live_events(ledger.state.assets, batch, outcome.height, outcome.time_ms)
            hub.publish("events", events, batch.owner, seq=batch.last)
