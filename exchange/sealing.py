"""Admit sealed commits and their openings.

Rule: a commit holds its whole tier, a bond and a fee before anything is known of it; an opening
counts only from the account that committed, and its content is judged at once.

Spec: docs/spec/exchange.md#sealed-batches
Deviations: an opening is taken in any later block, also in one that does not yet prove the commit's
block final (ADR 0020).
"""

from __future__ import annotations

from functools import partial

from exchange import limits
from exchange.accounts import Balance
from exchange.admission import (
    Context,
    check_market,
    check_status,
    get_current_batch,
    open_trader,
    spend_budget,
)
from exchange.batch import SHOWN, VOID, WAITING, Batch, Commitment
from exchange.commits import (
    NO_TIER,
    compute_commit_hash,
    compute_needs,
    compute_part,
    compute_tier_atoms,
    get_bond_ppm,
    split_tier,
)
from exchange.key_budget import check_budget, compute_notional
from exchange.market import Market
from exchange.operations import IOC, POST_ONLY, SELL, Commit, Open
from exchange.outcome import COMMITTED, OPENED, CommitEvent
from exchange.reasons import Reason
from exchange.settlement import touch

OK = int(Reason.OK)
PENDING = int(Reason.PENDING)
NOT_SEALED = int(Reason.NOT_SEALED)
BAD_TIER = int(Reason.BAD_TIER)
DUPLICATE_COMMIT = int(Reason.DUPLICATE_COMMIT)
TOO_MANY_COMMITS = int(Reason.TOO_MANY_COMMITS)
INSUFFICIENT_FUNDS = int(Reason.INSUFFICIENT_FUNDS)
OVER_KEY_NOTIONAL = int(Reason.OVER_KEY_NOTIONAL)
UNKNOWN_COMMIT = int(Reason.UNKNOWN_COMMIT)
OPENED_TOO_EARLY = int(Reason.OPENED_TOO_EARLY)
ALREADY_OPEN = int(Reason.ALREADY_OPEN)
OPENING_MISMATCH = int(Reason.OPENING_MISMATCH)
OPENING_INVALID = int(Reason.OPENING_INVALID)
MARKET_AUCTION = int(Reason.MARKET_AUCTION)
OPENING_OVER_TIER = int(Reason.OPENING_OVER_TIER)


def admit_commit(context: Context, op: Commit, index: int) -> int:
    """Hold a commit's tier and bond, charge its fee, and put it into the batch of this block."""
    reason = check_market(context, op.market)
    if reason:
        return reason
    state = context.state
    market = state.markets[op.market]
    if not market.sealed:
        return NOT_SEALED
    if market.status or market.is_frozen:  # a commit takes liquidity, as an immediate order does
        return check_status(market, IOC) or MARKET_AUCTION
    tiers = split_tier(op.hold, op.tier)
    if tiers == (NO_TIER, NO_TIER):
        return BAD_TIER
    quote_tier = compute_tier_atoms(tiers[0], market.tick)
    base_tier = compute_tier_atoms(tiers[1], market.lot)
    key = context.key
    if key is not None and key.notional_cap and quote_tier > key.notional_cap:
        return OVER_KEY_NOTIONAL
    account = context.account
    if (account.number, op.commit_hash) in market.commits:
        return DUPLICATE_COMMIT
    if account.commits >= limits.COMMITS_PER_ACCOUNT_MAX:
        return TOO_MANY_COMMITS
    batch = get_current_batch(context, market)
    if len(batch.commits) >= limits.COMMITS_PER_BATCH_MAX:
        return TOO_MANY_COMMITS
    bond_ppm = get_bond_ppm(market.bond_ppm, account, state.time_ms)
    quote_bond = compute_part(quote_tier, bond_ppm)
    base_bond = compute_part(base_tier, bond_ppm)
    quote_fee = compute_part(quote_tier, market.commit_fee_ppm)
    base_fee = compute_part(base_tier, market.commit_fee_ppm)
    lost = -(-(base_bond + base_fee) // market.lot)  # lots, if nobody opens it
    counted = quote_tier + compute_notional(market, SELL, 0, lost)
    if key is not None:
        reason = check_budget(key, counted, 1)
        if reason:
            return reason
    if not _covers(
        account.get_balance(context.sub, market.quote), quote_tier, quote_bond + quote_fee
    ):
        return INSUFFICIENT_FUNDS
    if not _covers(account.get_balance(context.sub, market.base), base_tier, base_bond + base_fee):
        return INSUFFICIENT_FUNDS
    trader = open_trader(context, market)
    spend_budget(context, counted, 1)
    commitment = Commitment(
        state.height,
        trader,
        op.commit_hash,
        context.action.nonce_ms,
        (context.receipt, state.height, index),
    )
    commitment.quote_tier = quote_tier
    commitment.base_tier = base_tier
    commitment.quote_bond = quote_bond
    commitment.base_bond = base_bond
    _hold(market, trader.quote, quote_tier + quote_bond, quote_fee)
    _hold(market, trader.base, base_tier + base_bond, base_fee)
    batch.commits.append(commitment)
    batch.unopened += 1
    account.commits += 1
    market.commits[(account.number, op.commit_hash)] = commitment
    _note(market, COMMITTED, commitment, OK)
    if context.undo is not None:
        context.undo.append(partial(_undo_commit, market, batch, commitment, quote_fee, base_fee))
    return PENDING


def admit_open(context: Context, op: Open, index: int) -> int:
    """Show the orders of a commit. Bad content makes the commit void at once; its bond is lost."""
    reason = check_market(context, op.market)
    if reason:
        return reason
    state = context.state
    market = state.markets[op.market]
    account = context.account
    commitment = market.commits.get((account.number, op.commit_hash))
    if commitment is None or commitment.trader.sub != context.sub:
        return UNKNOWN_COMMIT
    if commitment.batch == state.height:
        return OPENED_TOO_EARLY
    if commitment.state != WAITING:
        return ALREADY_OPEN
    domain = context.action.domain
    nonce = commitment.nonce_ms
    opened = compute_commit_hash(domain, account.owner, op.market, nonce, op.orders, op.salt)
    if opened != op.commit_hash:
        return OPENING_MISMATCH
    key = context.key
    if key is not None and key.notional_cap:
        for order in op.orders:
            if compute_notional(market, order.side, order.price, order.size) > key.notional_cap:
                return OVER_KEY_NOTIONAL
    selling = sum([compute_notional(market, o.side, o.price, o.size) for o in op.orders if o.side])
    if key is not None:
        reason = check_budget(key, selling, 0)
        if reason:
            return reason  # the commit waits on: another key, or the wallet, may open it
    batch = _find_batch(market, commitment.batch)
    batch.unopened -= 1
    reason = _judge(market, commitment, op, context.builder_ppm)
    if reason:
        commitment.state = VOID
        commitment.reason = reason
    else:
        spend_budget(context, selling, 0)
        commitment.state = SHOWN
        commitment.orders = op.orders
        commitment.salt = op.salt
        commitment.grant = context.grant
        commitment.builder = context.builder
        commitment.builder_ppm = context.builder_ppm
        commitment.first_order = state.next_order
        commitment.open_ticket = (context.receipt, state.height, index)
        context.receipt.orders[index] = state.next_order
        state.next_order += len(op.orders)
        reason = PENDING
    _note(market, OPENED, commitment, OK if reason == PENDING else reason)
    if context.undo is not None:
        context.undo.append(partial(_undo_open, market, batch, commitment))
    return reason


def _judge(market: Market, commitment: Commitment, op: Open, builder_ppm: int) -> int:
    """Tell why shown orders make their commit void, or 0."""
    for order in op.orders:
        if order.market != op.market or order.tif == POST_ONLY:
            return OPENING_INVALID
    needs = compute_needs(op.orders, market.tick, market.lot, market.hold_bps, builder_ppm)
    if needs[0] > commitment.quote_tier or needs[1] > commitment.base_tier:
        return OPENING_OVER_TIER
    return OK


def _covers(balance: Balance | None, tier: int, extra: int) -> bool:
    if tier == 0:
        return True
    return balance is not None and balance.free >= tier + extra


def _hold(market: Market, balance: Balance, held: int, fee: int) -> None:
    balance.free -= held + fee
    balance.held += held
    market.fees[balance.asset] += fee
    touch(market, balance)


def _find_batch(market: Market, height: int) -> Batch:
    for batch in market.batches:
        if batch.height == height:
            return batch
    raise AssertionError("a live commit has a waiting batch")


def _note(market: Market, kind: int, commitment: Commitment, reason: int) -> None:
    number = commitment.account.number
    market.log.commits.append(
        CommitEvent(kind, market.id, commitment.batch, number, commitment.commit_hash, reason)
    )


def _undo_commit(
    market: Market, batch: Batch, commitment: Commitment, quote_fee: int, base_fee: int
) -> None:
    trader = commitment.trader
    _hold(market, trader.quote, -commitment.quote_tier - commitment.quote_bond, -quote_fee)
    _hold(market, trader.base, -commitment.base_tier - commitment.base_bond, -base_fee)
    batch.commits.remove(commitment)
    batch.unopened -= 1
    trader.account.commits -= 1
    del market.commits[(trader.number, commitment.commit_hash)]
    market.log.commits.pop()


def _undo_open(market: Market, batch: Batch, commitment: Commitment) -> None:
    batch.unopened += 1
    commitment.state = WAITING
    commitment.reason = int(Reason.NOT_OPENED)
    commitment.orders = ()
    commitment.salt = b""
    commitment.open_ticket = None
    market.log.commits.pop()
