"""Bring a market through a block: its running auction, its batches, an auction that is due.

Rule: the phases that change by themselves change here and nowhere else: a breaker stops continuous
trading, an auction ends a halt or an opening. Decisions of the committee are in governance.py.
Spec: docs/spec/markets.md
Deviations: none.
"""

from __future__ import annotations

from exchange.brackets import arm_exits
from exchange.call_auction import advance_auction, begin_auction
from exchange.clearing import clear_market
from exchange.governance import set_status
from exchange.market import AUCTION, BY_AUCTION, BY_BREAKER, OPEN, Market
from exchange.slicing import advance_plans
from exchange.state import State


def advance_market(state: State, market: Market) -> None:
    """Clear what is ready; batches wait while an auction is carried out."""
    if market.uncrossing:
        _continue_auction(state, market)
        if market.uncrossing:
            return
    while market.batches and clear_market(state, market):
        market.window.restart(market.last_price)
        set_status(market, AUCTION, BY_BREAKER, state.time_ms + market.halt_ms)
    if not market.collecting or market.status not in (OPEN, AUCTION) or market.is_frozen:
        return
    if market.reopens_ms == 0:
        wait_ms = market.opening_ms if market.status == AUCTION else market.auction_interval_ms
        market.reopens_ms = state.time_ms + wait_ms
    if state.time_ms >= market.reopens_ms:
        begin_auction(market, state.height)
        _continue_auction(state, market)


def _continue_auction(state: State, market: Market) -> None:
    """Do the next step of the auction; the last one opens the market, or the next collection."""
    fills = len(market.log.fills)
    is_over = advance_auction(market, state.height)
    if market.plans.brackets or market.plans.closing:
        arm_exits(state, market, fills)
    if market.plans.ended or market.plans.orphans:
        advance_plans(state, market)
    price = market.last_price
    if len(market.log.fills) > fills and market.watches_prices:
        market.window.note(state.time_ms, price, price, price)
    if not is_over:
        return
    market.window.restart(price)
    if market.status == AUCTION:
        set_status(market, OPEN, BY_AUCTION, 0)
    if market.only_auctions:
        market.reopens_ms = state.time_ms + market.auction_interval_ms
