"""Put the API together: endpoints, WebSocket, page, description, behind the guard.

Rule: this is the only list of what the API serves.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router, WebSocketRoute
from starlette.types import ASGIApp

from node.api import (
    endpoints_account,
    endpoints_chain,
    endpoints_chat,
    endpoints_decisions,
    endpoints_listing,
    endpoints_market,
    endpoints_node,
    endpoints_relay,
)
from node.api.access import Access
from node.api.endpoint import Endpoint
from node.api.guard import Guard
from node.api.openapi import build_openapi
from node.api.pages import load_files, page_routes
from node.api.render import encode_json
from node.api.rest import build_route
from node.api.service import NodeService
from node.api.websocket import WebSocketApp

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *endpoints_node.ENDPOINTS,
    *endpoints_market.ENDPOINTS,
    *endpoints_listing.ENDPOINTS,
    *endpoints_account.ENDPOINTS,
    *endpoints_chain.ENDPOINTS,
    *endpoints_chat.ENDPOINTS,
    *endpoints_relay.ENDPOINTS,
    *endpoints_decisions.ENDPOINTS,
)


def build_app(
    service: NodeService,
    access: Access,
    *,
    version: str,
    on_answer: Callable[[int], None] | None = None,
) -> ASGIApp:
    """Return the ASGI application; `on_answer` hears the status code of every answer."""
    description = encode_json(build_openapi(ENDPOINTS, version))

    async def openapi(request: Request) -> Response:
        return Response(description, media_type="application/json")

    routes: list[BaseRoute] = [
        Route("/v1/openapi.json", openapi),
        WebSocketRoute("/v1/ws", WebSocketApp(service, access)),
        *page_routes(load_files()),
    ]
    by_path = sorted(ENDPOINTS, key=lambda endpoint: endpoint.path)
    for _, group in groupby(by_path, key=lambda endpoint: endpoint.path):
        routes.append(build_route(tuple(group), service, access))
    return Guard(Router(routes, redirect_slashes=False), access, on_answer)
