"""Change the terms of a market by a quorum of the committee.

Rule: fees may fall at once, for a resting buy holds what it may cost and never less; bands,
breakers and times of auctions may change. Every other change first ends all orders, block by block,
and makes the market anew when none is left: same id, name, base and quote, and the phase that it
had. Prices and sizes from before are in the tick and lot of their time.
Spec: docs/spec/markets.md#changed-terms
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.genesis import MarketConfig, VolumeTerms, find_contradiction
from exchange.governance import is_quorum, set_status
from exchange.limits import LISTING_NOTICE_HEIGHTS
from exchange.market import AUCTION, BY_COMMITTEE, CANCEL_ONLY, DELISTED, OPEN, Market
from exchange.operations import SetTerms
from exchange.outcome import TERMS_SET, Listing, MarketChanged
from exchange.proposals import TermsChange
from exchange.reasons import Reason
from exchange.state import State
from exchange.volume import compute_weight

OK: Final = int(Reason.OK)
COUNTED: Final = int(Reason.COUNTED)
NOT_VALIDATOR: Final = int(Reason.NOT_VALIDATOR)
UNKNOWN_MARKET: Final = int(Reason.UNKNOWN_MARKET)
MARKET_DELISTED: Final = int(Reason.MARKET_DELISTED)
MARKET_IN_CHANGE: Final = int(Reason.MARKET_IN_CHANGE)
NOT_THIS_ROUND: Final = int(Reason.NOT_THIS_ROUND)
NO_CHANGE: Final = int(Reason.NO_CHANGE)
BAD_LISTING: Final = int(Reason.BAD_LISTING)


def process_terms_vote(
    state: State, committee: Sequence[tuple[bytes, int, bytes]], validator: bytes, op: SetTerms
) -> int:
    """Count a validator's word on a market's terms; decide once enough weight agrees.

    A newer word of the same validator in the same round takes the place of its older one. Returns
    OK if it was decided now, COUNTED if it waits for others, or why it was refused.
    """
    if op.market >= len(state.markets):
        return UNKNOWN_MARKET
    market = state.markets[op.market]
    weights = {member[0]: member[1] for member in committee}
    if validator not in weights:
        return NOT_VALIDATOR
    reason = _check(market, op)
    change = market.change
    if reason == NO_CHANGE:
        change.words.pop(validator, None)  # whoever wants no change takes its word back
    if reason:
        return reason
    change.words[validator] = op
    if not is_quorum(weights, [v for v, word in change.words.items() if word == op]):
        return COUNTED
    calls_off = op.terms == market.terms
    change.terms = None if calls_off else op.terms
    change.height = 0 if calls_off else max(op.height, state.height + LISTING_NOTICE_HEIGHTS)
    market.round += 1
    market.votes.clear()
    change.words.clear()
    return OK


def _check(market: Market, op: SetTerms) -> int:
    now, wanted = market.terms, op.terms
    if market.status == DELISTED:
        return MARKET_DELISTED
    if market.change.is_sweeping:
        return MARKET_IN_CHANGE
    if op.round != market.round:
        return NOT_THIS_ROUND
    if (wanted.name, wanted.base, wanted.quote) != (now.name, now.base, now.quote):
        return BAD_LISTING
    if find_contradiction(wanted):
        return BAD_LISTING
    if wanted == now and market.change.terms is None:
        return NO_CHANGE
    return OK


def is_gentle(market: Market, terms: MarketConfig) -> bool:
    """Tell whether terms differ from a market's in nothing but fees that do not rise, and in what
    keeps it safe.
    """
    now = market.terms
    if terms.maker_bps > now.maker_bps or terms.taker_bps > now.taker_bps:
        return False
    same = msgspec.structs.replace(
        terms,
        maker_bps=now.maker_bps,
        taker_bps=now.taker_bps,
        band_bps=now.band_bps,
        breaker_bps=now.breaker_bps,
        halt_ms=now.halt_ms,
        opening_ms=now.opening_ms,
        auction_interval_ms=now.auction_interval_ms,
    )
    return bool(same == now)


def begin_changes(state: State) -> None:
    """Begin the changes of terms that were decided for the height in execution."""
    for market in state.markets:
        change = market.change
        if change.terms is None or change.is_sweeping or change.height > state.height:
            continue
        if is_gentle(market, change.terms):
            _apply(state.genesis.volume, market, change.terms)
            state.log.listings.append(Listing(TERMS_SET, market.id))
            continue
        change.reopen = market.status
        if market.status != CANCEL_ONLY:
            set_status(market, CANCEL_ONLY, BY_COMMITTEE, 0)
        change.is_sweeping = True


def finish_changes(state: State) -> None:
    """Make those markets anew whose last order has ended."""
    for number, market in enumerate(state.markets):
        change = market.change
        if change.is_sweeping and not market.book.orders and not market.batches:
            assert change.terms is not None
            assert not market.commits, "commits ended with the phase before"
            fresh = state.renew_market(number, change.terms)
            if fresh.status != AUCTION or change.reopen != OPEN:  # else it opens by an auction
                fresh.enter(change.reopen, BY_COMMITTEE, 0)
            new_units = (market.tick, market.lot) != (fresh.tick, fresh.lot)
            state.log.listings.append(Listing(TERMS_SET, number, new_units))
            state.log.market_changes.append(MarketChanged(number, fresh.status, fresh.round))


def _apply(volume: VolumeTerms, market: Market, terms: MarketConfig) -> None:
    """Change terms from now on; what buys hold stays as it is until they end."""
    market.terms = terms
    market.maker_bps = terms.maker_bps
    market.taker_bps = terms.taker_bps
    market.guard(terms)
    market.volume_numerator, market.volume_denominator = compute_weight(volume, terms)
    market.round += 1
    market.votes.clear()
    market.change = TermsChange()
