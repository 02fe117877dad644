"""A node that runs for very long, or whose store refuses for very long, keeps its memory.

Rule: what grows with the chain is asked for its bound, not measured by the clock.
Spec: docs/spec/node.md (Execution, Life cycle). Deviations: none.
"""

from __future__ import annotations

import gc
import resource
import weakref
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from node import daemon
from node.api.limits import SOCKETS_MAX
from node.blocks import final_blocks
from node.blocks.final_blocks import FinalBlocks
from node.limits import FILES_WANTED
from p2p.limits import CONNECTIONS_MAX


def make_final_blocks(waiting: int, included_bytes: int) -> Any:
    blocks = object.__new__(FinalBlocks)
    blocks.executor = cast(Any, SimpleNamespace(waiting=waiting))
    blocks._bundles = cast(
        Any, SimpleNamespace(pool=SimpleNamespace(included_bytes=included_bytes))
    )
    blocks._stored = trio.Event()
    return blocks


@pytest.mark.parametrize(
    ("waiting", "included_bytes", "has_room"),
    [
        (0, 1 << 40, True),  # kept for stragglers, already executed
        (64, 1 << 40, True),
        (65, 1 << 40, False),
        (65, 512 << 20, True),
        (2_048, 0, True),
        (2_049, 0, False),
    ],
)
def test_few_final_blocks_always_have_room_many_or_large_ones_have_not(
    waiting: int, included_bytes: int, has_room: bool
) -> None:
    assert make_final_blocks(waiting, included_bytes).has_room is has_room


async def test_who_waits_for_room_goes_on_when_the_store_has_caught_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(final_blocks, "FINAL_BLOCKS_WAITING_MIN", 1)
    monkeypatch.setattr(final_blocks, "FINAL_BLOCKS_WAITING_MAX", 2)
    blocks = make_final_blocks(4, 0)
    went_on = trio.Event()

    async def wait() -> None:
        await blocks.wait_room()
        went_on.set()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            for waiting in (3, 2):
                await trio.testing.wait_all_tasks_blocked()
                assert not went_on.is_set()
                blocks.executor.waiting = waiting
                blocks._stored.set()
                blocks._stored = trio.Event()
            await went_on.wait()


def test_clients_cannot_take_all_the_files_that_connections_to_validators_need() -> None:
    """Shells and services begin with 1,024, of which the API alone may have 2,048."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(FILES_WANTED, before[1])
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        daemon.raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == wanted
        daemon.raise_file_limit()
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
        daemon.raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1], "never lowered"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert FILES_WANTED > 2 * (SOCKETS_MAX + CONNECTIONS_MAX)


class World:
    """Stands for a node: it refers to itself, as everything in a node does."""

    def __init__(self) -> None:
        self.me = self


def test_a_life_that_ended_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector had been told to leave its whole state alone, for each life another one."""
    lives: list[weakref.ref[World]] = []

    async def live(_: object) -> int | None:
        assert not any(life() for life in lives)
        lives.append(weakref.ref(World()))
        world = World()
        lives.append(weakref.ref(world))
        gc.freeze()
        return 0 if len(lives) > 4 else None

    monkeypatch.setattr(daemon, "_main", live)
    try:
        assert daemon.run_lives(cast(Any, None)) == 0
    finally:
        gc.unfreeze()
    assert len(lives) == 6
