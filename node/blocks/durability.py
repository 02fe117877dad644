"""Make the journal, the bundles and the signing guard durable, in that order.

Rule: `sync` returns only when all three would survive a power cut; while the disk refuses, it waits
and
tries again, so nothing that depends on it is sent.
Spec: docs/spec/consensus.md (Persistence). Deviations: none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import trio

from node.keys.signing_guard import SigningGuard
from node.problems import Problems
from node.segment_log import SegmentLog
from primitives.errors import TransientError

RETRY_S = 1.0


class Durability:
    """The three places a vote depends on. One task calls it."""

    def __init__(
        self,
        journal: SegmentLog,
        bundles: SegmentLog,
        guard: SigningGuard | None,
        problems: Problems,
    ) -> None:
        self.journal = journal
        self.bundles = bundles
        self._guard = guard
        self._problems = problems
        self.on_protect: Callable[[bytes], None] = _ignore
        self._records: list[bytes] = []
        self._limiter = trio.CapacityLimiter(1)

    def protect(self, record: bytes) -> None:
        """Queue a record for the signing guard."""
        self._records.append(record)
        self.on_protect(record)

    async def sync(self) -> None:
        """Return once everything queued is durable, however long the disk takes."""
        while True:
            if self._problems.is_open("DSK002"):
                await trio.sleep(RETRY_S)  # nearly full: duties wait, and with them this vote
                continue
            try:
                self.bundles.flush()
                self.journal.flush()
                await trio.to_thread.run_sync(self._wait_durable, limiter=self._limiter)
            except (OSError, sqlite3.Error, TransientError) as error:
                self._problems.set(
                    "DSK001",
                    f"the disk cannot be written: {error}; voting has stopped, nothing is lost",
                    fix="free some space or make the disk writable; voting resumes by itself",
                    stops_duties=True,
                )
                await trio.sleep(RETRY_S)
                continue
            self._problems.clear("DSK001")
            self.bundles.acknowledge()
            self.journal.acknowledge()
            self._records = []
            return

    def _wait_durable(self) -> None:
        self.bundles.wait_durable()
        self.journal.wait_durable()
        if self._records and self._guard is not None:
            self._guard.save(self._records)


def _ignore(record: bytes) -> None:
    """Nobody wants to know what is signed."""
