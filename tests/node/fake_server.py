"""Serve the API of a fake node, for tests and for working on the page.

Rule: `python -m tests.node.fake_server [PORT]` shows the page live; tests use `serving`.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from node.api.access import Access
from node.api.app import build_app
from node.api.server import open_listeners, serve
from node.api.service import NodeService
from node.api.ticker import run_ticker
from tests.node.fake_service import BLOCK_MS, FakeService

TOKEN = "t" * 43


@asynccontextmanager
async def serving(
    service: NodeService, access: Access | None = None, port: int = 0
) -> AsyncIterator[str]:
    """Serve while inside; gives the base URL."""
    app = build_app(service, access or Access(token=TOKEN), version="0.1.0")
    listeners = await open_listeners("127.0.0.1", port)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, app, listeners)
        nursery.start_soon(run_ticker, service)
        yield url
        nursery.cancel_scope.cancel()


async def main(port: int) -> None:
    """Serve a living fake until interrupted."""
    start_ms = time.time_ns() // 1_000_000 - 2_000 * BLOCK_MS
    service = FakeService(blocks=2_000, start_ms=start_ms)
    async with serving(service, port=port) as url:
        print(url, flush=True)
        await service.run()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 18_999)
