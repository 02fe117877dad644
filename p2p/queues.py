"""Hold what waits: outbound per peer and lane, inbound per lane and sender.

Rule: every queue is bounded by messages and by bytes, drops the newest when full and counts the
drop. Nothing here waits for a peer; only `Inbox.receive` and `SendQueue.wait` wait at all.

Spec: docs/spec/p2p.md §5 (Queues).
Deviations: none.
"""

from __future__ import annotations

from collections import deque

import trio

from p2p.lanes import Inbound, Lane
from p2p.limits import INBOX_FRAMES_MAX, INBOX_TOTAL_BYTES_MAX

_EMPTY: deque[bytes] = deque(maxlen=0)


class SendQueue:
    """Messages, already cut into frames, that wait for one peer on one lane."""

    __slots__ = ("_bytes", "_bytes_max", "_frames_max", "_items", "_wake", "dropped_total")

    def __init__(self, *, frames_max: int, bytes_max: int) -> None:
        self._items: deque[bytes] = deque()
        self._bytes = 0
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._wake = trio.Event()
        self.dropped_total = 0

    def put(self, frames: bytes) -> bool:
        """Queue one message; False when the queue is full and the message is dropped."""
        if len(self._items) >= self._frames_max or self._bytes + len(frames) > self._bytes_max:
            self.dropped_total += 1
            return False
        self._items.append(frames)
        self._bytes += len(frames)
        self._wake.set()
        return True

    def take(self, bytes_max: int) -> bytes:
        """Return messages joined up to `bytes_max` (one larger message alone), or nothing."""
        batch: list[bytes] = []
        size = 0
        while self._items and (not batch or size + len(self._items[0]) <= bytes_max):
            frames = self._items.popleft()
            batch.append(frames)
            size += len(frames)
        self._bytes -= size
        assert self._bytes >= 0, "the queue lost count of its bytes"
        return batch[0] if len(batch) == 1 else b"".join(batch)

    def clear(self) -> None:
        """Forget what waits: after a reconnect the application sends again what still matters."""
        self.dropped_total += len(self._items)
        self._items.clear()
        self._bytes = 0

    async def wait(self) -> None:
        """Return when something is queued."""
        if not self._items:
            self._wake = trio.Event()
            await self._wake.wait()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def bytes_queued(self) -> int:
        """Bytes that wait."""
        return self._bytes


class Inbox:
    """Messages of one lane that wait for the application; senders take turns."""

    __slots__ = (
        "_bytes",
        "_bytes_max",
        "_lane",
        "_queues",
        "_total",
        "_turns",
        "_wake",
        "dropped_total",
    )

    def __init__(self, lane: Lane, *, bytes_max: int) -> None:
        self._lane = lane
        self._bytes_max = bytes_max
        self._queues: dict[bytes, deque[bytes]] = {}
        self._bytes: dict[bytes, int] = {}
        self._total = 0
        self._turns: deque[bytes] = deque()
        self._wake = trio.Event()
        self.dropped_total = 0

    def put(self, sender: bytes, message: bytes) -> bool:
        """Queue one message; False when this sender's share is full and the message is dropped."""
        queue = self._queues.get(sender, _EMPTY)
        size = self._bytes.get(sender, 0) + len(message)
        if len(queue) >= INBOX_FRAMES_MAX or size > self._share():
            self.dropped_total += 1
            return False
        if not queue:
            queue = self._queues[sender] = deque()
            self._turns.append(sender)
        queue.append(message)
        self._bytes[sender] = size
        self._total += len(message)
        self._wake.set()
        return True

    def _share(self) -> int:
        """Return what one sender may hold: less while many of them fill the inbox."""
        if self._total < INBOX_TOTAL_BYTES_MAX // 2:
            return self._bytes_max
        return min(self._bytes_max, INBOX_TOTAL_BYTES_MAX // (2 * max(1, len(self._queues))))

    def receive_nowait(self) -> Inbound | None:
        """Return the next message, or None when nothing waits."""
        if not self._turns:
            return None
        sender = self._turns.popleft()
        queue = self._queues[sender]
        message = queue.popleft()
        self._bytes[sender] -= len(message)
        self._total -= len(message)
        if queue:
            self._turns.append(sender)
        else:
            del self._queues[sender], self._bytes[sender]
        return Inbound(sender, self._lane, message)

    async def receive(self) -> Inbound:
        """Wait for the next message."""
        await trio.lowlevel.checkpoint()
        while (item := self.receive_nowait()) is None:
            if self._wake.is_set():
                self._wake = trio.Event()
            await self._wake.wait()
        return item

    async def wait(self) -> None:
        """Return when a message waits, or `wake` was called since the last return."""
        if self._turns:
            await trio.lowlevel.checkpoint()
            return
        await self._wake.wait()
        self._wake = trio.Event()

    def wake(self) -> None:
        """Let who waits look at something else."""
        self._wake.set()

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Inbound:
        return await self.receive()

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())
