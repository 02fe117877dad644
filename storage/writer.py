"""Run a synchronous store in one thread, fed by a bounded queue.

Rule: writes happen one at a time and in the order in which they were asked for; the caller learns
of the commit, or gets the error, and a cancelled caller never interrupts a transaction.
Spec: docs/spec/storage.md#threads
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import trio

from storage import limits

S = TypeVar("S")
T = TypeVar("T")


class StoreWriter(Generic[S]):
    """The only way to write to `store` once it is wrapped: `await writer.run(S.method, ...)`."""

    def __init__(self, store: S) -> None:
        self._store = store
        self._thread = trio.CapacityLimiter(1)
        self._places = trio.Semaphore(limits.WRITE_QUEUE_MAX, max_value=limits.WRITE_QUEUE_MAX)

    @property
    def waiting(self) -> int:
        """Writes asked for and not finished."""
        return limits.WRITE_QUEUE_MAX - self._places.value

    async def run(self, write: Callable[..., T], *arguments: object) -> T:
        """Call `write(store, *arguments)` in the writer thread and return what it returns.

        Waits while the queue is full. Raises whatever the call raises.
        """
        async with self._places:
            return await trio.to_thread.run_sync(
                write, self._store, *arguments, limiter=self._thread
            )


class ReadPool(Generic[S]):
    """A few readers, each lent to one thread at a time."""

    def __init__(self, readers: Sequence[S]) -> None:
        assert readers, "a pool of no readers serves nobody"
        self._free, self._lend = trio.open_memory_channel[S](len(readers))
        self._threads = trio.CapacityLimiter(len(readers))
        self._readers = tuple(readers)
        for reader in readers:
            self._free.send_nowait(reader)

    async def run(self, query: Callable[..., T], *arguments: object) -> T:
        """Call `query(reader, *arguments)` in a thread and return what it returns."""
        reader = await self._lend.receive()
        try:
            return await trio.to_thread.run_sync(query, reader, *arguments, limiter=self._threads)
        finally:
            self._free.send_nowait(reader)
