"""Notice that a running node is too far behind to replay, and have it begin anew from a state.

Rule: a healthy node asks nobody: only when its last final block is so old that the chain can be far
ahead; and only a state that a trusted committee has certified makes it stop.
Spec: docs/spec/state-sync.md (While running). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from node.limits import SYNC_WATCH_S_MAX, SYNC_WATCH_S_MIN
from node.sync.state_sync import Position, StateSync
from primitives.errors import NodeError

log = logging.getLogger("omnibazaar.sync")


class SyncWatch:
    """Looks now and then whether this node should fetch a state."""

    def __init__(
        self,
        make_sync: Callable[[], StateSync | None],
        *,
        find_position: Callable[[], Position],
        now_ms: Callable[[], int],
        on_behind: Callable[[], None],
    ) -> None:
        self._make_sync = make_sync
        self._find_position = find_position
        self._now_ms = now_ms
        self._on_behind = on_behind

    async def run(self) -> None:
        """Look until this node is too far behind; then say so once."""
        sync = self._make_sync()
        if sync is None:
            return
        pause_s = sync.behind_blocks * sync.file.timers.gap_ms / 1_000
        before = -1
        while True:
            await trio.sleep(min(SYNC_WATCH_S_MAX, max(SYNC_WATCH_S_MIN, pause_s)))
            position = self._find_position()
            is_stuck, before = position.height == before, position.height
            if await self._is_behind(position, is_stuck):
                self._on_behind()
                return

    async def _is_behind(self, position: Position, is_stuck: bool) -> bool:
        sync = self._make_sync()  # anew each time: trust may have moved on
        if sync is None or not sync.may_be_needed(position, self._now_ms()):
            return False
        try:
            height = await sync.look(position, is_stuck=is_stuck)
        except NodeError as error:
            log.info("nobody proves where the chain is: %s", error)
            return False
        if height is None:
            return False
        log.warning(
            "at height %d, too far behind a certified state of height %d; starting again",
            position.height,
            height,
        )
        return True
