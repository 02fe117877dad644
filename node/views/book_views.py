"""Show whole books and what a block changed of them, with checksums.

Rule: pure reading of state, outcome and tape. A snapshot holds whole levels from the best on, and
says where it was cut.
Spec: docs/spec/market-data.md#books
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, Literal

from exchange.book_checksum import sum_levels, sum_orders
from exchange.order_book import Order, Side
from exchange.outcome import CHANGED, CLOSED, RESTING, OrderEvent, Outcome
from exchange.state import State
from node.api.limits import L2_LEVELS_MAX, L3_ORDERS_MAX
from node.api.market_views import (
    BookEvent,
    BookOrder,
    L2Book,
    L2Update,
    L3Book,
    L3Update,
    PriceLevel,
)
from node.replica.account_events import merge_orders
from node.replica.tape import Tape
from node.views.ledger_views import SIDES
from primitives.errors import TransientError

EventType = Literal["add", "change", "remove"]
EVENT_TYPES: Final[dict[int, EventType]] = {RESTING: "add", CHANGED: "change", CLOSED: "remove"}
"""What order events mean for the book; others do not touch it."""


def iterate_levels(side: Side) -> Iterator[tuple[int, int]]:
    """Yield (price, size) from the best level."""
    for key in reversed(side.keys):
        yield abs(key), side.levels[key].size


def iterate_orders(side: Side) -> Iterator[Order]:
    """Yield resting orders in order of priority."""
    for key in reversed(side.keys):
        order: Order | None = side.levels[key].head
        while order is not None:
            yield order
            order = order.next


def _plain(side: Side) -> Iterator[tuple[int, int, int]]:
    return ((order.id, order.price, order.size) for order in iterate_orders(side))


def make_l2(state: State, tape: Tape, market: int) -> L2Book:
    """Show the levels of a market."""
    book = state.markets[market].book
    shown = [
        tuple(
            PriceLevel(price=price, size=size)
            for price, size in islice(iterate_levels(side), L2_LEVELS_MAX)
        )
        for side in (book.bids, book.asks)
    ]
    return L2Book(
        market=market,
        update=tape.get_update(market),
        height=state.height,
        time_ms=state.time_ms,
        bids=shown[0],
        asks=shown[1],
        bids_cut=len(book.bids.keys) > L2_LEVELS_MAX,
        asks_cut=len(book.asks.keys) > L2_LEVELS_MAX,
        checksum=sum_levels(iterate_levels(book.bids), iterate_levels(book.asks)),
    )


def make_l2_update(state: State, tape: Tape, outcome: Outcome, market: int) -> L2Update:
    """Show the levels a block changed; the state is that after it."""
    book = state.markets[market].book
    sides: tuple[list[PriceLevel], list[PriceLevel]] = ([], [])
    for change in outcome.levels.get(market, ()):
        sides[change.side].append(PriceLevel(price=change.price, size=change.size))
    return L2Update(
        market=market,
        update=tape.block.updates[market],
        height=outcome.height,
        time_ms=outcome.time_ms,
        bids=tuple(sides[0]),
        asks=tuple(sides[1]),
        checksum=sum_levels(iterate_levels(book.bids), iterate_levels(book.asks)),
    )


def make_l3(state: State, tape: Tape, market: int) -> L3Book:
    """Show the resting orders. Raises TransientError if the best level alone is too long."""
    book = state.markets[market].book
    bids, asks = _cut(book.bids), _cut(book.asks)
    return L3Book(
        market=market,
        update=tape.get_update(market),
        height=state.height,
        time_ms=state.time_ms,
        bids=bids[0],
        asks=asks[0],
        bids_cut=bids[1],
        asks_cut=asks[1],
        checksum=sum_orders(_plain(book.bids), _plain(book.asks)),
    )


def _cut(side: Side) -> tuple[tuple[BookOrder, ...], bool]:
    """Return the orders of as many whole levels as fit, and whether there are more."""
    shown: list[BookOrder] = []
    whole = 0  # orders in the levels seen to their end
    for order in iterate_orders(side):
        if shown and order.price != shown[-1].price:
            whole = len(shown)
        if len(shown) == L3_ORDERS_MAX:
            if not whole:
                raise TransientError(f"the best level has more than {L3_ORDERS_MAX} orders")
            return tuple(shown[:whole]), True
        shown.append(BookOrder(order=order.id, price=order.price, size=order.size))
    return tuple(shown), False


def make_l3_update(state: State, tape: Tape, outcome: Outcome, market: int) -> L3Update:
    """Show what a block did to a market's orders; the state is that after it."""
    book = state.markets[market].book
    events: list[BookEvent] = []
    fills = enumerate(outcome.fills, tape.block.first_fill)
    for item in merge_orders(outcome.orders, fills):
        if isinstance(item, OrderEvent):
            kind = EVENT_TYPES.get(item.kind)
            if item.market == market and kind is not None:
                events.append(_order_event(kind, item))
            continue
        number, fill = item
        if fill.market == market:
            events.append(
                BookEvent(
                    type="fill",
                    order=fill.maker_order,
                    price=fill.price,
                    size=fill.size,
                    trade=number,
                    left=fill.maker_left,
                    taker=fill.taker_order,
                    taker_left=fill.taker_left,
                )
            )
    return L3Update(
        market=market,
        update=tape.block.updates[market],
        height=outcome.height,
        time_ms=outcome.time_ms,
        events=tuple(events),
        checksum=sum_orders(_plain(book.bids), _plain(book.asks)),
    )


def _order_event(kind: EventType, event: OrderEvent) -> BookEvent:
    return BookEvent(
        type=kind,
        order=event.order_id,
        price=event.price,
        size=event.size,
        side=SIDES[event.side],
    )
