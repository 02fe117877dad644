"""Answer for accounts and take signed actions.

Rule: an action is what its signature says; the API never changes a byte of it and needs no login.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from typing import Annotated

from exchange.limits import SUB_ACCOUNT_MAX
from node.api.account_views import Account, ActionReceipt, Orders, SubmitResult, SubmitResults
from node.api.bodies import ActionsBody, OneRequest, PairBytes, SealedBody, envelope
from node.api.endpoint import Call, Endpoint, Parameter
from node.api.errors import ApiError
from node.api.fee_views import AccountAllowance, AccountBuilders, AccountFees
from node.api.limits import EVENTS_WEIGHT, PAGE_DEFAULT, PAGE_MAX, PROOF_WEIGHT
from node.api.market_views import AccountEvents, AccountState, FillPage
from node.api.proof_views import BalanceProof
from node.api.settlement_views import Withdrawals

ADDRESS = Parameter(name="address", kind="address", about="0x and 40 hex digits")
ACCOUNT = Parameter(name="account", kind="address", about="whose orders", required=True)
LIMIT = Parameter(
    name="limit", kind="integer", about="rows", minimum=1, maximum=PAGE_MAX, default=PAGE_DEFAULT
)
BEFORE = Parameter(name="before", kind="integer", about="only with a lower index")
CURSOR = Parameter(name="cursor", kind="integer", about="only fills of trades with a lower id")
AFTER = Parameter(
    name="after", kind="integer", about="the newest event already known, 0 for all", default=0
)
ASSET = Parameter(name="asset", kind="integer", about="which asset", required=True)
SUB = Parameter(name="sub", kind="integer", about="sub-account", maximum=SUB_ACCOUNT_MAX, default=0)
ACTION = Parameter(name="id", kind="hash", about="the action's signing digest")


async def get_account(call: Call) -> Account:
    """Return everything the ledger holds for one wallet."""
    account = call.service.account(call.values["address"])
    if account is None:
        raise ApiError("not_found", "the ledger has no such account", fix="Deposit first.")
    return account


async def get_proof(call: Call) -> BalanceProof:
    """Return one balance, proven up to a certified header."""
    values = call.values
    proof = await call.service.balance_proof(values["address"], values["sub"], values["asset"])
    if proof is None:
        raise ApiError(
            "not_found",
            "there is no such balance, or no block became final in time",
            fix="Look at /v1/status; ask again while blocks become final.",
        )
    return proof


async def get_fees(call: Call) -> AccountFees:
    """Return what one wallet pays."""
    fees = call.service.account_fees(call.values["address"])
    if fees is None:
        raise ApiError("not_found", "the ledger has no such account", fix="Deposit first.")
    return fees


async def get_allowance(call: Call) -> AccountAllowance:
    """Return what one wallet may send."""
    found = call.service.account_allowance(call.values["address"])
    if found is None:
        raise ApiError("not_found", "the ledger has no such account", fix="Deposit first.")
    return found


async def get_builders(call: Call) -> AccountBuilders:
    """Return who may charge one wallet's orders."""
    return call.service.account_builders(call.values["address"])


async def get_orders(call: Call) -> Orders:
    """Return the resting orders of one wallet."""
    return Orders(orders=call.service.orders(call.values["account"]))


async def get_withdrawals(call: Call) -> Withdrawals:
    """Return the withdrawals one wallet has made."""
    values = call.values
    found = await call.service.withdrawals(values["address"], values["limit"], values["before"])
    return Withdrawals(withdrawals=found)


async def get_events(call: Call) -> AccountEvents:
    """Return events of one wallet in order, without a gap."""
    values = call.values
    return await call.service.market_data.account_events(
        values["address"], values["after"], values["limit"]
    )


async def get_state(call: Call) -> AccountState:
    """Return balances and orders with the number of the event behind them."""
    return call.service.market_data.account_state(call.values["address"])


async def get_fills(call: Call) -> FillPage:
    """Return the fills of one wallet."""
    values = call.values
    return await call.service.market_data.account_fills(
        values["address"], values["limit"], values["cursor"]
    )


async def get_action(call: Call) -> ActionReceipt:
    """Return where an action is."""
    receipt = await call.service.action(call.values["id"])
    if receipt is None:
        raise ApiError(
            "not_found",
            "this node knows no such action",
            fix="Ask the node it was sent to, or send it again with the same nonce.",
        )
    return receipt


async def post_actions(call: Call) -> SubmitResults:
    """Queue signed actions for the next bundle."""
    if isinstance(call.body, ActionsBody):
        envelopes = [envelope(item) for item in call.body.actions]
    else:
        envelopes = call.body
    results = await call.service.submit(envelopes)
    assert len(results) == len(envelopes), "one result per action"
    return SubmitResults(results=tuple(results))


async def post_sealed(call: Call) -> SubmitResult:
    """Send a commit now and its opening when the commit is final."""
    body: SealedBody = call.body
    return await call.service.submit_sealed(envelope(body.commit), envelope(body.opening))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/accounts/{address}",
        summary="Balances, grants and nonces",
        handler=get_account,
        answer=Account,
        parameters=(ADDRESS,),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{address}/proof",
        summary="One balance, proven by a final header",
        handler=get_proof,
        weight=PROOF_WEIGHT,
        answer=BalanceProof,
        parameters=(ADDRESS, ASSET, SUB),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{address}/withdrawals",
        summary="Withdrawals, newest first",
        handler=get_withdrawals,
        answer=Withdrawals,
        parameters=(ADDRESS, LIMIT, BEFORE),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{address}/events",
        summary="What happened to one account, oldest first, without a gap",
        handler=get_events,
        weight=EVENTS_WEIGHT,
        answer=AccountEvents,
        parameters=(ADDRESS, AFTER, LIMIT),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{address}/state",
        summary="Balances and live orders with the number of the newest event",
        handler=get_state,
        weight=EVENTS_WEIGHT,
        answer=AccountState,
        parameters=(ADDRESS,),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{address}/fills",
        summary="Fills, newest first",
        handler=get_fills,
        answer=FillPage,
        parameters=(ADDRESS, LIMIT, CURSOR),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{address}/fees",
        summary="Fee tier, the volume behind it, and the fees in every market",
        handler=get_fees,
        answer=AccountFees,
        parameters=(ADDRESS,),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{address}/allowance",
        summary="What the account may send and leave standing, and what is left of it",
        handler=get_allowance,
        answer=AccountAllowance,
        parameters=(ADDRESS,),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{address}/builders",
        summary="Builders that may charge the account's orders",
        handler=get_builders,
        answer=AccountBuilders,
        parameters=(ADDRESS,),
    ),
    Endpoint(
        method="GET",
        path="/v1/orders",
        summary="Resting orders of one account",
        handler=get_orders,
        answer=Orders,
        parameters=(ACCOUNT,),
    ),
    Endpoint(
        method="GET",
        path="/v1/actions/{id}",
        summary="Where an action is",
        handler=get_action,
        answer=ActionReceipt,
        parameters=(ACTION,),
    ),
    Endpoint(
        method="POST",
        path="/v1/actions",
        summary="Send up to 100 signed actions",
        handler=post_actions,
        answer=SubmitResults,
        body=ActionsBody,
        body_msgpack=Annotated[list[PairBytes], OneRequest],
    ),
    Endpoint(
        method="POST",
        path="/v1/sealed",
        summary="Send a commit; the node opens it",
        handler=post_sealed,
        answer=SubmitResult,
        body=SealedBody,
    ),
)
