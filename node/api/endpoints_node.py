"""Answer for the node itself: status, readiness, metrics, validators, peers.

Rule: reads answer from memory; whatever changes the node needs the operator's token.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from node.api.bodies import BanBody, IsolateBody, PeerBody
from node.api.endpoint import Answer, Call, Endpoint, Parameter
from node.api.errors import ApiError
from node.api.score_views import Validators, ValidatorScore
from node.api.views import Done, Peers, Ready, Status

VALIDATOR = Parameter(name="validator", kind="address", about="hot key or owner of a validator")
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def get_status(call: Call) -> Status:
    """Return the node's status."""
    return call.service.status()


async def get_validators(call: Call) -> Validators:
    """Return the committee."""
    return Validators(validators=call.service.validators())


async def get_score(call: Call) -> ValidatorScore:
    """Return what decides a validator's seat and share of the fees."""
    score = call.service.score(call.values["validator"])
    if score is None:
        raise ApiError("not_found", "no such validator is registered", fix="See /v1/validators.")
    return score


async def get_healthz(call: Call) -> Done:
    """Return as soon as the daemon answers at all."""
    return Done()


async def get_readyz(call: Call) -> Ready:
    """Return whether the node is ready; the status code is 200 or 503 accordingly."""
    status = call.service.status()
    return Ready(ready=status.ready, problems=status.problems, waits_for=status.waits_for)


async def get_metrics(call: Call) -> Answer:
    """Return the Prometheus text."""
    return Answer(body=call.service.metrics(), media_type=METRICS_TYPE)


async def get_peers(call: Call) -> Peers:
    """Return all peers with their network addresses."""
    return Peers(peers=call.service.peers())


async def post_peer(call: Call) -> Done:
    """Dial a peer and keep it."""
    await call.service.add_peer(call.body.multiaddr)
    return Done()


async def post_ban(call: Call) -> Done:
    """Refuse a peer, or accept it again."""
    await call.service.ban_peer(call.body.peer, call.body.banned)
    return Done()


async def post_isolate(call: Call) -> Done:
    """Simulate a network fault: exchange nothing with some validators."""
    await call.service.isolate([bytes.fromhex(text[2:]) for text in call.body.addresses])
    return Done()


async def post_stop(call: Call) -> Done:
    """Begin a clean stop."""
    call.service.request_stop()
    return Done()


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/healthz",
        summary="The daemon answers",
        handler=get_healthz,
        answer=Done,
    ),
    Endpoint(
        method="GET",
        path="/readyz",
        summary="Ready for duties: 200, otherwise 503",
        handler=get_readyz,
        answer=Ready,
    ),
    Endpoint(
        method="GET",
        path="/metrics",
        summary="Prometheus metrics",
        handler=get_metrics,
        answer=METRICS_TYPE,
    ),
    Endpoint(
        method="GET",
        path="/v1/status",
        summary="Where the node is and whether it is ready",
        handler=get_status,
        answer=Status,
    ),
    Endpoint(
        method="GET",
        path="/v1/validators",
        summary="The committee",
        handler=get_validators,
        answer=Validators,
    ),
    Endpoint(
        method="GET",
        path="/v1/validators/{validator}/score",
        summary="A validator's score, part by part",
        handler=get_score,
        answer=ValidatorScore,
        parameters=(VALIDATOR,),
    ),
    Endpoint(
        method="GET",
        path="/v1/operator/peers",
        summary="Peers with their addresses",
        handler=get_peers,
        answer=Peers,
        operator=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/operator/peers",
        summary="Dial a peer and keep it",
        handler=post_peer,
        answer=Done,
        body=PeerBody,
        operator=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/operator/peers/ban",
        summary="Refuse or accept a peer",
        handler=post_ban,
        answer=Done,
        body=BanBody,
        operator=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/operator/isolate",
        summary="Exchange nothing with some validators (fault tests)",
        handler=post_isolate,
        answer=Done,
        body=IsolateBody,
        operator=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/operator/stop",
        summary="Stop the daemon cleanly",
        handler=post_stop,
        answer=Done,
        operator=True,
    ),
)
