"""Builders: programs that bring orders and earn a fee which the account has approved.

Rule: only the wallet approves; an order names a builder within the approval, and at each fill the
builder gets the smaller of what the order says and what is approved at that moment.
Spec: docs/spec/fees.md#builders
Deviations: none.
"""

from __future__ import annotations

from exchange import limits
from exchange.accounts import Account
from exchange.admission import Context
from exchange.ledger import REWARDS
from exchange.operations import ApproveBuilder, UseBuilder
from exchange.reasons import Reason
from exchange.state import INSURANCE, State

OK = int(Reason.OK)
UNKNOWN_BUILDER = int(Reason.UNKNOWN_BUILDER)
BAD_BUILDER = int(Reason.BAD_BUILDER)
TOO_MANY_BUILDERS = int(Reason.TOO_MANY_BUILDERS)
OVER_APPROVAL = int(Reason.OVER_APPROVAL)


def process_approval(context: Context, op: ApproveBuilder) -> int:
    """Set the most that a builder may charge the account, or take it back. Returns a reason
    code.
    """
    account = context.account
    builder = _find_builder(context.state, account, op.builder)
    if builder is None:
        return UNKNOWN_BUILDER
    if op.max_fee_ppm == 0:
        if builder.number not in account.builders:
            return UNKNOWN_BUILDER
        del account.builders[builder.number]
        return OK
    if op.max_fee_ppm > context.state.genesis.builder_fee_ppm_max:
        return BAD_BUILDER
    if builder.number not in account.builders and (
        len(account.builders) >= limits.BUILDERS_PER_ACCOUNT_MAX
    ):
        return TOO_MANY_BUILDERS
    account.builders[builder.number] = op.max_fee_ppm
    return OK


def admit_builder(context: Context, op: UseBuilder, index: int) -> int:
    """Let the orders that follow in the action name a builder; refused, they are refused too."""
    reason = OK
    builder = _find_builder(context.state, context.account, op.builder)
    if builder is None or builder.number not in context.account.builders:
        reason = UNKNOWN_BUILDER
    elif op.fee_ppm > context.account.builders[builder.number]:
        reason = OVER_APPROVAL
    context.builder = builder if reason == OK else None
    context.builder_ppm = op.fee_ppm if reason == OK else 0
    context.builder_reason = reason
    return reason


def _find_builder(state: State, account: Account, address: bytes) -> Account | None:
    """Return an account that may be a builder of another one."""
    builder = state.by_address.get(address)
    if builder is None or builder is account:
        return None
    return None if builder.number == INSURANCE or address == REWARDS else builder
