"""Take signed claims and deposits of traders without gas, and warn of odd receivers.

Rule: a body is checked for its form here and for its signature behind; the fee is the signed one.
Spec: docs/reference/api.md (Relay); docs/how-to/relay.md. Deviations: none.
"""

from __future__ import annotations

from node.api.endpoint import Call, Endpoint, Parameter
from node.api.errors import ApiError
from node.api.relay_bodies import ClaimBody, OrderBody, PermitBody
from node.api.relay_views import Recipient, RelayJob, RelayTerms
from primitives.vault_orders import NO_PERMIT, ClaimFee, DepositOrder, Permit

RELAY_WEIGHT = 20  # each costs this node a look at the chain, and gas if it is good
UINT256_MAX = 2**256 - 1
JOB = Parameter(name="id", kind="hash", about="the id that the relay gave")
CHAIN = Parameter(name="chain", kind="integer", about="EVM chain id", required=True)
ADDRESS = Parameter(name="address", kind="address", about="who would be paid")


async def get_terms(call: Call) -> RelayTerms:
    """Return what this node brings, and for what."""
    return call.service.relay.terms()


async def get_job(call: Call) -> RelayJob:
    """Return where a transaction is."""
    job = call.service.relay.job(call.values["id"])
    if job is None:
        raise ApiError(
            "not_found",
            "this relay knows no such job",
            fix="Send it again here or to another relay: nothing can happen twice.",
        )
    return job


async def post_claim(call: Call) -> RelayJob:
    """Take a withdrawal to bring."""
    body: ClaimBody = call.body
    fee = ClaimFee(index=body.index, atoms=_number(body.fee), deadline_s=body.deadline_s)
    return await call.service.relay.claim(fee, _bytes(body.signature))


async def post_deposit(call: Call) -> RelayJob:
    """Take a deposit to bring."""
    body: OrderBody = call.body
    order = DepositOrder(
        depositor=_bytes(body.depositor),
        token=_bytes(body.token),
        amount=_number(body.amount),
        fee=_number(body.fee),
        beneficiary=_bytes(body.beneficiary),
        nonce=_number(body.nonce),
        deadline_s=body.deadline_s,
    )
    permit = NO_PERMIT if body.permit is None else _permit(body.permit)
    return await call.service.relay.deposit(body.chain_id, order, _bytes(body.signature), permit)


async def get_recipient(call: Call) -> Recipient:
    """Return what speaks against paying an address."""
    return await call.service.relay.recipient(call.values["chain"], call.values["address"])


def _permit(body: PermitBody) -> Permit:
    return Permit(
        value=_number(body.value),
        deadline_s=body.deadline_s,
        v=body.v,
        r=_bytes(body.r),
        s=_bytes(body.s),
    )


def _number(text: str) -> int:
    value = int(text)
    if value > UINT256_MAX:
        raise ApiError("bad_request", "a number has at most 256 bits")
    return value


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/relay",
        summary="What this node brings to the vaults for traders without gas",
        handler=get_terms,
        answer=RelayTerms,
    ),
    Endpoint(
        method="GET",
        path="/v1/relay/jobs/{id}",
        summary="Where a relayed transaction is",
        handler=get_job,
        answer=RelayJob,
        parameters=(JOB,),
    ),
    Endpoint(
        method="POST",
        path="/v1/relay/claims",
        summary="Bring a withdrawal for a signed fee",
        handler=post_claim,
        answer=RelayJob,
        body=ClaimBody,
        weight=RELAY_WEIGHT,
    ),
    Endpoint(
        method="POST",
        path="/v1/relay/deposits",
        summary="Bring a signed deposit for its fee",
        handler=post_deposit,
        answer=RelayJob,
        body=OrderBody,
        weight=RELAY_WEIGHT,
    ),
    Endpoint(
        method="GET",
        path="/v1/recipients/{address}",
        summary="Whether a withdrawal to an address needs a second thought",
        handler=get_recipient,
        answer=Recipient,
        parameters=(ADDRESS, CHAIN),
        weight=RELAY_WEIGHT,
    ),
)
