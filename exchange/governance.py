"""Change a market's status by a quorum of the committee: open, restrict, delist.

Rule: more than two thirds of the committee's weight must say the same about the same round of a
market; every decision ends its round, so a word on an earlier round never counts for a later one.
No status ever keeps an owner from cancelling, and nothing here touches deposits, transfers,
withdrawals or checkpoints.
Spec: docs/spec/markets.md
Deviations: there is no status that refuses cancels (ADR 0110).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.batch import Batch, Commitment, Replacement
from exchange.clearing import process_cancel, resolve
from exchange.market import (
    AUCTION,
    BY_COMMITTEE,
    CANCEL_ONLY,
    DELISTED,
    OPEN,
    POST_ONLY,
    Market,
)
from exchange.matching import end_order
from exchange.operations import SetMarket
from exchange.outcome import VOIDED, CommitEvent, MarketChanged
from exchange.proposals import TermsChange
from exchange.reasons import Reason
from exchange.settlement import release
from exchange.state import State
from exchange.triggers import Triggered

OK: Final = int(Reason.OK)
COUNTED: Final = int(Reason.COUNTED)
CANCELLED: Final = int(Reason.CANCELLED)
NOT_VALIDATOR: Final = int(Reason.NOT_VALIDATOR)
UNKNOWN_MARKET: Final = int(Reason.UNKNOWN_MARKET)
_REASONS: Final = {
    POST_ONLY: int(Reason.MARKET_POST_ONLY),
    CANCEL_ONLY: int(Reason.MARKET_CANCEL_ONLY),
    DELISTED: int(Reason.MARKET_DELISTED),
}
MARKET_AUCTION: Final = int(Reason.MARKET_AUCTION)
MARKET_DELISTED: Final = int(Reason.MARKET_DELISTED)
NOT_THIS_ROUND: Final = int(Reason.NOT_THIS_ROUND)
NO_CHANGE: Final = int(Reason.NO_CHANGE)
MARKET_IN_CHANGE: Final = int(Reason.MARKET_IN_CHANGE)


def process_market_vote(
    state: State, committee: Sequence[tuple[bytes, int, bytes]], validator: bytes, op: SetMarket
) -> int:
    """Count a validator's word on a market; act once enough weight agrees.

    A newer word of the same validator in the same round takes the place of its older one. Returns
    OK if the decision was carried out now, COUNTED if it waits for others, or why it was refused.
    """
    if op.market >= len(state.markets):
        return UNKNOWN_MARKET
    market = state.markets[op.market]
    weights = {member[0]: member[1] for member in committee}
    if validator not in weights:
        return NOT_VALIDATOR
    if market.status == DELISTED:
        return MARKET_DELISTED
    if op.round != market.round:
        return NOT_THIS_ROUND
    if op.status == market.status:
        market.votes.pop(validator, None)  # whoever wants no change takes its word back
        return NO_CHANGE
    if market.change.is_sweeping and op.status != DELISTED:
        return MARKET_IN_CHANGE
    market.votes[validator] = op.status
    if not is_quorum(weights, [v for v, vote in market.votes.items() if vote == op.status]):
        return COUNTED
    if op.status == OPEN:
        open_market(state, market)
    elif op.status == AUCTION:
        set_status(market, AUCTION, BY_COMMITTEE, state.time_ms + market.halt_ms)
    else:
        set_status(market, op.status, BY_COMMITTEE, 0)
    return OK


def is_quorum(weights: dict[bytes, int], validators: Sequence[bytes]) -> bool:
    """Tell whether validators have more than two thirds of a committee's weight."""
    agreeing = sum([weights.get(validator, 0) for validator in validators])
    return agreeing * 3 > sum(weights.values()) * 2


def open_market(state: State, market: Market) -> None:
    """Open a market; by an auction at once if it has collected orders, or may have."""
    bid, ask = market.book.get_best(0), market.book.get_best(1)
    crossed = bid > 0 and ask > 0 and bid >= ask
    if market.status == AUCTION or crossed or market.auction_only:
        set_status(market, AUCTION, BY_COMMITTEE, state.time_ms)
    else:
        set_status(market, OPEN, BY_COMMITTEE, 0)


def set_status(market: Market, status: int, cause: int, reopens_ms: int) -> None:
    """Give a market another status at once and end the round of votes.

    The orders of a delisted market end block by block (`sweeping.py`).
    """
    stops_auction = market.status == AUCTION and status == POST_ONLY
    market.enter(status, cause, reopens_ms)
    market.round += 1
    market.votes.clear()
    market.opens_height = 0
    market.change.words.clear()
    if status == DELISTED:
        market.change = TermsChange()
    if status == AUCTION:
        _keep_for_auction(market)
    elif status >= CANCEL_ONLY or stops_auction:
        void_batches(market, _REASONS[status])
    market.log.market_changes.append(
        MarketChanged(market.id, status, market.round, cause, reopens_ms)
    )


def _keep_for_auction(market: Market) -> None:
    """Void the commits that wait; visible orders stay to be collected, reached ones to join later.

    What was reached goes back to the front of those that wait for the market to open.
    """
    reached: list[Triggered] = []
    for batch in market.batches:
        for commitment in batch.commits:
            _void_commit(market, commitment, MARKET_AUCTION)
        batch.commits.clear()
        batch.unopened = 0
        reached += batch.triggered
        batch.triggered.clear()
    market.triggered[:0] = [item for item in reached if item.order.size]


def void_batches(market: Market, reason: int) -> None:
    """End all that waits in a market's batches, for a reason."""
    for batch in market.batches:
        _void_batch(market, batch, reason)
    market.batches.clear()


def _void_batch(market: Market, batch: Batch, reason: int) -> None:
    """End all that waits in a batch without a trade and without a forfeit; cancels are done."""
    for request in batch.cancels:
        process_cancel(market, request)
    for group in batch.groups:
        for entry in group.entries:
            order = entry.order
            if isinstance(entry, Replacement):
                trader = order.trader
                release(market, trader.base if order.side else trader.quote, entry.extra)
                resolve(market, entry.ticket, reason)
            elif order.size == 0:
                resolve(market, entry.ticket, CANCELLED)
            else:
                end_order(market, order, reason)
                resolve(market, entry.ticket, reason)
    for reached in batch.triggered:
        if reached.order.size:
            end_order(market, reached.order, reason)
    for commitment in batch.commits:
        _void_commit(market, commitment, reason)


def _void_commit(market: Market, commitment: Commitment, reason: int) -> None:
    """Give back tier and bond of a commit, opened or not; what it broke before is forgiven."""
    account = commitment.account
    trader = commitment.trader
    del market.commits[(account.number, commitment.commit_hash)]
    account.commits -= 1
    release(market, trader.quote, commitment.quote_tier + commitment.quote_bond)
    release(market, trader.base, commitment.base_tier + commitment.base_bond)
    market.log.commits.append(
        CommitEvent(
            VOIDED, market.id, commitment.batch, account.number, commitment.commit_hash, reason
        )
    )
    resolve(market, commitment.ticket, reason)
    if commitment.open_ticket is not None:
        resolve(market, commitment.open_ticket, reason)
