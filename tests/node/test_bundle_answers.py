"""No validator fills a node with answers to questions that were asked of others, or of nobody.

Rule: pool, log, verifier and fetch are the node's own; only the wire is the test's.
Spec: docs/spec/node.md (Fetching). Deviations: none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from exchange.actions import BUY, POST_ONLY, CancelAll, Place, SignedAction, encode_bundle, verify
from node.bundling.bundles import BundleExchange
from node.bundling.inclusion import InclusionWatch
from node.bundling.verifier import Verifier
from node.clock import NodeClock
from node.segment_log import SegmentLog
from node.wire import FrameKind, encode_names
from primitives.errors import OperatorError
from tests.exchange.world import DOMAIN, World

ALICE, MALLORY = b"\x01" * 20, b"\x66" * 20


class Wire:
    """What peers send, and whom this node asked."""

    def __init__(self) -> None:
        self.handlers: dict[FrameKind, Any] = {}
        self.asked: list[bytes] = []

    def on(self, kind: FrameKind, handler: Any) -> None:
        self.handlers[kind] = handler

    def send(self, to: tuple[bytes, ...], frame: bytes, *, bulk: bool) -> None:
        self.asked += to

    def connected(self) -> list[bytes]:
        return [ALICE]


class Members:
    def index_of(self, address: bytes) -> int:
        return 0

    def __len__(self) -> int:
        return 4


@pytest.fixture
def wire() -> Wire:
    return Wire()


@asynccontextmanager
async def running(wire: Wire, folder: Path) -> AsyncIterator[BundleExchange]:
    log = SegmentLog(folder)
    log.open()
    exchange = BundleExchange(
        me=b"\x09" * 20,
        committee=lambda: cast(Any, Members()),
        wire=cast(Any, wire),
        verifier=Verifier(DOMAIN),
        watch=InclusionWatch(500),
        bundle_log=log,
        readers=cast(Any, None),
        clock=NodeClock(),
        bundle_ms=5,
        on_change=lambda: None,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.run_check)
        nursery.start_soon(exchange.run_fetch)
        yield exchange
        nursery.cancel_scope.cancel()
    log.close()


def bundle(world: World, op: Any) -> tuple[bytes, SignedAction]:
    action = world.act("alice", op)
    return encode_bundle((action,)), action


async def until(condition: Any) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.001)


async def test_an_answer_to_what_was_asked_of_another_is_not_taken(
    wire: Wire, tmp_path: Path
) -> None:
    world = World()
    asked, action = bundle(world, CancelAll(0))
    action_id = verify(action, DOMAIN).id
    junk = [bundle(world, Place(0, BUY, 10 + i, 1, POST_ONLY))[0] for i in range(8)]
    async with running(wire, tmp_path) as exchange:
        exchange.wanted_actions.want((action_id,))
        await until(lambda: wire.asked == [ALICE])
        for data in junk:
            wire.handlers[FrameKind.BUNDLE_ANSWER](MALLORY, data)
        assert not exchange.pool.has_waiting
        wire.handlers[FrameKind.BUNDLE_ANSWER](ALICE, asked)
        await until(lambda: exchange.wanted_actions.is_idle)
        assert [b.data for b in exchange.pool.waiting()] == [asked]


async def test_an_answer_without_a_wanted_action_is_dropped(wire: Wire, tmp_path: Path) -> None:
    world = World()
    asked, action = bundle(world, CancelAll(0))
    junk = [bundle(world, Place(0, BUY, 10 + i, 1, POST_ONLY))[0] for i in range(8)]
    async with running(wire, tmp_path) as exchange:
        exchange.wanted_actions.want((verify(action, DOMAIN).id,))
        await until(lambda: wire.asked)
        for data in junk:  # one answer was asked for, one is looked at
            wire.handlers[FrameKind.BUNDLE_ANSWER](ALICE, data)
        assert exchange.received_total == 1
        times = len(wire.asked)
        await until(lambda: not exchange.pool.has_waiting)
        await until(lambda: len(wire.asked) > times)  # the next try
        wire.handlers[FrameKind.BUNDLE_ANSWER](ALICE, asked)
        await until(lambda: exchange.wanted_actions.is_idle)


async def test_a_damaged_page_that_a_peer_asks_for_ends_nothing(wire: Wire, tmp_path: Path) -> None:
    damaged, good = b"\x0d" * 32, b"\x0e" * 32

    async def read(_: object, digest: bytes) -> Any:
        if digest == damaged:
            raise OperatorError("database damaged", code="DSK005")
        return SimpleNamespace(data=b"the bundle")

    async with running(wire, tmp_path) as exchange:
        exchange._readers = cast(Any, SimpleNamespace(run=read))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.run_serve)
            wire.handlers[FrameKind.GET_BUNDLES](MALLORY, encode_names((damaged, good)))
            await until(lambda: wire.asked == [MALLORY])
            nursery.cancel_scope.cancel()
