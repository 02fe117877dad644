"""Show what happened to markets: phases, halts, auctions, listings, other terms.

Rule: as all market data, a pure function of outcomes; numbers are per market and have no gaps.
Spec: docs/spec/market-data.md#market-events; docs/reference/api.md (Market data). Deviations: none.
"""

from __future__ import annotations

from node.api.market_views import MarketEvent
from node.replica.market_events import AUCTION, LISTED, PHASE, TERMS
from node.replica.tape import Tape
from node.views.phase_views import CAUSES, PHASES
from storage.records import MarketEventRecord, StoredMarketEvent

KINDS = {PHASE: "phase", AUCTION: "auction", LISTED: "listed", TERMS: "terms"}


def make_market_event(event: MarketEventRecord, height: int, time_ms: int) -> MarketEvent:
    """Show one event."""
    is_phase = event.kind == PHASE
    return MarketEvent(
        market=event.market,
        number=event.number,
        height=height,
        time_ms=time_ms,
        kind=KINDS[event.kind],
        phase=PHASES[event.phase] if is_phase else "",
        cause=CAUSES[event.cause] if is_phase else "",
        auction_ms=event.auction_ms,
        price=event.price or None,
        size=event.size,
        surplus=event.surplus,
    )


def make_stored_event(row: StoredMarketEvent) -> MarketEvent:
    """Show an event on record."""
    return make_market_event(row.event, row.height, row.time_ms)


def make_block_events(tape: Tape, time_ms: int) -> tuple[MarketEvent, ...]:
    """Show the newest block's events."""
    block = tape.block
    return tuple(make_market_event(event, block.height, time_ms) for event in block.market_events)
