"""Hold everything a replica knows, shared by the rules in `consensus/rules/`.

Rule: only data and the smallest questions about it; what to do is decided by the rules.
Spec: docs/spec/consensus.md (State). Deviations: none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from consensus.application import Application, Roots, Succession
from consensus.block import Block, Tip, tip_of
from consensus.certificate import Certificate
from consensus.committee import Committee
from consensus.config import Config
from consensus.effects import Effect, Journal, Lane, Protect, Send, SetTimer, arrange
from consensus.evidence import Evidence
from consensus.guard import Guard
from consensus.header import ZERO_HASH
from consensus.limits import OBSERVER, REQUEST_WINDOW_MS
from consensus.messages import Message
from consensus.signing import Signer, Verifier
from consensus.timers import Timer
from consensus.tree import BlockTree
from consensus.view import ViewState


@dataclass(slots=True)
class Meter:
    """Count what one peer asks of me within one window of time."""

    window_start_ms: int = 0
    used: int = 0

    def take(self, now: int, maximum: int) -> bool:
        """Use one unit; False when the window's maximum is spent."""
        if now - self.window_start_ms >= REQUEST_WINDOW_MS:
            self.window_start_ms, self.used = now, 0
        self.used += 1
        return self.used <= maximum


@dataclass(frozen=True, slots=True)
class StatedRoots:
    """What a final header said of an executed height; my own execution must agree."""

    height: int
    roots: Roots


@dataclass(slots=True, kw_only=True)
class Core:
    """The state of one replica in one epoch."""

    config: Config
    committee: Committee
    leaders: tuple[int, ...]
    me: int
    signer: Signer
    verifier: Verifier
    application: Application
    guard: Guard
    succession: Succession | None = None  # None in an epoch without end

    now: int = 0
    view: int = 0
    entered_ms: int = 0
    tip: Tip  # the last final block
    tip_certificate: Certificate | None = None  # its finalization, when I hold it
    pending_final: Certificate | None = None  # a finalization whose chain is not complete here
    views: dict[int, ViewState] = field(default_factory=dict)  # from the tip's view on
    unfinalized: dict[int, None] = field(default_factory=dict)  # notarized views I may finalize
    tree: BlockTree = field(default_factory=BlockTree)
    journaled: set[bytes] = field(default_factory=set)  # blocks above the tip in the journal
    stated_roots: deque[StatedRoots] = field(default_factory=deque)

    is_started: bool = False
    is_silent: bool = False  # I may have forgotten votes: cast none
    silent_until: int = 0  # the view in which this life's silence ended; up to it I know nothing
    status_nonce: int = 0  # of this life; answers to older questions prove nothing
    reports: dict[int, int] = field(default_factory=dict)  # while silent: peer → highest view
    seen_views: dict[int, int] = field(default_factory=dict)  # signer → highest view voted in

    asked_views: dict[int, int] = field(default_factory=dict)  # view → when last asked
    asked_blocks: dict[bytes, int] = field(default_factory=dict)  # hash → when last asked
    asked_range_ms: int | None = None
    ranges_asked: int = 0  # how often, so that peers are asked in turn
    stuck_since_ms: int | None = None  # a finalization is known, its chain is not complete
    is_left_behind: bool = False  # a peer claims to be in a later epoch
    claims: dict[int, int] = field(default_factory=dict)  # peer → final height it claims
    meters: dict[int, Meter] = field(default_factory=dict)  # peer → requests served
    offences: dict[int, Evidence] = field(default_factory=dict)  # offender → first conviction
    accused: set[int] = field(default_factory=set)  # offenders whose conviction is final

    standstill_ms: int = 0  # current period
    final_since_standstill: bool = False

    deadlines: dict[Timer, int] = field(default_factory=dict)  # a timer that fires early is stale
    is_stirred: bool = False  # a rule may apply now
    is_fresh: bool = False  # something arrived that may end a waiting
    must_sync: bool = False
    records: list[Journal | Protect] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def at(self, view: int) -> ViewState:
        """Return the state of a view, creating it."""
        state = self.views.get(view)
        if state is None:
            assert view >= self.tip.view, "views below the tip are over"
            state = self.views[view] = ViewState()
        return state

    def leader(self, view: int) -> int:
        """Return the leader of a view."""
        return self.leaders[view % len(self.leaders)]

    def final_view(self) -> int:
        """Return the highest view known to be final, whether or not I hold its chain."""
        pending = self.pending_final
        return self.tip.view if pending is None else max(self.tip.view, pending.view)

    def may_vote(self, view: int) -> bool:
        """True unless I may have forgotten what I said in this view, or the guard closed it."""
        if self.is_silent or self.is_observer or self.is_closed:
            return False
        return (self.config.epoch, view) > self.guard.floor

    @property
    def is_observer(self) -> bool:
        """True for a replica without a seat: it follows and never speaks for itself."""
        return self.me == OBSERVER

    @property
    def is_closed(self) -> bool:
        """True when the epoch's boundary block is final: nothing is left to decide."""
        return self.config.is_border(self.tip.height)

    def next_committee_hash(self, height: int) -> bytes | None:
        """Return what the header of a child at `height` names as next committee, zero for none.

        None when the committee after the border is not known here yet.
        """
        if not self.config.is_border(height):
            return ZERO_HASH
        assert self.succession is not None, "an epoch with a border has a successor"
        committee = self.succession.next_committee(height)
        return committee.hash if committee is not None else None

    def tip_of(self, block_hash: bytes) -> Tip | None:
        """Return a block in memory, or the last final one, as a parent."""
        if block_hash == self.tip.hash:
            return self.tip
        block = self.tree.get(block_hash)
        return tip_of(block) if block is not None else None

    def stir(self, *, fresh: bool = False) -> None:
        """Have the rules looked at again before this event ends."""
        self.is_stirred = True
        if fresh:
            self.is_fresh = True

    def emit(self, effect: Effect) -> None:
        """Append an effect that happens after the event's Sync."""
        self.effects.append(effect)

    def send(self, to: int, message: Message, lane: Lane = Lane.VOTE) -> None:
        """Send a message after the event's Sync."""
        self.effects.append(Send(to, message, lane))

    def set_timer(self, timer: Timer, delay_ms: int) -> None:
        """Replace a timer's deadline."""
        deadline_ms = self.deadlines[timer] = self.now + delay_ms
        self.effects.append(SetTimer(timer, deadline_ms))

    def record(self, record: bytes) -> None:
        """Append a record to the journal before anything of this event is sent."""
        if self.is_started:
            self.records.append(Journal(record))

    def take_effects(self) -> tuple[Effect, ...]:
        """Return and forget the effects of the event."""
        effects = arrange(self.records, self.must_sync, self.effects)
        self.records, self.effects, self.must_sync = [], [], False
        return effects

    def meter(self, peer: int) -> Meter:
        """Return the request meter of a peer."""
        meter = self.meters.get(peer)
        if meter is None:
            meter = self.meters[peer] = Meter()
        return meter

    def holds(self, block: Block) -> bool:
        """True when a block is in memory."""
        return self.tree.get(block.hash) is not None
