"""List what happened to markets in a block: listings, phases, auctions.

Rule: a pure function of the outcome. Each market numbers its own events from 1, without gaps, on
every node alike.
Spec: docs/spec/market-data.md#market-events
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.outcome import MARKET_LISTED, TERMS_SET, Outcome
from storage.records import MarketEventRecord

PHASE: Final = 0
AUCTION: Final = 1
LISTED: Final = 2
TERMS: Final = 3


def collect_market_events(outcome: Outcome, counts: list[int]) -> tuple[MarketEventRecord, ...]:
    """Return the block's events: listings, then phases, then auctions; advance the counts.

    `counts` has the number of each market's newest event, and room for each.
    """
    found: list[MarketEventRecord] = []

    def add(market: int, kind: int, **fields: int) -> None:
        counts[market] += 1
        found.append(MarketEventRecord(market=market, number=counts[market], kind=kind, **fields))

    for one in outcome.listings:
        if one.kind in (MARKET_LISTED, TERMS_SET):
            add(one.id, LISTED if one.kind == MARKET_LISTED else TERMS)
    for change in outcome.market_changes:
        add(
            change.market,
            PHASE,
            phase=change.status,
            cause=change.cause,
            auction_ms=change.reopens_ms,
        )
    for held in outcome.auctions:
        add(held.market, AUCTION, price=held.price, size=held.size, surplus=held.surplus)
    return tuple(found)


def list_markets(outcome: Outcome) -> set[int]:
    """Return the markets that have events in a block."""
    found = {one.id for one in outcome.listings if one.kind in (MARKET_LISTED, TERMS_SET)}
    found.update(change.market for change in outcome.market_changes)
    return found.union(held.market for held in outcome.auctions)
