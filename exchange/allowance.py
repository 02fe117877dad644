"""How much an account may send and leave standing: allowances that grow with its volume.

Rule: every allowance is a base of the network times a growth that follows from the volume of the
thirty days before today; so it holds for a whole day. What a wallet alone may do is never refused
for what its session keys have sent, and cancels have twice the allowance of other operations.
Spec: docs/spec/fees.md#allowances
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.accounts import Account
from exchange.actions import VerifiedAction
from exchange.genesis import AllowanceTerms
from exchange.operations import (
    WALLET_OPS,
    Cancel,
    CancelAfter,
    CancelAll,
    CancelClient,
    Open,
    UseBuilder,
)
from exchange.reasons import Reason
from exchange.state import State
from exchange.volume import compute_past

HOUR_MS: Final = 3_600_000
CALMING_FACTOR: Final = 2
CALMING: Final = (Cancel, CancelAfter, CancelAll, CancelClient, Open, UseBuilder)
"""What lowers risk or saves a bond."""
OK = int(Reason.OK)
RATE_LIMITED = int(Reason.RATE_LIMITED)
OVER_ALLOWANCE = int(Reason.OVER_ALLOWANCE)


def grow(terms: AllowanceTerms, base: int, past: int) -> int:
    """Return the allowance of an account with so much past volume."""
    if terms.growth_units == 0:
        return base
    return base + min(base * past // terms.growth_units, base * (terms.growth_max - 1))


def compute_allowance(state: State, account: Account, base: int) -> int:
    """Return what an account may have of something of which everybody may have `base`."""
    terms = state.genesis.allowance
    if account.volume is None or terms.growth_units == 0:
        return base
    return grow(terms, base, compute_past(account.volume, state.log.day))


def may_add_order(state: State, account: Account, live: int) -> bool:
    """Tell whether a sub-account with so many live orders in a market may have one more."""
    base = state.genesis.orders_per_account_market
    return live < base or live < compute_allowance(state, account, base)


def count_action(state: State, account: Account, action: VerifiedAction) -> int:
    """Count an action against the block's and the hour's allowance. Returns a reason code."""
    if account.action_height != state.height:
        account.action_height = state.height
        account.action_count = 0
    base = state.genesis.actions_per_account_block
    count = account.action_count
    if count >= base and count >= compute_allowance(state, account, base):
        return RATE_LIMITED
    base = state.genesis.allowance.operations_per_hour
    if base and not isinstance(action.ops[0], WALLET_OPS):
        hour = state.time_ms // HOUR_MS
        if account.operations_hour != hour:
            account.operations_hour = hour
            account.operations_used = 0
        used = account.operations_used + len(action.ops)
        if used > base:
            allowed = compute_allowance(state, account, base)
            if used > allowed and not (used <= CALMING_FACTOR * allowed and _is_calming(action)):
                return OVER_ALLOWANCE
        account.operations_used = used
    account.action_count = count + 1
    return OK


def get_operations_used(state: State, account: Account) -> int:
    """Return the operations of an account in the hour of the last block."""
    return account.operations_used if account.operations_hour == state.time_ms // HOUR_MS else 0


def _is_calming(action: VerifiedAction) -> bool:
    return all(isinstance(op, CALMING) for op in action.ops)
