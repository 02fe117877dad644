"""Push the views that change all the time, once a second and only while somebody looks.

Rule: nothing is built for nobody; an answer the node cannot give now is simply not pushed.
Spec: docs/reference/api.md (Subscriptions). Deviations: none.
"""

from __future__ import annotations

import logging

import trio

from node.api.limits import TICK_S
from node.api.service import NodeService
from node.api.settlement_views import Settlement
from primitives.errors import NodeError

logger = logging.getLogger("omnibazaar.api")


async def run_ticker(service: NodeService) -> None:
    """Publish status, markets, validators and changed settlements for ever."""
    seen: Settlement | None = None
    while True:
        try:
            seen = await tick(service, seen)
        except NodeError as error:
            logger.debug("nothing to push: %s", error)
        await trio.sleep(TICK_S)


async def tick(service: NodeService, seen: Settlement | None) -> Settlement | None:
    """Publish once; return the settlement last pushed, None while nobody listens."""
    hub = service.hub
    if hub.is_wanted("status"):
        hub.publish("status", service.status())
    if hub.is_wanted("markets"):
        hub.publish("markets", service.markets())
    if hub.is_wanted("validators"):
        hub.publish("validators", service.validators())
    if not hub.is_wanted("settlement"):
        return None
    settlement = await service.settlement()
    if settlement != seen:
        hub.publish("settlement", settlement)
    return settlement
