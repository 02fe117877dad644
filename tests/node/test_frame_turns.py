"""A flood of one validator keeps no other's votes or questions waiting.

Spec: docs/spec/node.md (Vote loop). Deviations: none.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from node.blocks import consensus_driver
from node.blocks.consensus_driver import ConsensusDriver
from node.clock import NodeClock
from p2p.limits import INBOX_FRAMES_MAX

ALICE, MALLORY = b"\x01" * 20, b"\x66" * 20
FLOOD = 3 * INBOX_FRAMES_MAX


class Replicas:
    """Stands for consensus: notes whose message came when, and who became reachable."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.news = 0

    def start(self, *_: object, silent: bool) -> tuple[()]:
        return ()

    def on_message(self, _now_ms: int, sender: bytes, _message: object) -> tuple[()]:
        self.heard.append(sender)
        return ()

    def on_application(self, _now_ms: int) -> tuple[()]:
        self.news += 1
        return ()


@pytest.fixture
def replicas(monkeypatch: pytest.MonkeyPatch) -> Replicas:
    monkeypatch.setattr(consensus_driver, "decode_message", lambda body: body)
    return Replicas()


def make_driver(replicas: Replicas) -> ConsensusDriver:
    def nothing(*_: object) -> None:
        pass

    return ConsensusDriver(
        cast(Any, replicas),
        wire=cast(Any, None),
        durability=cast(Any, SimpleNamespace(journal=SimpleNamespace(size_bytes=0))),
        clock=NodeClock(),
        on_final=nothing,
        on_epoch=nothing,
        serve_range=nothing,
        on_proposal=nothing,
        wait_stored=cast(Any, nothing),
        wait_room=trio.lowlevel.checkpoint,
    )


async def until(condition: Any) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.001)


async def test_a_vote_is_next_however_many_messages_of_another_wait(replicas: Replicas) -> None:
    driver = make_driver(replicas)
    for _ in range(FLOOD):
        driver.deliver(MALLORY, b"m")
    driver.deliver(ALICE, b"vote")
    assert driver.dropped_total == FLOOD - INBOX_FRAMES_MAX
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(driver.run, (), None, silent=False))
        await until(lambda: ALICE in replicas.heard)
        assert replicas.heard.index(ALICE) <= 1
        await until(lambda: len(replicas.heard) == INBOX_FRAMES_MAX + 1)
        driver.poke()
        await until(lambda: replicas.news)
        driver.deliver(ALICE, b"vote")
        await until(lambda: replicas.heard.count(ALICE) == 2)
        nursery.cancel_scope.cancel()


async def test_news_are_looked_at_under_a_flood(replicas: Replicas) -> None:
    driver = make_driver(replicas)
    for _ in range(INBOX_FRAMES_MAX):
        driver.deliver(MALLORY, b"m")
    driver.poke()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(driver.run, (), None, silent=False))
        await until(lambda: replicas.news)
        assert len(replicas.heard) < INBOX_FRAMES_MAX
        nursery.cancel_scope.cancel()
