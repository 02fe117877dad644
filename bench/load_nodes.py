"""Ask the nodes under load what they did: counters, state roots, finality.

Rule: figures come from each node's own API, at the same height where they are compared.
Spec: docs/reference/benchmarks.md (End to end).
Deviations: none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import httpx
import trio
from msgspec import Struct

from client.rest import RestClient
from client.views import Status, View

PATIENCE_S: Final = 60.0
COUNTERS: Final = {
    "orders_accepted": "omnibazaar_orders_accepted_total",
    "orders_rejected": "omnibazaar_orders_rejected_total",
    "fills": "omnibazaar_fills_total",
    "actions": "omnibazaar_actions_total",
    "blocks": "omnibazaar_blocks_total",
    "nullified_views": "omnibazaar_nullified_views_total",
    "cpu_s": "omnibazaar_process_cpu_seconds_total",
    "rss_bytes": "omnibazaar_process_resident_memory_bytes",
}
_LINE: Final = re.compile(r"^(\w+) ([0-9.eE+-]+)$", re.MULTILINE)


class Summary(View, frozen=True, kw_only=True):
    """The part of a block's summary that is compared."""

    height: int
    hash: bytes
    executed_height: int


class Detail(View, frozen=True, kw_only=True):
    """The part of a block that is compared; `state_root` is that after `executed_height`."""

    summary: Summary
    state_root: bytes
    fees_root: bytes


class Agreement(Struct, frozen=True, kw_only=True):
    """Whether all nodes hold the same block and root."""

    height: int
    executed_height: int
    are_equal: bool
    state_root: str


class Nodes:
    """The nodes under load, by REST. Use it as an async context manager."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = tuple(urls)
        self._clients = tuple(RestClient(url) for url in urls)
        self._http = httpx.AsyncClient(timeout=10.0, trust_env=False)

    async def __aenter__(self) -> Nodes:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()
        await self._http.aclose()

    async def statuses(self) -> list[Status]:
        """Return every node's status."""
        return [await client.status() for client in self._clients]

    async def counters(self, index: int) -> dict[str, float]:
        """Return one node's counters since its process started."""
        answer = await self._http.get(f"{self.urls[index]}/metrics")
        values = dict(_LINE.findall(answer.text))
        found = {name: float(values.get(metric, 0)) for name, metric in COUNTERS.items()}
        status = await self._clients[index].status()
        return {**found, "verified_signatures": float(status.verified_signatures)}

    async def all_counters(self) -> list[dict[str, float]]:
        """Return every node's counters."""
        return [await self.counters(index) for index in range(len(self.urls))]

    async def settle(self, names: Sequence[str]) -> float:
        """Wait until some counters are the same on all nodes and stand still.

        Returns when (trio's clock) they last moved; after `PATIENCE_S` without rest it gives up.
        """
        last, moved = None, trio.current_time()
        started = moved
        while trio.current_time() - started < PATIENCE_S:
            found = [[c[name] for name in names] for c in await self.all_counters()]
            if found != last:
                last, moved = found, trio.current_time()
            elif trio.current_time() - moved > 2.0 and all(row == found[0] for row in found):
                return moved
            await trio.sleep(0.1)
        return moved

    async def agree(self) -> Agreement:
        """Compare the newest block that every node has."""
        height = min(status.final for status in await self.statuses())
        details = [await client.get(f"/v1/blocks/{height}", Detail) for client in self._clients]
        first = details[0]
        return Agreement(
            height=height,
            executed_height=first.summary.executed_height,
            are_equal=all(detail == first for detail in details),
            state_root="0x" + first.state_root.hex(),
        )
