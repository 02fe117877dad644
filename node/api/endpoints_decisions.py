"""Let operators propose and approve decisions about vaults, and show everybody where they are.

Rule: signing needs the operator's token; looking needs nothing.
Spec: docs/reference/api.md (Decisions); docs/how-to/decide.md. Deviations: none.
"""

from __future__ import annotations

from node.api.decision_views import DecisionBody, Decisions, DecisionView, ProposeBody
from node.api.endpoint import Call, Endpoint


async def get_decisions(call: Call) -> Decisions:
    """Return what is open."""
    return Decisions(decisions=call.service.decisions.all())


async def post_propose(call: Call) -> DecisionView:
    """Sign a new decision."""
    body: ProposeBody = call.body
    return await call.service.decisions.propose(
        body.chain_id,
        bytes.fromhex(body.vault[2:]),
        body.kind,
        bytes.fromhex(body.subject[2:]),
        int(body.value),
        body.days,
    )


async def post_approve(call: Call) -> DecisionView:
    """Sign somebody else's decision."""
    body: DecisionBody = call.body
    return await call.service.decisions.approve(bytes.fromhex(body.id[2:]))


async def post_withdraw(call: Call) -> DecisionView:
    """Sign a decision no more."""
    body: DecisionBody = call.body
    return call.service.decisions.withdraw(bytes.fromhex(body.id[2:]))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/decisions",
        summary="Open decisions about vaults, with signatures",
        handler=get_decisions,
        answer=Decisions,
    ),
    Endpoint(
        method="POST",
        path="/v1/operator/decisions",
        summary="Propose and sign a decision with this validator's key",
        handler=post_propose,
        answer=DecisionView,
        body=ProposeBody,
        operator=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/operator/decisions/approve",
        summary="Sign a decision that another validator has proposed",
        handler=post_approve,
        answer=DecisionView,
        body=DecisionBody,
        operator=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/operator/decisions/withdraw",
        summary="Sign a decision no more in the epochs to come",
        handler=post_withdraw,
        answer=DecisionView,
        body=DecisionBody,
        operator=True,
    ),
)
