"""Run weighted Simplex for one validator and one epoch: messages and timers in, effects out.

How to embed it (see `consensus/effects.py` for each effect):

    replica = Replica(config, committee, me, signer, verifier, application, guard)
    effects = replica.start(now, records=scan.records, final=store_tip, silent=journal_is_damaged)
    effects = replica.on_message(now, sender, decode_message(frame))  # decode raises PeerError
    effects = replica.on_timer(now, timer)        # after the deadline of the last SetTimer of it
    effects = replica.on_application(now)         # executed a block, got a bundle, has work
    effects = replica.on_connected(now, peer)     # a member's stream is open again

Perform the effects in order, all of them, before the next call. `Journal` and `Protect` may be
buffered; `Sync` returns when first the journal, then the guard's database is on disk. A raised
SafetyError means: stop duties for good. A raised PeerError never leaves this class: it becomes
`Blame`. `final` is the last `Final` of the block store (None at genesis); Finals above it come
again from the journal. When the journal grew large and all Finals are durable, write
`journal_snapshot()` to a new file, sync it, rename it over the old one.

Rule: this file routes; every decision is in `consensus/rules/`, one file per numbered rule.
Spec: docs/spec/consensus.md. Simplex (eprint 2023/463). Deviations: listed in each rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from consensus.application import Application, Succession
from consensus.block import Tip
from consensus.certificate import Certificate
from consensus.committee import Committee
from consensus.config import Config
from consensus.core import Core
from consensus.effects import Blame, Effect, Final
from consensus.evidence import Evidence
from consensus.guard import Guard
from consensus.leader import compute_slots
from consensus.limits import GUEST_FIRST, GUESTS_MAX, OBSERVER, SETTLE_PASSES_MAX
from consensus.messages import (
    Blocks,
    GetBlock,
    GetCertificates,
    GetRange,
    GetStatus,
    Message,
    Propose,
    Range,
    Status,
)
from consensus.rules import (
    accuse,
    catch_up,
    certify,
    count,
    enter,
    fetch,
    finalize,
    notarize,
    nullify,
    propose,
    restore,
    retry,
    status,
)
from consensus.signing import Signer, Verifier
from consensus.timers import Timer
from consensus.vote import Vote
from primitives.errors import Doppelganger, InvalidMessage, PeerError


class Replica:
    """One validator's consensus state machine. Not thread-safe; never waits."""

    def __init__(
        self,
        config: Config,
        committee: Committee,
        me: int | None,
        signer: Signer,
        verifier: Verifier,
        application: Application,
        guard: Guard,
        succession: Succession | None = None,
    ) -> None:
        self.core = Core(
            config=config,
            committee=committee,
            leaders=compute_slots(committee, config.seed),
            me=me if me is not None else OBSERVER,
            signer=signer,
            verifier=verifier,
            application=application,
            guard=guard,
            succession=succession,
            tip=config.anchor,
        )

    @property
    def view(self) -> int:
        """The current view."""
        return self.core.view

    @property
    def tip(self) -> Tip:
        """The last final block."""
        return self.core.tip

    @property
    def is_closed(self) -> bool:
        """True when the epoch's boundary block is final; `consensus/epochs.py` goes on."""
        return self.core.is_closed

    @property
    def is_silent(self) -> bool:
        """True while the replica follows without voting."""
        return self.core.is_silent

    def remembers(self, view: int) -> bool:
        """True when a vote of mine in a final view, above the guard's floor, is known to me."""
        return not self.core.is_silent and view > self.core.silent_until

    @property
    def notarized_height(self) -> int:
        """The height of the highest notarized block in memory."""
        core = self.core
        hashes = (state.certified_hash() for state in core.views.values())
        blocks = (core.tree.get(block_hash) for block_hash in hashes if block_hash is not None)
        heights = (block.height for block in blocks if block is not None)
        return max(heights, default=core.tip.height)

    def start(
        self,
        now: int,
        records: Iterable[bytes] = (),
        final: Final | None = None,
        *,
        silent: bool = False,
    ) -> tuple[Effect, ...]:
        """Restore what was promised, enter the current view and begin. Raises WrongNetwork."""
        core = self.core
        core.now = core.status_nonce = now
        restore.restore(core, records, final)
        core.is_fresh = True
        finalize.try_commit(core)
        enter.enter(core, core.tip.view + 1)
        restore.reconcile_guard(core)
        core.is_started = True
        restore.open_journal(core, must_be_silent=silent)
        self._announce()
        return self._settle()

    def on_message(self, now: int, sender: int, message: Message) -> tuple[Effect, ...]:
        """Take in a decoded message of a member whose identity the transport has proven.

        Raises SafetyError.
        """
        core = self.core
        assert core.is_started, "start comes first"
        core.now = now
        if sender == core.me:
            raise Doppelganger("another node speaks with my key")
        try:
            if not is_known(core, sender):
                raise InvalidMessage("the sender is neither a member nor a guest")
            route(core, sender, message)
        except PeerError as error:
            core.emit(Blame(sender, error))
        return self._settle()

    def on_timer(self, now: int, timer: Timer) -> tuple[Effect, ...]:
        """Act on a timer whose deadline passed. Raises SafetyError."""
        core = self.core
        assert core.is_started, "start comes first"
        core.now = now
        if core.is_closed:
            return ()
        if now < core.deadlines.get(timer, 0):
            return ()  # the timer was set anew while this firing was on its way
        TIMER_HANDLERS[timer](core)
        return self._settle()

    def on_application(self, now: int) -> tuple[Effect, ...]:
        """Look again at what waits for execution, bundles or work. Raises SafetyError."""
        core = self.core
        core.now = now
        finalize.check_stated_roots(core)
        fetch.ask_range(core)
        core.stir(fresh=True)
        return self._settle()

    def on_connected(self, now: int, peer: int) -> tuple[Effect, ...]:
        """Tell a peer that can be reached again where I stand."""
        core = self.core
        core.now = now
        core.send(peer, status.make_status(core, nonce=0, seen_view=0))
        return self._settle()

    def journal_snapshot(self) -> tuple[bytes, ...]:
        """Return the records of a compacted journal; see the module's docstring."""
        return restore.snapshot_records(self.core)

    def _announce(self) -> None:
        """After a start: arm the timers, repeat my votes, ask where the others are."""
        core = self.core
        timing = core.config.timing
        core.standstill_ms = timing.standstill_ms
        enter.arm_timers(core)
        core.set_timer(Timer.STANDSTILL, timing.standstill_ms)
        retry.repeat_everything(core)
        propose.repeat_proposal(core)
        status.on_status_timer(core)
        if not core.is_silent:
            status.ask_all(core)
        core.stir(fresh=True)

    def _settle(self) -> tuple[Effect, ...]:
        """Apply the rules until none of them has anything to do."""
        core = self.core
        passes = 0
        while core.is_stirred and not core.is_closed:
            core.is_stirred = False
            for rule in RULES:
                rule(core)
            passes += 1
            assert passes <= SETTLE_PASSES_MAX, "the rules never come to rest"
        core.is_fresh = False
        return core.take_effects()


RULES: tuple[Callable[[Core], None], ...] = (
    finalize.try_commit,
    status.try_speak,
    finalize.try_finalize,
    nullify.react,
    notarize.try_notarize,
    propose.try_propose,
)


def is_known(core: Core, sender: int) -> bool:
    """True for a member's index and for those that stand for peers without a seat."""
    return 0 <= sender < len(core.committee) or 0 <= sender - GUEST_FIRST < GUESTS_MAX


def route(core: Core, sender: int, message: Message) -> None:
    """Hand a message to its rule. Raises PeerError."""
    match message:
        case Vote():
            count.on_vote(core, sender, message)
        case Propose():
            propose.on_propose(core, sender, message)
        case Certificate():
            certify.on_certificate(core, sender, message)
        case GetCertificates():
            fetch.on_get_certificates(core, sender, message)
        case GetBlock():
            fetch.on_get_block(core, sender, message)
        case Blocks():
            fetch.on_blocks(core, sender, message)
        case GetRange():
            catch_up.on_get_range(core, sender, message)
        case Range():
            catch_up.on_range(core, sender, message)
        case GetStatus():
            status.on_get_status(core, sender, message)
        case Status():
            status.on_status(core, sender, message)
        case Evidence():
            accuse.on_evidence(core, sender, message)


def _wake(core: Core) -> None:
    core.stir(fresh=True)


TIMER_HANDLERS: dict[Timer, Callable[[Core], None]] = {
    Timer.LEADER: nullify.on_leader_timer,
    Timer.VIEW: nullify.on_view_timer,
    Timer.RETRY: retry.on_retry_timer,
    Timer.STANDSTILL: retry.on_standstill_timer,
    Timer.FETCH: fetch.on_fetch_timer,
    Timer.PACE: _wake,
    Timer.STATUS: status.on_status_timer,
}
