"""Stand before every request: check it, and give every answer the headers that keep a browser safe.

Rule: nothing behind this file sees a request with a wrong Host or Origin, and nothing an endpoint
raises gets past it.
Spec: docs/reference/api.md (Access, Errors). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.access import Access
from node.api.errors import ApiError, from_node_error
from node.api.limits import HEADER_BYTES_MAX, QUERY_BYTES_MAX
from node.api.render import encode_json
from primitives.errors import NodeError

logger = logging.getLogger("omnibazaar.api")

# lightweight-charts adds one <style> for its logo; this is the hash of it and of nothing else.
CHART_STYLE_HASH: Final = "sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY="
PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' '{CHART_STYLE_HASH}'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
CONTENT_POLICY: Final = "default-src 'none'; sandbox"
SAFE_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


class Guard:
    """The outermost ASGI layer."""

    def __init__(
        self, app: ASGIApp, access: Access, on_answer: Callable[[int], None] | None = None
    ) -> None:
        self._app = app
        self._access = access
        self._on_answer = on_answer or (lambda status: None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, pass it on and turn whatever is raised into an answer."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope["app"] = self  # makes Starlette's router raise what it cannot serve
        started = False
        is_page = scope["path"] in ("/",) or scope["path"].startswith("/web/")
        policy = PAGE_POLICY if is_page else CONTENT_POLICY

        async def send_safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._on_answer(message["status"])
                message["headers"] = [
                    *message.get("headers", ()),
                    *SAFE_HEADERS,
                    (b"content-security-policy", policy.encode()),
                ]
                if not any(name == b"cache-control" for name, _ in message["headers"]):
                    message["headers"].append((b"cache-control", b"no-store"))
            elif message["type"] == "websocket.accept":
                started = True
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, send_safely)
        except Exception as error:  # noqa: BLE001 - the boundary: log it, answer, live on
            refusal = as_refusal(error)
            if not started:
                await send_refusal(scope, send_safely, refusal)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES_MAX:
            raise ApiError("too_large", f"headers have at most {HEADER_BYTES_MAX} bytes")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > QUERY_BYTES_MAX:
            raise ApiError(
                "too_large", f"a path with its query has at most {QUERY_BYTES_MAX} bytes"
            )
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            raise ApiError("bad_request", "exactly one Host header is needed")
        self._access.verify_host(hosts[0])
        self._access.verify_origin(headers.get("origin"), hosts[0])
        self._access.charge_request(self._access.remote(scope))


def as_refusal(error: Exception) -> ApiError:
    """Translate anything raised below; what nobody expected is logged with its traceback."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, NodeError):
        refusal = from_node_error(error)
        if refusal.status < 500 or refusal.code == "unavailable":
            return refusal
    if isinstance(error, HTTPException):
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            return ApiError(
                "method_not_allowed",
                "the path is there, the method is not",
                headers=((b"allow", allowed.encode()),),
            )
        return ApiError("not_found", "there is nothing at this path")
    logger.error("a request failed inside the node", exc_info=error, extra={"code": "API001"})
    return ApiError("internal", "the node failed to answer", risk="unknown; see the node's log")


async def send_refusal(scope: Scope, send: Send, refusal: ApiError) -> None:
    """Answer a request, or a WebSocket that was not accepted yet, with a refusal."""
    body = encode_json(refusal.body())
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *refusal.headers,
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.status == 429:
        headers.append((b"retry-after", b"1"))
    if refusal.status in (408, 413, 415):
        headers.append((b"connection", b"close"))
    prefix = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    start: dict[str, Any] = {"type": f"{prefix}.start", "status": refusal.status}
    await send({**start, "headers": headers})
    await send({"type": f"{prefix}.body", "body": body})
