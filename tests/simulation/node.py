"""Do for one replica what `node/` does: perform its effects, keep its disk, run its timers.

Rule: effects are performed in order; a crash may come between any two of them.
Spec: docs/spec/consensus.md (Persistence). Deviations: time is virtual.
"""

from __future__ import annotations

from consensus.addressed import Action, BeginEpoch, Deliver, Report, Serve
from consensus.effects import Accuse, Final, Journal, Lane, Protect, SetTimer, Sync
from consensus.epochs import Epochs
from consensus.guard import Guard
from consensus.journal import Damage
from consensus.messages import Range
from consensus.timers import Timer
from primitives.errors import SafetyError
from tests.simulation.border import BorderCrash
from tests.simulation.disk import Disk
from tests.simulation.ledger import Ledger
from tests.simulation.rotation import Successor
from tests.simulation.scenario import STALL_MS

RANGE_BLOCKS = 12


class Node:
    """One running or crashed instance; a Byzantine member has two of them, its twins."""

    def __init__(self, world, index: int, twin: int) -> None:
        self.world = world
        self.index = index
        self.twin = twin
        self.key = (index, twin)
        self.address = world.keys[index].address
        self.is_honest = index not in world.scenario.byzantine
        self.skew_ms = world.rng.randint(-world.scenario.skew_ms, world.scenario.skew_ms)
        self.disk = Disk()
        self.ledger = Ledger(self.fetch_bundle)
        self.epochs: Epochs | None = None
        self.successor = Successor(self)
        self.timers: dict[Timer, int] = {}
        self.life = 0
        self.is_dead = False  # stopped by a SafetyError of a Byzantine twin
        self.is_executing = False
        self.busy_until = 0  # the disk stalls, and with it the only task
        self.fetching: set[bytes] = set()
        self.border_crash = BorderCrash(self)

    @property
    def is_up(self) -> bool:
        return self.epochs is not None

    @property
    def replica(self):
        return self.epochs.replica if self.epochs is not None else None

    def now(self) -> int:
        return self.world.now + self.skew_ms + self.world.epoch_ms

    def start(self) -> None:
        """Boot from disk."""
        world = self.world
        self.life += 1
        self.timers.clear()
        self.is_executing = False
        self.busy_until = 0
        scan = self.disk.reopen()
        silent = self.disk.is_journal_lost or scan.damage is Damage.INSIDE
        self.disk.is_journal_lost = False
        self.ledger = self.restart_ledger()
        self.epochs = Epochs(
            world.parameters,
            self.disk.newest_epoch() or world.genesis,
            self.address,
            world.keys[self.index],
            world.verifier,
            self.ledger,
            self.successor,
            Guard(self.disk.guard),
        )
        final = self.disk.store[-1] if self.disk.store else None
        self.step(self.epochs.start, scan.records, final, silent=silent)
        self.world.monitor.on_start(self)
        self.border_crash.on_start()

    def restart_ledger(self) -> Ledger:
        """Execute again what the store holds; bundles are durable, the last blocks take time."""
        ledger = Ledger(self.fetch_bundle)
        ledger.final.update(self.ledger.final)
        ledger.held.update(self.ledger.held)
        ledger.final.clear()
        ledger.open.update(ledger.held)
        for final in self.disk.store:
            ledger.finalize(final.block)
        lag = self.world.rng.randint(0, 3)
        while len(ledger.waiting) > lag:
            ledger.execute_next()
        if ledger.waiting:
            self.schedule_execution()
        return ledger

    def crash(self, *, loses_journal: bool = False, loses_store: bool = False) -> None:
        """Lose power now."""
        if not self.is_up:
            return
        self.epochs = None
        self.border_crash.on_crash()
        if loses_store:
            del self.disk.store[self.disk.store_synced :]
        lies = self.world.scenario.loses_writes
        self.disk.crash(self.world.rng, loses_journal=loses_journal, lies=lies)
        self.world.stats.crashes += 1
        self.world.after(200 + self.world.rng.randrange(4_000), self.boot, ())

    def boot(self) -> None:
        if not self.is_up and not self.is_dead:
            self.start()

    def step(self, call, *args, **kwargs) -> None:
        """Call the replica and perform what it wants."""
        try:
            effects = call(self.now(), *args, **kwargs)
        except SafetyError as error:
            if self.is_honest:
                self.world.fail(f"honest {self.index} stopped: {error!r}")
            self.epochs, self.is_dead = None, True
            return
        self.perform(effects)

    def perform(self, effects: tuple[Action, ...]) -> None:
        world, lag_ms = self.world, 0
        records = [effect.record for effect in effects if isinstance(effect, Journal)]
        for effect in effects:
            if world.crashes_now(self):
                return
            match effect:
                case Deliver():
                    world.monitor.on_send(self, effect.message)
                    world.monitor.on_deliver(self, effect)
                    world.route(self, effect, lag_ms)
                case SetTimer():
                    self.set_timer(effect)
                case Journal():
                    self.disk.append(effect.record)
                case Protect():
                    self.disk.guard_buffer.append(effect.record)
                case Sync():
                    self.disk.sync_journal()
                    if world.crashes_now(self):
                        return
                    self.disk.sync_guard()
                    lag_ms += world.scenario.fsync_ms + self.stall()
                case Final():
                    self.on_final(effect)
                case BeginEpoch():
                    self.disk.epochs[effect.epoch.number] = effect.epoch
                    world.begin(self, effect.epoch)
                    self.border_crash.on_begin()
                case Serve():
                    self.serve_range(effect, lag_ms)
                case Accuse():
                    world.monitor.on_accuse(self, effect.evidence)
                case Report():
                    world.monitor.on_blame(self, effect)
        for record in records:
            world.monitor.on_record(self, record)
        self.compact()

    def compact(self) -> None:
        """Shorten the journal now and then, when all that was done is durable."""
        share = self.world.scenario.compaction
        if share and not self.border_crash.is_due and self.world.rng.random() < share:
            self.disk.compact(self.epochs.journal_snapshot())
            self.world.stats.compactions += 1

    def stall(self) -> int:
        """Return how long a sync hangs beyond the usual; until then the node hears nothing."""
        share = self.world.scenario.stall_share
        if not share or self.world.is_stable or self.world.rng.random() >= share:
            return 0
        wait_ms = self.world.rng.randrange(STALL_MS)
        self.busy_until = max(self.busy_until, self.world.now + wait_ms)
        self.world.stats.stalls += 1
        return wait_ms

    def waits(self, call, args: tuple) -> bool:
        """Put an event off while the disk stalls."""
        wait_ms = self.busy_until - self.world.now
        if wait_ms > 0:
            self.world.after(wait_ms, call, args)
        return wait_ms > 0

    def set_timer(self, effect: SetTimer) -> None:
        self.timers[effect.timer] = effect.deadline_ms
        wait_ms = max(0, effect.deadline_ms - self.now())
        self.world.after(wait_ms, self.fire, (self.life, effect.timer, effect.deadline_ms))

    def fire(self, life: int, timer: Timer, deadline_ms: int) -> None:
        if not self.is_up or life != self.life or self.timers.get(timer) != deadline_ms:
            return
        if not self.waits(self.fire, (life, timer, deadline_ms)):
            self.step(self.epochs.on_timer, timer)

    def receive(self, sender: bytes, message) -> None:
        if self.is_up and not self.waits(self.receive, (sender, message)):
            self.world.monitor.on_receive(self)
            self.step(self.epochs.on_message, sender, message)

    def on_final(self, final: Final) -> None:
        self.world.monitor.on_final(self, final)
        self.world.stats.sealed += bool(final.seals)
        is_new = final.block.height > len(self.disk.store)
        self.disk.keep_final(final)
        self.border_crash.on_final(final.block.height)
        if self.world.rng.random() < 0.5 and not self.border_crash.is_due:
            self.disk.sync_store()
        if is_new:
            self.ledger.finalize(final.block)
            self.schedule_execution()

    def schedule_execution(self) -> None:
        if not self.is_executing:
            self.is_executing = True
            mean_ms = self.world.scenario.execution_ms
            wait_ms = int(self.world.rng.expovariate(1 / mean_ms))
            self.world.after(wait_ms, self.execute, (self.life,))

    def execute(self, life: int) -> None:
        if not self.is_up or life != self.life:
            return
        self.is_executing = False
        if self.ledger.waiting:
            self.ledger.execute_next()
            self.step(self.epochs.on_application)
        if self.is_up and self.ledger.waiting:
            self.schedule_execution()

    def receive_bundle(self, digest: bytes) -> None:
        self.fetching.discard(digest)
        if digest not in self.ledger.held:
            self.ledger.receive(digest, self.now())
            if self.is_up:
                self.step(self.epochs.on_application)

    def fetch_bundle(self, digest: bytes) -> None:
        if digest in self.world.bundles and digest not in self.fetching:
            self.fetching.add(digest)
            wait_ms = 20 + self.world.rng.randrange(200)
            self.world.after(wait_ms, self.receive_bundle, (digest,))

    def serve_range(self, effect: Serve, lag_ms: int) -> None:
        first = effect.from_height - 1
        finals = self.disk.store[first : first + RANGE_BLOCKS]
        finals = [one for one in finals if one.block.header.epoch == finals[0].block.header.epoch]
        while finals and finals[-1].certificate is None:
            finals.pop()
        if finals:
            blocks = [final.block.body for final in finals]
            blocks += [seal.body for seal in finals[-1].seals]
            message = Range(tuple(blocks), finals[-1].certificate)
            self.world.route(self, Deliver((effect.to,), message, Lane.BACKGROUND), lag_ms)
