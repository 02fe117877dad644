"""Make, receive, check, keep, fetch and serve bundles.

Rule: a bundle becomes usable when its signatures have been checked; its bytes are in the bundle log
before
this node can vote for a block that carries it.
Spec: docs/spec/node.md (Bundles). Deviations: none.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable

import trio

from consensus.committee import Committee
from exchange.actions import SignedAction, VerifiedAction, decode_bundle
from node.bundling.bundle_fetch import BundleFetch
from node.bundling.bundle_pool import Bundle, BundlePool, Share
from node.bundling.inclusion import InclusionWatch
from node.bundling.mempool import Mempool
from node.bundling.verifier import Verifier
from node.clock import NodeClock
from node.limits import (
    BUNDLE_LOG_SEGMENT_BYTES,
    FETCH_LOOK_S,
    POOL_BYTES_OF_MEMBERS_MAX,
    POOL_BYTES_PER_ORIGIN_MAX,
    POOL_BYTES_PER_OUTSIDER_MAX,
    SERVE_WAITING_MAX,
)
from node.peers import PeerWire
from node.segment_log import SegmentLog
from node.wire import FrameKind, decode_names, encode_frame, encode_names
from p2p.lanes import Lane
from p2p.queues import Inbox
from primitives.errors import NodeError
from storage.chain_reader import ChainReader
from storage.writer import ReadPool

log = logging.getLogger("omnibazaar.bundles")

DIGEST_BYTES = 32
BUSY_FACTOR = 2  # pause between two bundles, in longest waits of an action


class BundleExchange:
    """This node's bundles and everybody's."""

    def __init__(
        self,
        *,
        me: bytes,
        committee: Callable[[], Committee],
        wire: PeerWire,
        verifier: Verifier,
        watch: InclusionWatch,
        bundle_log: SegmentLog,
        readers: ReadPool[ChainReader],
        clock: NodeClock,
        bundle_ms: int,
        on_change: Callable[[], None],
    ) -> None:
        self.sent_total = 0  # bundles made here
        self.received_total = 0  # bundles of other validators
        self.pool = BundlePool()
        self.mempool = Mempool()
        self.wanted = BundleFetch()
        self.wanted_actions = BundleFetch()
        self._me = me
        self._committee = committee
        self._wire = wire
        self._verifier = verifier
        self._watch = watch
        self._log = bundle_log
        self._log_bytes_max = BUNDLE_LOG_SEGMENT_BYTES
        self._readers = readers
        self._clock = clock
        self._bundle_s = bundle_ms / 1_000
        self._on_change = on_change
        self._changed = trio.Event()
        # Bounded by the pool's quotas and what was asked for; True: it is to hold wanted actions.
        self._unchecked: deque[tuple[Bundle, bool]] = deque()
        self._arrived = trio.Event()
        self._wanting = trio.Event()
        self._requests = Inbox(Lane.BULK, bytes_max=SERVE_WAITING_MAX * DIGEST_BYTES)
        self._waiting = trio.Event()  # something is in the mempool
        self._full = trio.Event()  # a whole bundle is
        wire.on(FrameKind.BUNDLE, self._on_bundle)
        wire.on(FrameKind.BUNDLE_ANSWER, self._on_answer)
        wire.on(FrameKind.GET_BUNDLES, self._on_get_bundles)
        wire.on(FrameKind.GET_ACTIONS, self._on_get_actions)

    # From this node's own clients

    def submit(self, action_id: bytes, action: SignedAction) -> bool:
        """Queue an action whose signature was checked; False when the mempool is full."""
        accepted = self.mempool.add(action_id, action)
        self._waiting.set()
        if self.mempool.is_worth_sending:
            self._full.set()
        return accepted

    async def run_flush(self) -> None:
        """Send what clients brought, every few milliseconds."""
        while True:
            await self._waiting.wait()
            with trio.move_on_after(self._bundle_s):
                await self._full.wait()
            self._waiting, self._full = trio.Event(), trio.Event()
            while (taken := self.mempool.take_bundle()) is not None:
                await self._publish(taken[0])
            # Under load fewer and larger bundles save all validators' time.
            with trio.move_on_after(BUSY_FACTOR * self._bundle_s):
                await self._full.wait()

    async def _publish(self, data: bytes) -> None:
        bundle = self.pool.add(data, self._me, self._clock.now_ms(), is_asked_for=True)
        if bundle is None:
            return
        self.sent_total += 1
        self._log.append(data)
        self._wire.broadcast(encode_frame(FrameKind.BUNDLE, data), bulk=True)
        self._checked(bundle, await self._verifier.verify(decode_bundle(data)))

    # From peers

    def _on_bundle(self, sender: bytes, body: bytes) -> None:
        self._take(sender, body, is_asked_for=self._is_wanted(body))

    def _on_answer(self, sender: bytes, body: bytes) -> None:
        """Take what was asked for: by its own name, or one bundle for each action asked of it."""
        if self._is_wanted(body):
            self._take(sender, body, is_asked_for=True)
        elif not self.wanted_actions.is_idle and self.wanted_actions.spend(sender):
            self._take(sender, body, is_asked_for=True, for_actions=True)

    def _is_wanted(self, data: bytes) -> bool:
        if self.wanted.is_idle:
            return False  # the usual case, without hashing the bundle a second time
        return self.wanted.is_wanted(hashlib.sha256(data).digest())

    def _take(
        self, sender: bytes, data: bytes, *, is_asked_for: bool, for_actions: bool = False
    ) -> None:
        now_ms = self._clock.now_ms()
        bundle = self.pool.add(
            data, sender, now_ms, is_asked_for=is_asked_for, share=self._share_of(sender)
        )
        if bundle is None:
            return
        self.received_total += 1
        self.wanted.got(bundle.digest)
        self._log.append(data)
        self._unchecked.append((bundle, for_actions))
        self._arrived.set()

    def _share_of(self, sender: bytes) -> Share:
        """Members divide most of the pool; who only follows has little of it."""
        committee = self._committee()
        if committee.index_of(sender) is None:
            return Share(size_bytes=POOL_BYTES_PER_OUTSIDER_MAX, is_outsiders=True)
        fair = POOL_BYTES_OF_MEMBERS_MAX // len(committee)
        return Share(size_bytes=min(POOL_BYTES_PER_ORIGIN_MAX, fair))

    async def run_check(self) -> None:
        """Check the signatures of bundles in the order of their arrival."""
        while True:
            while self._unchecked:
                bundle, for_actions = self._unchecked.popleft()
                actions = await self._verifier.verify(decode_bundle(bundle.data))
                if for_actions and not self._holds_wanted(actions) and self.pool.drop(bundle):
                    continue  # else a peer could fill the pool with answers to another question
                self._checked(bundle, actions)
            self._arrived = trio.Event()
            await self._arrived.wait()

    def _holds_wanted(self, actions: tuple[VerifiedAction, ...]) -> bool:
        return any(self.wanted_actions.is_wanted(action.id) for action in actions)

    def _checked(self, bundle: Bundle, actions: tuple[VerifiedAction, ...]) -> None:
        bundle.actions = actions
        self._watch.saw(actions, bundle.digest, self._clock.now_ms())
        if not self.wanted_actions.is_idle:
            for action in actions:
                self.wanted_actions.got(action.id)
        self._changed.set()
        self._changed = trio.Event()
        self._on_change()

    # Fetching and serving

    async def run_fetch(self) -> None:
        """Ask for what is missing."""
        while True:
            with trio.move_on_after(FETCH_LOOK_S):
                await self._wanting.wait()
            self._wanting = trio.Event()
            if self.wanted.is_idle and self.wanted_actions.is_idle:
                continue
            now_ms = self._clock.now_ms()
            peers = self._wire.connected()
            for kind, fetch in (
                (FrameKind.GET_BUNDLES, self.wanted),
                (FrameKind.GET_ACTIONS, self.wanted_actions),
            ):
                for request in fetch.due(peers, now_ms):
                    body = encode_names(request.names)
                    self._wire.send((request.peer,), encode_frame(kind, body), bulk=False)

    def _on_get_bundles(self, sender: bytes, body: bytes) -> None:
        for digest in decode_names(body):
            self._requests.put(sender, digest)

    def _on_get_actions(self, sender: bytes, body: bytes) -> None:
        for digest in self._watch.bundles_with(decode_names(body)):
            self._requests.put(sender, digest)

    async def run_serve(self) -> None:
        """Answer requests for bundles, one at a time and each peer in turn."""
        async for request in self._requests:
            bundle = self.pool.get(request.data)
            if bundle is not None:
                self._answer(request.sender, bundle.data)
                continue
            try:
                stored = await self._readers.run(ChainReader.bundle, request.data)
            except NodeError as error:
                log.warning("a bundle that a peer asked for cannot be read: %s", error)
                continue
            if stored is not None and stored.data is not None:
                self._answer(request.sender, stored.data)

    def _answer(self, sender: bytes, data: bytes) -> None:
        self._wire.send((sender,), encode_frame(FrameKind.BUNDLE_ANSWER, data), bulk=True)

    def want(self, digests: tuple[bytes, ...]) -> None:
        """Fetch what a final block carries and is not held."""
        missing = self.pool.missing(digests)
        if missing:
            self.wanted.need(missing)
            self._wanting.set()

    # For execution

    async def load(self, digests: tuple[bytes, ...]) -> tuple[Bundle, ...]:
        """Return the bundles of a final block, waiting until all are held and checked."""
        while True:
            bundles = [self.pool.get(digest) for digest in digests]
            ready = tuple(b for b in bundles if b is not None and b.actions is not None)
            if len(ready) == len(digests):
                return ready
            changed = self._changed
            self.want(digests)
            await changed.wait()

    # The bundle log

    async def reload(self, records: tuple[bytes, ...], is_stored: Callable[[bytes], bool]) -> None:
        """Take in what the bundle log held at the start, but what the store has executed."""
        for data in records:
            if is_stored(hashlib.sha256(data).digest()):
                continue
            bundle = self.pool.add(data, self._me, self._clock.now_ms(), is_asked_for=True)
            if bundle is not None:
                self._checked(bundle, await self._verifier.verify(decode_bundle(data)))

    def compact_log(self, stored_height: int) -> None:
        """Start the bundle log anew when it is large, with what the store does not hold yet.

        It may grow on by half when the disk refuses, or when most of it is still needed.
        """
        if self._log.size_bytes < self._log_bytes_max:
            return
        keep = [b.data for b in self.pool.unstored(stored_height)]
        try:
            self._log.drop_before(self._log.rotate(keep))
        except OSError as error:
            log.warning("the bundle log cannot be replaced: %s; it grows on", error)
        self._log_bytes_max = max(BUNDLE_LOG_SEGMENT_BYTES, self._log.size_bytes * 3 // 2)
