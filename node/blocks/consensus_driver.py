"""Run consensus: feed it messages, timers and news, and do what it answers, in order.

Rule: one task, one event at a time; a `Sync` has returned before the next `Deliver` is made, and
the EVM chain, the API and execution are never waited for.
Spec: docs/spec/consensus.md (Persistence); docs/spec/node.md (Vote loop). Deviations: none.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio

from consensus.addressed import Action, BeginEpoch, Deliver, Report, Serve
from consensus.effects import Accuse, Final, Journal, Protect, SetTimer, Sync
from consensus.effects import Lane as EffectLane
from consensus.epoch import Epoch
from consensus.epochs import Epochs
from consensus.messages import Message, Propose, decode_message, encode_message
from consensus.timers import Timer
from consensus.vote import Vote
from node.blocks.durability import Durability
from node.clock import NodeClock
from node.limits import JOURNAL_SEGMENT_BYTES
from node.wire import FrameKind, encode_frame
from p2p.lanes import Lane
from p2p.limits import INBOX_BULK_BYTES_MAX
from p2p.queues import Inbox
from primitives.errors import OperatorError, PeerError, TransientError

log = logging.getLogger("omnibazaar.consensus")


class Wire(Protocol):
    """How frames leave; implemented over `p2p.network.Network`."""

    def send(self, to: Sequence[bytes], frame: bytes, *, bulk: bool) -> None:
        """Queue a frame for each of these validators; never waits."""
        ...

    def connected(self) -> list[bytes]:
        """Return the validators that can be reached now."""
        ...

    def blame(self, peer: bytes, error: PeerError) -> None:
        """Lower a validator's standing."""
        ...


class ConsensusDriver:
    """The vote loop."""

    def __init__(
        self,
        epochs: Epochs,
        *,
        wire: Wire,
        durability: Durability,
        clock: NodeClock,
        on_final: Callable[[Final], None],
        on_epoch: Callable[[Epoch], None],
        serve_range: Callable[[bytes, int], None],
        on_proposal: Callable[[bytes, int], None],
        wait_stored: Callable[[int], Awaitable[None]],
        wait_room: Callable[[], Awaitable[None]],
    ) -> None:
        self.epochs = epochs
        self._wire = wire
        self._durability = durability
        self._clock = clock
        self._on_final = on_final
        self._on_epoch = on_epoch
        self._serve_range = serve_range
        self._on_proposal = on_proposal
        self._wait_stored = wait_stored
        self._wait_room = wait_room
        self._timers: dict[Timer, int] = {}
        self._journal_bytes_max = JOURNAL_SEGMENT_BYTES
        self._frames = Inbox(Lane.VOTE, bytes_max=INBOX_BULK_BYTES_MAX)
        self.started = trio.Event()
        self._is_poked = False
        self._connected: set[bytes] = set()
        self.dropped_total = 0
        self.votes_total = 0
        self.proposals_total = 0
        self.last_vote_view = 0
        self.last_vote_ms = 0

    def deliver(self, sender: bytes, body: bytes) -> None:
        """Queue a peer's message; its newest is dropped when the loop cannot follow it. Peers take
        turns, so that a flood of one delays no other's votes."""
        if not self._frames.put(sender, body):
            self.dropped_total += 1

    def poke(self) -> None:
        """Say that something the application knows has changed; never lost, never queued twice."""
        self._is_poked = True
        self._frames.wake()

    def connected(self, peer: bytes) -> None:
        """Say that a validator can be reached again."""
        self._connected.add(peer)
        self.poke()

    async def run(self, records: tuple[bytes, ...], final: Final | None, *, silent: bool) -> None:
        """Restore the replica and run until cancelled.

        Raises SafetyError when this node must not go on, WrongNetwork for a foreign journal.
        """
        now_ms = self._clock.now_ms()
        await self._perform(self.epochs.start(now_ms, records, final, silent=silent))
        self.started.set()
        if silent:
            self._journal_bytes_max = 0  # the damage, if it was one, goes as soon as may be
        while True:
            await self._wait_room()
            deadline_ms = min(self._timers.values(), default=None)
            wait_s = 60.0
            if deadline_ms is not None:
                wait_s = max(0, deadline_ms - self._clock.now_ms()) / 1_000
            with trio.move_on_after(wait_s):
                await self._frames.wait()
            frame = self._frames.receive_nowait()
            if frame is not None:
                await self._on_frame(frame.sender, frame.data)
            if self._is_poked:
                self._is_poked = False
                for peer in sorted(self._connected):
                    await self._perform(self.epochs.on_connected(self._clock.now_ms(), peer))
                self._connected.clear()
                await self._perform(self.epochs.on_application(self._clock.now_ms()))
            await self._fire_timers()
            if self._durability.journal.size_bytes > self._journal_bytes_max:
                await self._compact()

    async def _compact(self) -> None:
        """Replace the journal by what is still needed, once the store holds all final blocks.

        It may grow on by half when the disk refuses, or when most of it is still needed.
        """
        journal = self._durability.journal
        try:
            await self._wait_stored(self.epochs.tip.height)
            journal.drop_before(journal.rotate(self.epochs.journal_snapshot()))
        except (OSError, TransientError, OperatorError) as error:
            log.warning("the journal cannot be replaced: %s; it grows on", error)
        self._journal_bytes_max = max(JOURNAL_SEGMENT_BYTES, journal.size_bytes * 3 // 2)

    async def _on_frame(self, sender: bytes, body: bytes) -> None:
        try:
            message = decode_message(body)
        except PeerError as error:
            self._wire.blame(sender, error)
            return
        now_ms = self._clock.now_ms()
        effects = self.epochs.on_message(now_ms, sender, message)
        if isinstance(message, Propose):
            self._on_proposal(message.block.header, now_ms)
        await self._perform(effects)

    async def _fire_timers(self) -> None:
        now_ms = self._clock.now_ms()
        due = sorted((at, timer.value, timer) for timer, at in self._timers.items() if at <= now_ms)
        for at, _, timer in due:
            if self._timers.get(timer) == at:
                del self._timers[timer]
                await self._perform(self.epochs.on_timer(self._clock.now_ms(), timer))

    async def _perform(self, effects: tuple[Action, ...]) -> None:
        with trio.CancelScope(shield=True):
            for effect in effects:
                if isinstance(effect, Sync):
                    await self._durability.sync()
                else:
                    self._perform_now(effect)

    def _perform_now(self, effect: Action) -> None:
        if isinstance(effect, Deliver):
            self._deliver(effect)
        elif isinstance(effect, SetTimer):
            self._timers[effect.timer] = effect.deadline_ms
        elif isinstance(effect, Journal):
            self._durability.journal.append(effect.record)
        elif isinstance(effect, Protect):
            self._durability.protect(effect.record)
        elif isinstance(effect, Final):
            self._on_final(effect)
        elif isinstance(effect, BeginEpoch):
            self._on_epoch(effect.epoch)
        elif isinstance(effect, Serve):
            self._serve_range(effect.to, effect.from_height)
        elif isinstance(effect, Report):
            self._wire.blame(effect.peer, effect.error)
        elif isinstance(effect, Accuse):
            log.error("conflicting votes of member %d", effect.evidence.first.signer)

    def _deliver(self, effect: Deliver) -> None:
        message: Message = effect.message
        frame = encode_frame(FrameKind.CONSENSUS, encode_message(message))
        self._count(message)
        to: Sequence[bytes] = effect.to
        if effect.is_for_one:
            near = set(self._wire.connected())
            to = (random.choice([one for one in to if one in near] or list(to)),)
        self._wire.send(to, frame, bulk=effect.lane is not EffectLane.VOTE)

    def _count(self, message: Message) -> None:
        """Keep the figures of what this node signed."""
        if isinstance(message, Vote):
            self.votes_total += 1
            self.last_vote_view = max(self.last_vote_view, message.view)
            self.last_vote_ms = self._clock.now_ms()
        elif isinstance(message, Propose):
            self.proposals_total += 1
            self._on_proposal(message.block.header, self._clock.now_ms())
