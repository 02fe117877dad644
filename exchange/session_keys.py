"""Grant and revoke session keys.

Rule: a key is granted at most once, to one account, for ever; only this file makes or ends a grant.
Spec: docs/spec/exchange.md#session-keys
Deviations: commits stay when their key is revoked, even with `cancel_on_revoke` (ADR 0023).
"""

from __future__ import annotations

from exchange import limits
from exchange.accounts import SessionKey
from exchange.admission import Context, queue_cancel_request
from exchange.batch import CancelRequest
from exchange.operations import TRADING_MASK, Grant, Revoke, decode_amount
from exchange.reasons import Reason

OK = int(Reason.OK)
REVOKED = int(Reason.REVOKED)
KEY_USED_BEFORE = int(Reason.KEY_USED_BEFORE)
BAD_GRANT = int(Reason.BAD_GRANT)
UNKNOWN_KEY = int(Reason.UNKNOWN_KEY)


def process_grant(context: Context, op: Grant) -> int:
    """Let a key act for the account. Returns a reason code."""
    state = context.state
    if op.key in state.keys:
        return KEY_USED_BEFORE
    lifetime = op.expiry_ms - state.time_ms
    if not 0 < lifetime <= limits.GRANT_LIFETIME_MS_MAX:
        return BAD_GRANT
    if op.actions == 0 or op.actions & ~TRADING_MASK:
        return BAD_GRANT
    if op.key in (context.account.owner, bytes(20)):
        return BAD_GRANT
    if any(market >= len(state.markets) for market in op.markets):
        return BAD_GRANT
    state.keys_by_number.append(op.key)
    context.account.granted.append(op.key)
    state.keys[op.key] = SessionKey(
        len(state.keys_by_number),
        context.account.number,
        op.expiry_ms,
        op.actions,
        op.markets,
        decode_amount(op.notional_cap),
        op.cancel_on_revoke,
        decode_amount(op.notional_total),
        op.orders_cap,
    )
    return OK


def process_revoke(context: Context, op: Revoke) -> int:
    """End a key at once; with `cancel_on_revoke` its orders are cancelled in this block's
    batches.
    """
    state = context.state
    key = state.keys.get(op.key)
    if key is None or key.account != context.account.number or key.revoked:
        return UNKNOWN_KEY
    key.revoked = True
    if key.cancel_on_revoke:
        traders = context.account.traders
        for place in sorted(traders):
            trader = traders[place]
            if key.number in trader.granted:
                market = state.markets[trader.market]
                request = CancelRequest(trader, 0, state.next_order, key.number, REVOKED, None)
                queue_cancel_request(context, market, request)
    return OK
