"""Send a load that was signed in advance to all nodes at its own pace, and time what comes back.

Rule: an account always uses the same node, whose order its nonces need; a commit is opened as soon
as its node says that it is final. Nothing is signed here.
Spec: docs/reference/benchmarks.md (End to end).
Deviations: none.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

import trio

from bench.load_flow import LoadFlow, Send
from client.errors import ClientError, ConnectionLost
from client.node_client import NodeClient
from client.outcomes import is_accepted_code, is_ended, is_executed
from client.stream import NodeStream
from client.views import AccountUpdate, ActionReceipt, BlockSummary

TICK_S: Final = 0.02
REQUEST_ACTIONS_MAX: Final = 100
REQUESTS_WAITING_MAX: Final = 16  # per node; then sending waits for the node
OPEN_TIMEOUT_S: Final = 60.0
STAGES: Final = ("commit_executed", "opening_executed", "batch_cleared", "commit_to_fill")
"""Of a sealed order: until each of these, from the one before; the last one is the whole."""


class NodeLoad:
    """What goes to one node and comes from it."""

    def __init__(self, client: NodeClient, sends: Sequence[Send], takers: Sequence[bytes]) -> None:
        self.client = client
        self.due = deque(sends)
        self.openings: deque[Send] = deque()
        self.takers = takers
        self.sent = Counter[str]()
        self.refused = Counter[str]()
        self.ends = Counter[str]()  # what became of sealed orders
        self.stages_ms: dict[str, list[int]] = {stage: [] for stage in STAGES}
        self.finality_ms: list[int] = []
        self.block_times_ms: list[int] = []
        self.late_s = 0.0
        self._committed: dict[bytes, tuple[Send, float]] = {}  # commit id → (send, when)
        self._opened: dict[bytes, float] = {}  # opening id → when its commit was sent
        self._shown: dict[bytes, float] = {}  # opening id → when its commit was executed
        self._cleared: dict[bytes, float] = {}  # opening id → when it was executed
        self._slots = trio.Semaphore(REQUESTS_WAITING_MAX)

    @property
    def sealed_waiting(self) -> int:
        """Commits and openings whose end is not known."""
        return len(self._committed) + len(self._opened) + len(self.openings)

    async def run(self, started: float) -> None:
        """Send what is due until nothing is left and every commit has come to its end."""
        async with trio.open_nursery() as nursery:
            while self.due or self.sealed_waiting:
                batch = self._take_due(trio.current_time() - started)
                if batch:
                    await self._slots.acquire()
                    nursery.start_soon(self._submit, batch)
                if len(batch) < REQUEST_ACTIONS_MAX:
                    await trio.sleep(TICK_S)
                self._forget_lost()

    def _take_due(self, now_s: float) -> list[tuple[Send, bool]]:
        """Return up to 100 actions: openings first, they hold their batch up."""
        batch: list[tuple[Send, bool]] = []
        while self.openings and len(batch) < REQUEST_ACTIONS_MAX:
            batch.append((self.openings.popleft(), True))
        while self.due and self.due[0].due_s <= now_s and len(batch) < REQUEST_ACTIONS_MAX:
            self.late_s = max(self.late_s, now_s - self.due[0].due_s)
            batch.append((self.due.popleft(), False))
        return batch

    async def _submit(self, batch: list[tuple[Send, bool]]) -> None:
        now = trio.current_time()
        pairs = []
        for send, is_opening in batch:
            signed = send.opening if is_opening else send.signed
            assert signed is not None, "only commits have an opening to send"
            pairs.append(signed.pair)
            if send.opening is not None and not is_opening:
                self._committed[send.signed.id] = (send, now)
        try:
            results = await self.client.submit(pairs)
        except (ConnectionLost, ClientError) as error:
            self.refused[type(error).__name__] += len(batch)
            return
        finally:
            self._slots.release()
        for (send, is_opening), result in zip(batch, results, strict=True):
            if result.accepted:
                self.sent["actions"] += 1
                self.sent["orders"] += send.orders if is_opening or send.opening is None else 0
            else:
                self.refused[result.code or result.error] += 1
                self._committed.pop(send.signed.id, None)
                if is_opening and send.opening is not None:
                    self._opened.pop(send.opening.id, None)

    def _forget_lost(self) -> None:
        """Count sealed orders that nothing was heard of."""
        now = trio.current_time()
        for waiting in (
            [i for i, (_, when) in self._committed.items() if now - when > OPEN_TIMEOUT_S],
            [i for i, when in self._opened.items() if now - when > OPEN_TIMEOUT_S],
        ):
            for action_id in waiting:
                self.refused["no word of a sealed order"] += 1
                self._committed.pop(action_id, None)
                for known in (self._opened, self._shown, self._cleared):
                    known.pop(action_id, None)

    # What comes back

    async def follow_account(self, account: bytes, ready: trio.Event) -> None:
        """Open this account's commits when they are final, and time its fills."""
        async for event in self.client.subscribe("account", account):
            ready.set()
            update: AccountUpdate = event.data
            for receipt in update.receipts:
                self._on_receipt(receipt)

    def _on_receipt(self, receipt: ActionReceipt) -> None:
        now = trio.current_time()
        if receipt.id in self._committed and is_executed(receipt):
            send, when = self._committed.pop(receipt.id)
            self._note("commit_executed", now - when)
            if any(is_accepted_code(status.code) for status in receipt.statuses):
                assert send.opening is not None
                self._opened[send.opening.id] = when
                self._shown[send.opening.id] = now
                self.openings.append(send)
            else:
                self.refused[receipt.statuses[0].code] += 1
            return
        if receipt.id not in self._opened:
            return
        shown = self._shown.pop(receipt.id, None)
        if shown is not None:
            self._note("opening_executed", now - shown)
            self._cleared[receipt.id] = now
        if is_ended(receipt):
            self._note("batch_cleared", now - self._cleared.pop(receipt.id, now))
            self._note("commit_to_fill", now - self._opened.pop(receipt.id))
            self.ends.update(status.code for status in receipt.statuses)

    def _note(self, stage: str, seconds: float) -> None:
        self.stages_ms[stage].append(int(seconds * 1_000))

    async def follow_blocks(self, ready: trio.Event) -> None:
        """Note the finality of every block this node makes final."""
        async for event in self.client.subscribe("blocks"):
            if event.is_snapshot:
                ready.set()
                continue
            blocks: tuple[BlockSummary, ...] = event.data
            for block in blocks:
                self.block_times_ms.append(block.time_ms)
                if block.finality_ms:
                    self.finality_ms.append(block.finality_ms)


async def open_streams(urls: Sequence[str], nursery: trio.Nursery) -> list[NodeStream]:
    """Connect to every node."""
    streams = [NodeStream(url) for url in urls]
    for stream in streams:
        nursery.start_soon(stream.run)
        await stream.wait_connected()
    return streams


def split(flow: LoadFlow, sends: Sequence[Send], nodes: int) -> list[list[Send]]:
    """Give every account one node."""
    parts: list[list[Send]] = [[] for _ in range(nodes)]
    for send in sends:
        parts[send.account % nodes].append(send)
    return parts


def takers_of(flow: LoadFlow, node: int, nodes: int) -> list[bytes]:
    """Return the addresses of the takers that use one node."""
    return [flow.keys[index].address for index in flow.takers if index % nodes == node]
