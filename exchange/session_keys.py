"""Grant and revoke session keys.

Rule: a key belongs to one account and is granted once while it is known; only this file makes, ends
or forgets a grant. An ended key is known for `GRANT_KEPT_MS`: until then nothing that it has signed
may be executed any more, and a chat message of its time is judged alike by all. An account has
`GRANTS_PER_ACCOUNT_MAX` known keys at most, so that grants, which are free, cannot fill the state.
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
from exchange.state import State

OK = int(Reason.OK)
REVOKED = int(Reason.REVOKED)
KEY_USED_BEFORE = int(Reason.KEY_USED_BEFORE)
BAD_GRANT = int(Reason.BAD_GRANT)
UNKNOWN_KEY = int(Reason.UNKNOWN_KEY)
TOO_MANY_KEYS = int(Reason.TOO_MANY_KEYS)


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
    if len(context.account.granted) >= limits.GRANTS_PER_ACCOUNT_MAX:
        return TOO_MANY_KEYS
    context.account.granted.append(op.key)
    number = state.next_key
    state.next_key += 1
    state.keys[op.key] = SessionKey(
        number,
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
    key.expiry_ms = min(key.expiry_ms, state.time_ms)
    if key.cancel_on_revoke:
        sides = context.account.placing.get(key.number, {})
        for place in sorted(sides):
            trader = sides[place]
            market = state.markets[trader.market]
            request = CancelRequest(trader, 0, state.next_order, key.number, REVOKED, None)
            queue_cancel_request(context, market, request)
    return OK


def forget_keys(state: State) -> None:
    """Forget keys that ended long ago; done at checkpoint heights."""
    oldest = state.time_ms - limits.GRANT_KEPT_MS
    ended = [address for address, key in state.keys.items() if key.expiry_ms < oldest]
    for address in ended:
        state.accounts[state.keys.pop(address).account].granted.remove(address)
