"""Fetch blocks from peers and serve ours: Bitswap 1.2.0 over persistent streams.

Rule: nothing is taken that was not asked for, nothing is handed on that does not hash to its CID;
each peer costs a bounded amount of memory and time, and its faults end its stream, never this task.
Spec: docs/spec/storage.md#bitswap; https://specs.ipfs.tech/bitswap-protocol/
Deviations: wants go out as WANT_BLOCK only. Why this is not py-libp2p's client:
docs/adr/0051-our-own-bitswap-session.md.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable

import trio

from primitives.cid import Cid
from primitives.errors import LimitExceeded, PeerError, TransientError
from storage import limits
from storage.bitswap_conversation import Conversation, Stream, Streams
from storage.bitswap_pace import Pace
from storage.bitswap_want import Peer, Want
from storage.bitswap_wire import (
    Entry,
    Frames,
    Message,
    decode_message,
    parse_wanted,
)
from storage.block_source import BlockSource

log = logging.getLogger(__name__)

REOPENS_MAX = 2


class Fetch:
    """One block on its way to us."""

    def __init__(self, cid: Cid, want: Want) -> None:
        self.cid = cid
        self.want = want
        self.data: bytes | None = None
        self.done = trio.Event()
        self.changed = trio.Event()


class Bitswap:
    """One instance per node; `run` serves, `fetch` asks."""

    def __init__(
        self,
        streams: Streams,
        source: BlockSource,
        *,
        on_fault: Callable[[Peer, PeerError], None] | None = None,
        on_stall: Callable[[Peer], None] | None = None,
    ) -> None:
        """`on_fault` hears of peers that break the protocol, `on_stall` of those that stopped
        reading: after a write that timed out their whole connection is of no use any more."""
        self._streams = streams
        self._source = source
        self._on_fault = on_fault
        self._on_stall = on_stall
        self._conversations: dict[Peer, Conversation] = {}
        self._fetches: dict[bytes, Fetch] = {}
        self._slots = trio.CapacityLimiter(limits.FETCHES_MAX)
        self._inbound: Counter[Peer] = Counter()
        self._late: OrderedDict[Peer, None] = OrderedDict()  # who let us wait, the newest last
        self._pace = Pace(per_s=limits.FIELDS_PER_S, at_once=limits.FIELDS_AT_ONCE)
        self._nursery: trio.Nursery | None = None
        self.sent_bytes = 0
        self.received_bytes = 0
        self.unwanted_blocks = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._streams.serve(self._on_stream)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._streams.stop()
            self._conversations.clear()

    def peers(self) -> tuple[Peer, ...]:
        """Return the peers that are connected now."""
        return tuple(self._streams.peers())

    # Fetching

    async def fetch(
        self,
        cid: Cid,
        peers: Iterable[Peer] | None = None,
        *,
        timeout_s: float = limits.FETCH_TIMEOUT_S,
    ) -> bytes:
        """Return a block, from here or from a peer (None = all connected ones, in their order).

        Raises TransientError when no peer has it, or none answers in time.
        """
        data = await self._source.get(cid)
        if data is not None:
            return data
        with trio.move_on_after(timeout_s):
            async with self._slots:
                return await self._fetch(cid, self._streams.peers() if peers is None else peers)
        raise TransientError(f"block {cid} did not come within {timeout_s:g} s")

    async def _fetch(self, cid: Cid, peers: Iterable[Peer]) -> bytes:
        while (running := self._fetches.get(cid.digest)) is not None:
            await running.done.wait()
            if running.data is not None:
                return running.data
        fetch = self._fetches[cid.digest] = Fetch(cid, Want(self._order(peers)))
        try:
            return await self._ask_around(fetch)
        finally:
            del self._fetches[cid.digest]
            fetch.done.set()
            for peer in fetch.want.asked:
                self._say(peer, Entry(cid=cid.encode(), cancel=True))

    async def _ask_around(self, fetch: Fetch) -> bytes:
        self._ask(fetch, fetch.want.ask_next())
        while fetch.data is None:
            if fetch.want.has_failed:
                raise TransientError(f"no peer has block {fetch.cid}")
            with trio.move_on_after(limits.WANT_RETRY_S) as late:
                await fetch.changed.wait()
            fetch.changed = trio.Event()
            if late.cancelled_caught:
                self._note_late(fetch.want.asked)
                self._ask(fetch, fetch.want.ask_next())
        return fetch.data

    def _order(self, peers: Iterable[Peer]) -> list[Peer]:
        """Return the peers in their order, but those last that let us wait before."""
        return sorted(peers, key=lambda peer: peer in self._late)

    def _note_late(self, peers: Iterable[Peer]) -> None:
        for peer in peers:
            self._late[peer] = None
            self._late.move_to_end(peer)
        while len(self._late) > limits.BITSWAP_PEERS_MAX:
            self._late.popitem(last=False)

    def _ask(self, fetch: Fetch, peer: Peer | None) -> None:
        """Ask a peer; if it cannot be talked to, the next one."""
        entry = Entry(cid=fetch.cid.encode(), send_dont_have=True)
        while peer is not None and not self._say(peer, entry, is_new=True):
            peer = fetch.want.on_refusal(peer)

    def _say(self, peer: Peer, entry: Entry, *, is_new: bool = False) -> bool:
        """Put a want or a cancel into a peer's outbox; False = there is no conversation."""
        conversation = self._conversations.get(peer)
        if conversation is None:
            conversation = self._begin(peer) if is_new else None
        if conversation is None:
            return False
        conversation.outbox[entry.cid] = entry
        conversation.wake()
        return True

    def _begin(self, peer: Peer) -> Conversation | None:
        if self._nursery is None or len(self._conversations) >= limits.BITSWAP_PEERS_MAX:
            return None
        conversation = self._conversations[peer] = Conversation(peer)
        self._nursery.start_soon(self._converse, conversation, name=f"bitswap to {peer}")
        return conversation

    def _refuse(self, peer: Peer, fetches: Iterable[Fetch]) -> None:
        """The peer has not got these blocks, or is gone."""
        for fetch in fetches:
            if peer in fetch.want.asked:
                self._ask(fetch, fetch.want.on_refusal(peer))
                fetch.changed.set()

    # Listening

    async def _on_stream(self, peer: Peer, stream: Stream) -> None:
        """Read one inbound stream to its end."""
        if self._inbound[peer] >= limits.STREAMS_PER_PEER_MAX:
            await self._reset(stream)
            return
        self._inbound[peer] += 1
        try:
            await self._listen(peer, stream)
        finally:
            self._inbound[peer] -= 1
            if not self._inbound[peer]:
                del self._inbound[peer]
                self._pace.sweep()

    async def _listen(self, peer: Peer, stream: Stream) -> None:
        """Read until the peer ends, breaks a rule, or is silent for too long."""
        try:
            await self._read_messages(peer, stream)
            with trio.move_on_after(1):
                await stream.close()
            return
        except PeerError as error:
            log.info("bitswap: %s broke a rule: %s", peer, error)
            if self._on_fault is not None:
                self._on_fault(peer, error)
        except Exception as error:  # noqa: BLE001 - the transport's own errors; the task ends here
            log.debug("bitswap: stream of %s ended: %r", peer, error)
        await self._reset(stream)

    async def _read_messages(self, peer: Peer, stream: Stream) -> None:
        frames = Frames()
        unwanted = 0
        deadline = trio.current_time() + limits.IDLE_TIMEOUT_S
        while True:
            with trio.move_on_at(deadline):
                data = await stream.read(limits.READ_BYTES)
                if not data:
                    return
                was_partial = frames.is_partial
                for body in frames.feed(data):
                    was_partial = False
                    message = decode_message(body)
                    unwanted += self._on_message(peer, message)
                    await self._pace.spend(peer, message.fields)
                if unwanted > limits.UNWANTED_BLOCKS_MAX:
                    raise LimitExceeded("blocks that nobody asked for")
                if not frames.is_partial:
                    deadline = trio.current_time() + limits.IDLE_TIMEOUT_S
                elif not was_partial:
                    deadline = trio.current_time() + limits.MESSAGE_TIMEOUT_S
                continue
            if frames.is_partial:
                raise LimitExceeded("a Bitswap message that takes too long")
            return

    def _on_message(self, peer: Peer, message: Message) -> int:
        """Take in a message; return how many of its blocks nobody asked for."""
        self._on_wants(peer, message)
        unwanted = sum(not self._on_block(peer, data) for data in message.blocks)
        for cid_bytes in message.dont_haves:
            cid = parse_wanted(cid_bytes)
            fetch = None if cid is None else self._fetches.get(cid.digest)
            if fetch is not None:
                self._refuse(peer, (fetch,))
        conversation = self._conversations.get(peer)
        if conversation is not None:
            conversation.failures = 0
        return unwanted

    def _on_wants(self, peer: Peer, message: Message) -> None:
        if not message.entries and not message.full:
            return
        conversation = self._conversations.get(peer) or self._begin(peer)
        if conversation is None:
            raise LimitExceeded(f"over {limits.BITSWAP_PEERS_MAX} peers at the same time")
        conversation.ledger.on_message(message)
        conversation.wake()

    def _on_block(self, peer: Peer, data: bytes) -> bool:
        """Give a block to who waits for it; False = nobody does."""
        self.received_bytes += len(data)
        fetch = self._fetches.get(hashlib.sha256(data).digest())
        if fetch is None or fetch.data is not None:
            self.unwanted_blocks += 1
            return False
        fetch.data = data
        self._late.pop(peer, None)
        fetch.want.on_answer(peer)
        fetch.changed.set()
        return True

    def announce(self, cid: Cid) -> None:
        """Tell peers that waited for it that a block has come into the source."""
        for conversation in self._conversations.values():
            if conversation.ledger.on_new_block(cid.encode()):
                conversation.wake()

    # Speaking

    async def _converse(self, conversation: Conversation) -> None:
        """Own the outbound stream to one peer while there is something to say."""
        peer = conversation.peer
        while True:
            await self._speak(conversation)
            asked = [fetch for fetch in self._fetches.values() if peer in fetch.want.asked]
            conversation.failures += 1
            if conversation.failures > REOPENS_MAX or not (asked or conversation.has_work):
                break
            for fetch in asked:
                conversation.outbox[fetch.cid.encode()] = Entry(
                    cid=fetch.cid.encode(), send_dont_have=True
                )
        del self._conversations[peer]  # without a checkpoint since the last look
        self._refuse(peer, asked)

    async def _speak(self, conversation: Conversation) -> None:
        """Write over one stream until it fails or nothing was to be said for a while."""
        try:
            with trio.fail_after(limits.OPEN_TIMEOUT_S):
                stream = await self._streams.open(conversation.peer)
        except Exception as error:  # noqa: BLE001 - the transport's own errors; no stream, no talk
            log.debug("bitswap: no stream to %s: %r", conversation.peer, error)
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen_back, conversation.peer, stream, nursery)
            await self._write(conversation, stream)
            nursery.cancel_scope.cancel()

    async def _listen_back(self, peer: Peer, stream: Stream, nursery: trio.Nursery) -> None:
        """Read what some implementations answer on the same stream; its end ends the stream."""
        await self._listen(peer, stream)
        nursery.cancel_scope.cancel()

    async def _write(self, conversation: Conversation, stream: Stream) -> None:
        try:
            while await conversation.wait(limits.IDLE_TIMEOUT_S):
                message = await conversation.next_message(self._source)
                if message is None:
                    continue
                with trio.fail_after(limits.WRITE_TIMEOUT_S):
                    await stream.write(message)
                self.sent_bytes += len(message)
                if conversation.ledger.has_work:
                    await trio.sleep(len(message) / limits.SERVE_BYTES_PER_S)
            with trio.move_on_after(1):
                await stream.close()
        except Exception as error:  # noqa: BLE001 - the transport's own errors; the stream ends here
            log.debug("bitswap: stream to %s ended: %r", conversation.peer, error)
            if isinstance(error, trio.TooSlowError) and self._on_stall is not None:
                self._on_stall(conversation.peer)
            await self._reset(stream)

    async def _reset(self, stream: Stream) -> None:
        with trio.move_on_after(1, shield=True):
            try:
                await stream.reset()
            except Exception as error:  # noqa: BLE001 - a stream that is gone already
                log.debug("bitswap: reset: %r", error)
