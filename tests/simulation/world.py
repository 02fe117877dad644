"""Run one network: one heap of events, one source of chance, faults before a moment, then peace.

Rule: nothing but the seed enters; iteration is over lists and dicts in insertion order only.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from dataclasses import dataclass

from consensus.addressed import Deliver
from consensus.block import Tip
from consensus.epoch import Epoch, Parameters
from consensus.messages import decode_message, encode_message
from consensus.vote import Kind
from tests.simulation.adversaries import HABITS
from tests.simulation.adversary import Adversary
from tests.simulation.keys import make_keys
from tests.simulation.monitor import Monitor
from tests.simulation.newcomer import Newcomer
from tests.simulation.node import Node
from tests.simulation.rotation import Rotation
from tests.simulation.scenario import (
    EVENTS_MAX,
    LIVENESS_MS,
    NEW_BLOCKS,
    TIMING,
    Scenario,
)

DOMAIN = hashlib.sha256(b"domain").digest()
LOSS_FOR_EVER = 0.01
START_MS = 1_700_000_000_000
CHECK_EVERY_MS = 500
CALM_MS = 2_000  # how long a run goes on at least after the faults


@dataclass
class Stats:
    """What happened in one run."""

    events: int = 0
    blocks: int = 0
    crashes: int = 0
    torn_tails: int = 0
    partitions: int = 0
    two_faced_votes: int = 0
    nullified_views: int = 0
    convictions: int = 0
    epochs: int = 0
    joins: int = 0
    leaves: int = 0
    sealed: int = 0
    replays: int = 0
    spam: int = 0
    withheld: int = 0
    censors: int = 0
    stalls: int = 0
    lost_writes: int = 0
    equivocations: int = 0
    garbage: int = 0
    synced: int = 0  # states adopted
    poisoned: int = 0  # false ones offered
    late_two_faced: int = 0  # of the two-faced votes those after the first border
    compactions: int = 0
    border_crashes: int = 0  # of the crashes those that cost the store a border


class World:
    """One simulated network."""

    epoch_ms = START_MS

    def __init__(self, scenario: Scenario, *, traces: bool = False) -> None:
        self.scenario = scenario
        self.rng = random.Random(f"world {scenario.seed}")
        self.now = 0
        self.stats = Stats()
        self.failures: list[str] = []
        self.trace = hashlib.sha256() if traces else None
        self.heap: list[tuple] = []
        self.sequence = 0
        self.bundles: set[bytes] = set()
        self.sides: dict[tuple[int, int], int] | None = None
        self.cuts: frozenset[tuple[tuple[int, int], tuple[int, int]]] = frozenset()  # one way
        self.keys, self.verifier = make_keys(
            scenario.seed,
            len(scenario.weights) + len(scenario.spare_weights) + scenario.newcomers,
            is_real=scenario.has_real_keys,
        )
        self.rotation = Rotation(scenario, self.keys)
        self.committee = self.rotation.committee(1)
        genesis = Tip(
            view=0,
            height=0,
            hash=hashlib.sha256(b"genesis").digest(),
            time_ms=START_MS - 10_000,
            executed_height=0,
        )
        self.parameters = Parameters(
            domain=DOMAIN,
            checkpoint_interval=16,
            timing=TIMING,
            epoch_heights=scenario.epoch_heights,
        )
        self.genesis = Epoch(
            number=1,
            committee=self.committee,
            seed=hashlib.sha256(b"seed %d" % scenario.seed).digest(),
            anchor=genesis,
        )
        self.epochs = {1: self.genesis}
        self.identity_of = {key.address: index for index, key in enumerate(self.keys)}
        self.monitor = Monitor(self)
        self.nodes = {
            (index, twin): Node(self, index, twin)
            for index in range(len(self.keys) - scenario.newcomers)
            for twin in range(2 if index in scenario.byzantine else 1)
        }
        for index in range(len(self.keys) - scenario.newcomers, len(self.keys)):
            self.nodes[index, 0] = Newcomer(self, index)
        self.of_address = {
            key.address: [node for node in self.nodes.values() if node.index == index]
            for index, key in enumerate(self.keys)
        }
        self.honest = [node for node in self.nodes.values() if node.is_honest]
        self.adversary = Adversary(self)
        self.habit = HABITS[scenario.habit](self) if scenario.habit is not None else None

    def identity(self, number: int, signer: int) -> int | None:
        """Return who a committee's index was; None for an epoch that never began."""
        epoch = self.epochs.get(number)
        if epoch is None or signer >= len(epoch.committee):
            return None
        return self.identity_of[epoch.committee.address(signer)]

    def begin(self, node: Node, epoch: Epoch) -> None:
        """Note an epoch that a node began; all honest ones begin the same."""
        known = self.epochs.setdefault(epoch.number, epoch)
        if node.is_honest and known != epoch:
            self.fail(f"honest {node.index} began another epoch {epoch.number}")
        if known is epoch:
            old = {one.address for one in self.epochs[epoch.number - 1].committee.members}
            new = {one.address for one in epoch.committee.members}
            self.check_exchange(epoch)
            self.stats.epochs += 1
            self.stats.joins += len(new - old)
            self.stats.leaves += len(old - new)

    @property
    def is_stable(self) -> bool:
        return self.now >= self.scenario.stable_ms

    def check_exchange(self, epoch: Epoch) -> None:
        """A tenth of the weight, or the largest seat, enters at a border, and as much leaves."""
        before, after = (
            {one.address: one.weight for one in committee.members}
            for committee in (self.epochs[epoch.number - 1].committee, epoch.committee)
        )
        limit = max(sum(before.values()) // 10, max(before.values()))
        entered = sum(after[key] for key in after if key not in before)
        left = sum(before[key] for key in before if key not in after)
        if max(entered, left) > limit:
            self.fail(f"epoch {epoch.number}: {entered} entered and {left} left of {limit}")

    def fail(self, reason: str) -> None:
        self.failures.append(f"at {self.now} ms: {reason}")

    def after(self, wait_ms: int, call, args: tuple) -> None:
        self.sequence += 1
        heapq.heappush(self.heap, (self.now + wait_ms, self.sequence, call, args))

    def run(self) -> Stats:
        """Run until the honest replicas proved to be alive, or something failed."""
        for node in self.nodes.values():
            self.after(self.rng.randrange(500), node.boot, ())
        self.after(0, self.adversary.tick, ())
        self.after(0, self.adversary.submit, ())
        self.after(self.scenario.stable_ms, self.calm, ())
        while self.heap and not self.failures and not self.is_done():
            self.now, _, call, args = heapq.heappop(self.heap)
            self.stats.events += 1
            if self.trace is not None:
                self.note(call, args)
            call(*args)
            if self.stats.events > EVENTS_MAX:
                self.fail("a storm of messages")
        return self.finish()

    def calm(self) -> None:
        """End the faults; note how far the chain is."""
        self.sides, self.cuts = None, frozenset()
        self.goal = len(self.monitor.chain) + NEW_BLOCKS
        self.done_check_ms = self.now + CALM_MS

    def is_done(self) -> bool:
        if not self.is_stable or self.now < getattr(self, "done_check_ms", self.now + 1):
            return False
        self.done_check_ms = self.now + CHECK_EVERY_MS
        heights = [node.replica.tip.height if node.is_up else 0 for node in self.honest]
        if min(heights) >= self.goal:
            return True
        if self.now > self.scenario.stable_ms + LIVENESS_MS:
            self.fail(f"no progress: heights {heights}, goal {self.goal}")
        return False

    def finish(self) -> Stats:
        stats, monitor = self.stats, self.monitor
        stats.blocks = len(monitor.chain)
        stats.torn_tails = sum(node.disk.torn_tails for node in self.nodes.values())
        stats.two_faced_votes = monitor.two_faced
        stats.late_two_faced = monitor.late_two_faced
        stats.lost_writes = sum(node.disk.lost_writes for node in self.nodes.values())
        stats.nullified_views = sum(Kind.NULLIFY in held for held in monitor.certified.values())
        stats.convictions = len(monitor.convicted)
        return stats

    def note(self, call, args: tuple) -> None:
        what = [str(self.now), call.__qualname__]
        for arg in args:
            is_message = hasattr(type(arg), "__struct_fields__")
            what.append(encode_message(arg).hex() if is_message else repr(arg))
        self.trace.update("|".join(what).encode())

    def crashes_now(self, node: Node) -> bool:
        """Decide whether the power fails between two effects."""
        chance = self.scenario.crash_per_effect
        if not chance or self.is_stable or not node.is_honest or self.rng.random() >= chance:
            return False
        self.adversary.crash(node)
        return True

    def route(self, source: Node, send: Deliver, lag_ms: int) -> None:
        """Deliver a message to whom it is meant for; twins never hear each other."""
        addresses = (self.rng.choice(send.to),) if send.is_for_one else send.to
        for address in addresses:
            for target in self.of_address[address]:
                if target.index != source.index and self.may_pass(source, send.message):
                    self.deliver(source, target, send.message, lag_ms)

    def may_pass(self, source: Node, message) -> bool:
        """Let the adversary hear a message; False when a Byzantine sender keeps it back."""
        return self.habit is None or self.habit.hear(source, message)

    def deliver(self, source: Node, target: Node, message, lag_ms: int = 0) -> None:
        """Put a message on its way, or lose it."""
        rng, scenario = self.rng, self.scenario
        if scenario.is_on_wire:
            message = decode_message(encode_message(message))
        if self.is_stable:
            if rng.random() >= LOSS_FOR_EVER:
                wait_ms = lag_ms + 20 + rng.randrange(100) + scenario.calm_delay_ms
                self.after(wait_ms, target.receive, (source.address, message))
            return
        if self.sides is not None and self.sides[source.key] != self.sides[target.key]:
            return
        if (source.key, target.key) in self.cuts or target.border_crash.deaf_until_ms > self.now:
            return
        for _ in range(1 + (rng.random() < scenario.duplication)):
            if rng.random() < scenario.loss:
                continue
            wait_ms = lag_ms + int(rng.expovariate(1 / scenario.delay_ms))
            if rng.random() < scenario.tail:
                wait_ms += rng.randrange(5_000)
            self.after(wait_ms, target.receive, (source.address, message))
