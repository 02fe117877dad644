"""Do for one replica what `node/` does: perform its effects, keep its disk, run its timers.

Rule: effects are performed in order; a crash may come between any two of them.
Spec: docs/spec/consensus.md (Persistence). Deviations: time is virtual.
"""

from __future__ import annotations

from consensus.effects import (
    Accuse,
    Blame,
    Effect,
    Final,
    Journal,
    Lane,
    Protect,
    Send,
    ServeRange,
    SetTimer,
    Sync,
)
from consensus.guard import Guard
from consensus.journal import Damage
from consensus.messages import Range
from consensus.replica import Replica
from consensus.timers import Timer
from primitives.errors import SafetyError
from tests.simulation.disk import Disk
from tests.simulation.ledger import Ledger

RANGE_BLOCKS = 12


class Node:
    """One running or crashed instance; a Byzantine member has two of them, its twins."""

    def __init__(self, world, index: int, twin: int) -> None:
        self.world = world
        self.index = index
        self.twin = twin
        self.key = (index, twin)
        self.is_honest = index not in world.scenario.byzantine
        self.skew_ms = world.rng.randint(-world.scenario.skew_ms, world.scenario.skew_ms)
        self.disk = Disk()
        self.ledger = Ledger(self.fetch_bundle)
        self.replica: Replica | None = None
        self.timers: dict[Timer, int] = {}
        self.life = 0
        self.is_dead = False  # stopped by a SafetyError of a Byzantine twin
        self.is_executing = False
        self.fetching: set[bytes] = set()

    @property
    def is_up(self) -> bool:
        return self.replica is not None

    def now(self) -> int:
        return self.world.now + self.skew_ms + self.world.epoch_ms

    def start(self) -> None:
        """Boot from disk."""
        world = self.world
        self.life += 1
        self.timers.clear()
        self.is_executing = False
        scan = self.disk.reopen()
        silent = self.disk.is_journal_lost or scan.damage is Damage.INSIDE
        self.disk.is_journal_lost = False
        self.ledger = self.restart_ledger()
        self.replica = Replica(
            world.config,
            world.committee,
            self.index,
            world.keys[self.index],
            world.verifier,
            self.ledger,
            Guard(self.disk.guard),
        )
        final = self.disk.store[-1] if self.disk.store else None
        self.step(self.replica.start, scan.records, final, silent=silent)

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

    def crash(self, *, loses_journal: bool = False) -> None:
        """Lose power now."""
        if not self.is_up:
            return
        self.replica = None
        self.disk.crash(self.world.rng, loses_journal=loses_journal)
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
            self.replica, self.is_dead = None, True
            return
        self.perform(effects)

    def perform(self, effects: tuple[Effect, ...]) -> None:
        world, lag_ms = self.world, 0
        records = [effect.record for effect in effects if isinstance(effect, Journal)]
        for effect in effects:
            if world.crashes_now(self):
                return
            match effect:
                case Send():
                    world.monitor.on_send(self, effect.message)
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
                    lag_ms += world.scenario.fsync_ms
                case Final():
                    self.on_final(effect)
                case ServeRange():
                    self.serve_range(effect, lag_ms)
                case Accuse():
                    world.monitor.on_accuse(self, effect.evidence)
                case Blame():
                    world.monitor.on_blame(self, effect)
        for record in records:
            world.monitor.on_record(self, record)

    def set_timer(self, effect: SetTimer) -> None:
        self.timers[effect.timer] = effect.deadline_ms
        wait_ms = max(0, effect.deadline_ms - self.now())
        self.world.after(wait_ms, self.fire, (self.life, effect.timer, effect.deadline_ms))

    def fire(self, life: int, timer: Timer, deadline_ms: int) -> None:
        if self.is_up and life == self.life and self.timers.get(timer) == deadline_ms:
            self.step(self.replica.on_timer, timer)

    def receive(self, sender: int, message) -> None:
        if self.is_up:
            self.step(self.replica.on_message, sender, message)

    def on_final(self, final: Final) -> None:
        self.world.monitor.on_final(self, final)
        is_new = final.block.height > len(self.disk.store)
        self.disk.keep_final(final)
        if self.world.rng.random() < 0.5:
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
            self.step(self.replica.on_application)
        if self.is_up and self.ledger.waiting:
            self.schedule_execution()

    def receive_bundle(self, digest: bytes) -> None:
        self.fetching.discard(digest)
        if digest not in self.ledger.held:
            self.ledger.receive(digest, self.now())
            if self.is_up:
                self.step(self.replica.on_application)

    def fetch_bundle(self, digest: bytes) -> None:
        if digest in self.world.bundles and digest not in self.fetching:
            self.fetching.add(digest)
            wait_ms = 20 + self.world.rng.randrange(200)
            self.world.after(wait_ms, self.receive_bundle, (digest,))

    def serve_range(self, effect: ServeRange, lag_ms: int) -> None:
        first = effect.from_height - 1
        finals = self.disk.store[first : first + RANGE_BLOCKS]
        while finals and finals[-1].certificate is None:
            finals.pop()
        if finals:
            blocks = tuple(final.block.body for final in finals)
            message = Range(blocks, finals[-1].certificate)
            self.world.route(self, Send(effect.to, message, Lane.BACKGROUND), lag_ms)
