"""Serve an `Endpoint` over HTTP: parse, call, render.

Rule: this file is the only one between a handler and HTTP; it reads no body beyond its limit and
lets every refusal leave as `ApiError`.
Spec: docs/reference/api.md (Requests). Deviations: none.
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import trio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from node.api.access import Access
from node.api.account_views import SubmitResults
from node.api.bodies import decode_body
from node.api.endpoint import Answer, Call, Endpoint, parse_value
from node.api.errors import ApiError
from node.api.limits import BODY_BYTES_MAX, BODY_DRAIN_BYTES_MAX, BODY_TIMEOUT_S
from node.api.render import encode_json, encode_msgpack
from node.api.service import NodeService
from node.api.views import Ready

JSON = "application/json"
MSGPACK = "application/msgpack"


def build_route(endpoints: Sequence[Endpoint], service: NodeService, access: Access) -> Route:
    """Make the route of all endpoints that share one path."""
    by_method = {endpoint.method: endpoint for endpoint in endpoints}

    async def handle(request: Request) -> Response:
        endpoint = by_method["POST" if request.method == "POST" else "GET"]
        return await serve(endpoint, service, access, request)

    return Route(endpoints[0].path, handle, methods=list(by_method))


async def serve(
    endpoint: Endpoint, service: NodeService, access: Access, request: Request
) -> Response:
    """Answer one request. Raises ApiError."""
    if endpoint.operator:
        access.verify_token(request.headers.get("authorization", ""))
    if endpoint.weight > 1:  # the guard has counted one
        access.charge_request(access.remote(request.scope), endpoint.weight - 1)
    accept = request.headers.get("accept", "")
    call = Call(
        service=service,
        values=parse_values(endpoint, service, request),
        body=await parse_body(endpoint, access, request),
        headers=tuple(request.headers.items()),
    )
    answer = await endpoint.handler(call)
    if isinstance(answer, Answer):
        return raw_response(answer)
    status = 503 if isinstance(answer, Ready) and not answer.ready else 200
    is_packed = MSGPACK in accept
    body = encode_msgpack(answer) if is_packed else encode_json(answer)
    access.charge_answer(access.remote(request.scope), len(body))
    return Response(body, status, media_type=MSGPACK if is_packed else JSON)


def parse_values(endpoint: Endpoint, service: NodeService, request: Request) -> dict[str, Any]:
    """Parse path and query. Unknown and repeated names are refused."""
    given = dict(request.path_params)
    known = {parameter.name for parameter in endpoint.parameters}
    for name, text in request.query_params.multi_items():
        if name not in known:
            near = difflib.get_close_matches(name[:64], known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ApiError("bad_request", f"there is no parameter {name[:64]!r}{hint}")
        if name in given:
            raise ApiError("bad_request", f"{name} is given twice")
        given[name] = text
    values: dict[str, Any] = {}
    for parameter in endpoint.parameters:
        if parameter.name in given:
            values[parameter.name] = parse_value(service, parameter, given[parameter.name])
        elif parameter.required:
            raise ApiError("bad_request", f"the parameter {parameter.name!r} is missing")
        else:
            values[parameter.name] = parameter.default
    return values


async def parse_body(endpoint: Endpoint, access: Access, request: Request) -> Any:
    """Read and decode the body where the endpoint has one; charge for the actions in it."""
    if endpoint.method != "POST":
        return None
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    data = await read_body(request)
    if endpoint.body is None:
        return None
    if content_type == MSGPACK and endpoint.body_msgpack is not None:
        body = decode_body(endpoint.body_msgpack, data, is_msgpack=True)
    elif content_type == JSON:
        body = decode_body(endpoint.body, data, is_msgpack=False)
    else:
        raise ApiError("unsupported_media_type", f"the body is {content_type[:64] or 'untyped'}")
    if endpoint.answer is SubmitResults:
        count = len(body) if isinstance(body, list) else len(body.actions)
        access.charge_actions(access.remote(request.scope), count)
    return body


async def read_body(request: Request) -> bytes:
    """Read the whole body. Raises ApiError when it is too large or too slow.

    What is too large is read on for a while and forgotten, so that the client hears why.
    """
    chunks: list[bytes] = []
    size = 0
    with trio.move_on_after(BODY_TIMEOUT_S):
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size <= BODY_BYTES_MAX:
                    chunks.append(chunk)
                elif size > BODY_DRAIN_BYTES_MAX:
                    break
        except ClientDisconnect:
            raise ApiError("bad_request", "the client went away") from None
        if size > BODY_BYTES_MAX:
            raise ApiError("too_large", f"a body has at most {BODY_BYTES_MAX} bytes")
        return b"".join(chunks)
    raise ApiError("timeout", f"the body was not complete within {BODY_TIMEOUT_S} s")


def raw_response(answer: Answer) -> Response:
    """Turn bytes or a stream of bytes into a response."""
    headers = dict(answer.headers)
    if isinstance(answer.body, AsyncIterator):
        return StreamingResponse(
            answer.body, answer.status, headers=headers, media_type=answer.media_type
        )
    return Response(answer.body, answer.status, headers=headers, media_type=answer.media_type)
