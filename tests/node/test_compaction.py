"""Logs that grew long are replaced; a disk that refuses costs length, never the node.

Rule: the logs are the node's own on real files; consensus and the store are the test's.
Spec: docs/spec/node.md (Vote loop, Bundles). Deviations: none.
"""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from node.blocks import consensus_driver
from node.blocks.consensus_driver import ConsensusDriver
from node.bundling import bundles
from node.bundling.bundle_pool import BundlePool
from node.bundling.bundles import BundleExchange
from node.clock import NodeClock
from node.segment_log import SegmentLog
from primitives.errors import TransientError

LIMIT = 1_000


@pytest.fixture
def log(tmp_path: Path) -> Any:
    log = SegmentLog(tmp_path / "log")
    log.open()
    yield log
    log.close()


def refuse_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first file that shall be renamed stay where it is."""
    really, times = os.rename, iter([1])

    def rename(path: Path, new: Path) -> None:
        for _ in times:
            raise OSError(errno.ENOSPC, "no space left on device")
        really(path, new)

    monkeypatch.setattr(os, "rename", rename)


class Replicas:
    """Stands for consensus: needs so many bytes of its journal for good."""

    def __init__(self, needs: int) -> None:
        self.tip = SimpleNamespace(height=7)
        self.needs = needs
        self.snapshots = 0

    def start(self, *_: object, silent: bool) -> tuple[()]:
        return ()

    def on_application(self, _now_ms: int) -> tuple[()]:
        return ()

    def journal_snapshot(self) -> tuple[bytes, ...]:
        self.snapshots += 1
        return (bytes(self.needs),)


def make_driver(log: SegmentLog, replicas: Replicas, wait_stored: Any) -> ConsensusDriver:
    def nothing(*_: object) -> None:
        pass

    return ConsensusDriver(
        cast(Any, replicas),
        wire=cast(Any, None),
        durability=cast(Any, SimpleNamespace(journal=log)),
        clock=NodeClock(),
        on_final=nothing,
        on_epoch=nothing,
        serve_range=nothing,
        on_proposal=nothing,
        wait_stored=wait_stored,
        wait_room=trio.lowlevel.checkpoint,
    )


async def feed(driver: ConsensusDriver, log: SegmentLog, times: int) -> None:
    """Let the journal grow by a hundred bytes at each event."""
    for _ in range(times):
        log.append(bytes(100))
        driver.poke()
        with trio.fail_after(30):
            while driver._is_poked:
                await trio.sleep(0)
        for _ in range(5):
            await trio.sleep(0)


async def test_a_journal_is_replaced_when_the_disk_allows_it_again(
    log: SegmentLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consensus_driver, "JOURNAL_SEGMENT_BYTES", LIMIT)
    refuse_once(monkeypatch)
    refusals = iter([TransientError("disk error")])

    async def wait_stored(height: int) -> None:
        assert height == 7
        for error in refusals:
            raise error

    replicas = Replicas(needs=10)
    driver = make_driver(log, replicas, wait_stored)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(driver.run, (), None, silent=False))
        await feed(driver, log, 40)
        nursery.cancel_scope.cancel()
    assert replicas.snapshots >= 2, "the store refused first, then the disk"
    assert log.size_bytes < LIMIT


async def test_a_journal_of_which_all_is_needed_is_not_written_again_at_every_event(
    log: SegmentLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views pile up while no quorum can be reached; none of them may be forgotten."""
    monkeypatch.setattr(consensus_driver, "JOURNAL_SEGMENT_BYTES", LIMIT)

    async def wait_stored(height: int) -> None:
        pass

    replicas = Replicas(needs=2 * LIMIT)
    driver = make_driver(log, replicas, wait_stored)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(driver.run, (), None, silent=False))
        await feed(driver, log, 40)
        nursery.cancel_scope.cancel()
    assert 2 <= replicas.snapshots <= 6


async def test_a_silent_start_soon_replaces_the_journal_that_may_be_damaged(
    log: SegmentLog,
) -> None:
    async def wait_stored(height: int) -> None:
        pass

    log.append(b"silence")
    replicas = Replicas(needs=10)
    driver = make_driver(log, replicas, wait_stored)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(driver.run, (), None, silent=True))
        await feed(driver, log, 3)
        nursery.cancel_scope.cancel()
    assert replicas.snapshots == 1


def test_a_bundle_log_of_which_all_is_needed_is_not_written_again_at_every_block(
    log: SegmentLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "BUNDLE_LOG_SEGMENT_BYTES", LIMIT)
    refuse_once(monkeypatch)
    exchange = cast(Any, SimpleNamespace(pool=BundlePool(), _log=log, _log_bytes_max=LIMIT))
    rotations = []
    really = log.rotate
    monkeypatch.setattr(log, "rotate", lambda keep: rotations.append(1) or really(keep))
    for number in range(200):
        data = number.to_bytes(2, "big") + bytes(98)
        exchange.pool.add(data, b"\x01" * 20, 0, is_asked_for=True)
        log.append(data)
        BundleExchange.compact_log(exchange, 0)
    assert 5 < len(rotations) < 12
    assert log.size_bytes >= 200 * 100
