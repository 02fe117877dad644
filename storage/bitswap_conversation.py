"""What is to be said to one peer over Bitswap, and the streams it travels on.

Rule: this file decides what the next message to a peer holds; `bitswap.py` owns tasks and time.
Spec: docs/spec/storage.md#bitswap
Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import trio

from primitives.errors import NodeError
from storage import limits
from storage.bitswap_ledger import PeerLedger
from storage.bitswap_want import Peer
from storage.bitswap_wire import Entry, encode_message, parse_wanted
from storage.block_source import BlockSource

log = logging.getLogger(__name__)

ENTRIES_PER_MESSAGE: Final = 512


class Stream(Protocol):
    """A byte stream to a peer, as py-libp2p has it."""

    async def read(self, n: int) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...

    async def reset(self) -> None: ...


class Streams(Protocol):
    """What Bitswap needs of the network; `bitswap_host.py` is the real one."""

    async def open(self, peer: Peer) -> Stream:
        """Open a Bitswap stream. May raise anything."""
        ...

    def peers(self) -> Sequence[Peer]:
        """Return the peers we are connected to."""
        ...

    def serve(self, handler: Callable[[Peer, Stream], Awaitable[None]]) -> None:
        """Call `handler` for each inbound stream, in a task of its own."""
        ...

    def stop(self) -> None: ...


class Conversation:
    """What is to be said to one peer."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.ledger = PeerLedger()
        self.outbox: dict[bytes, Entry] = {}  # our wants and cancels, by CID
        self.failures = 0
        self._news = trio.Event()

    @property
    def has_work(self) -> bool:
        return bool(self.outbox) or self.ledger.has_work

    def wake(self) -> None:
        self._news.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return True when there is something to say, False after the time."""
        with trio.move_on_after(timeout_s):
            while not self.has_work:
                self._news = trio.Event()
                await self._news.wait()
        return self.has_work

    async def next_message(self, source: BlockSource) -> bytes | None:
        """Return our wants, and answers up to a bounded size; None = nothing needs to be said."""
        entries = [self.outbox[cid] for cid in list(self.outbox)[:ENTRIES_PER_MESSAGE]]
        for entry in entries:
            del self.outbox[entry.cid]
        blocks: list[tuple[bytes, bytes]] = []
        haves: list[bytes] = []
        dont_haves: list[bytes] = []
        size_bytes = lookups = 0
        while size_bytes < limits.SEND_BYTES_TARGET and lookups < limits.LOOKUPS_PER_MESSAGE:
            want = self.ledger.take()
            if want is None:
                break
            is_held, data = await look_up(source, want)
            lookups += 1
            size_bytes += len(data)
            if not is_held and want.send_dont_have:
                dont_haves.append(want.cid)
            elif is_held:
                self.ledger.on_answered(want)
                if want.want_have:
                    haves.append(want.cid)
                else:
                    blocks.append((want.cid, data))
        if not (entries or blocks or haves or dont_haves):
            return None
        return encode_message(entries=entries, blocks=blocks, haves=haves, dont_haves=dont_haves)


async def look_up(source: BlockSource, want: Entry) -> tuple[bool, bytes]:
    """Return (do we hold it, the block if it is wanted)."""
    cid = parse_wanted(want.cid)
    if cid is None:
        return False, b""
    try:
        if want.want_have:
            return await source.size(cid) is not None, b""
        data = await source.get(cid)
    except NodeError as error:
        log.warning("bitswap: block %s cannot be read: %s", cid, error)
        return False, b""
    return data is not None, data or b""
