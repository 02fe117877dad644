"""Measure what consensus costs: `python -m tests.simulation.cost [--members N] [--blocks B]`.

Rule: real secp256k1 signatures, real bytes, framed journals; a perfect network without disks, so
the figure is the CPU time of the replicas alone. The last line is JSON.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import sys
import time

from consensus.block import Tip
from consensus.committee import Committee, Member
from consensus.config import Config, Timing
from consensus.effects import ALL, Final, Journal, Send, SetTimer, Sync
from consensus.guard import Guard
from consensus.journal import Framer
from consensus.messages import decode_message, encode_message
from consensus.replica import Replica
from tests.simulation.keys import make_keys
from tests.simulation.ledger import Ledger

START_MS = 1_000
HOP_MS = 1
BUNDLES_PER_BLOCK = 4
TIMING = Timing(
    gap_ms=100, leader_ms=1_000, view_ms=1_500, retry_ms=1_500, standstill_ms=4_000, fetch_ms=200
)


class Cost:
    """A network in which everything arrives after one millisecond."""

    def __init__(self, members: int) -> None:
        keys, verifier = make_keys(1, members, is_real=True)
        committee = Committee(tuple(Member(address=key.address, weight=1) for key in keys))
        anchor = Tip(view=0, height=0, hash=b"g" * 32, time_ms=0, executed_height=0)
        config = Config(
            domain=b"d" * 32,
            epoch=1,
            anchor=anchor,
            seed=b"s" * 32,
            checkpoint_interval=1_000,
            timing=TIMING,
        )
        self.ledgers = [Ledger(lambda digest: None) for _ in keys]
        self.replicas = [
            Replica(config, committee, me, key, verifier, ledger, Guard())
            for me, (key, ledger) in enumerate(zip(keys, self.ledgers, strict=True))
        ]
        self.framers = [Framer() for _ in keys]
        self.timers: list[dict] = [{} for _ in keys]
        self.heap: list[tuple] = []
        self.sequence = 0
        self.now = START_MS
        self.height = 0
        self.cpu_s = 0.0
        self.sent_bytes = self.journal_bytes = self.syncs = self.messages = 0

    def after(self, at_ms: int, call, *args) -> None:
        self.sequence += 1
        heapq.heappush(self.heap, (at_ms, self.sequence, call, args))

    def run(self, blocks: int) -> dict[str, float | int]:
        for me, replica in enumerate(self.replicas):
            self.call(me, replica.start, self.now)
        while self.height < blocks:
            self.now, _, call, args = heapq.heappop(self.heap)
            call(*args)
        return self.report()

    def report(self) -> dict[str, float | int]:
        members = len(self.replicas)
        share = self.height * members
        return {
            "members": members,
            "blocks": self.height,
            "cpu_ms_per_block_and_node": round(1_000 * self.cpu_s / share, 3),
            "sent_bytes_per_block_and_node": self.sent_bytes // share,
            "journal_bytes_per_block_and_node": self.journal_bytes // share,
            "messages_per_block_and_node": round(self.messages / share, 1),
            "syncs_per_block_and_node": round(self.syncs / share, 2),
            "ms_per_block": round((self.now - START_MS) / self.height, 1),
        }

    def call(self, me: int, method, *args) -> None:
        started = time.thread_time()
        effects = method(*args)
        self.cpu_s += time.thread_time() - started
        for effect in effects:
            self.perform(me, effect)

    def perform(self, me: int, effect) -> None:
        started = time.thread_time()
        match effect:
            case Send():
                self.send(me, effect.to, encode_message(effect.message))
            case Journal():
                self.journal_bytes += len(self.framers[me].frame(effect.record))
            case Sync():
                self.framers[me].acknowledge()
                self.syncs += 1
            case SetTimer():
                self.timers[me][effect.timer] = effect.deadline_ms
                self.after(effect.deadline_ms, self.fire, me, effect.timer)
        self.cpu_s += time.thread_time() - started
        if isinstance(effect, Final):
            self.finalize(me, effect)

    def send(self, me: int, to: int, data: bytes) -> None:
        members = len(self.replicas)
        targets = range(members) if to == ALL else [to if to >= 0 else (me + 1) % members]
        for target in targets:
            if target != me:
                self.sent_bytes += len(data)
                self.messages += 1
                self.after(self.now + HOP_MS, self.receive, target, me, data)

    def receive(self, me: int, sender: int, data: bytes) -> None:
        started = time.thread_time()
        message = decode_message(data)
        self.cpu_s += time.thread_time() - started
        self.call(me, self.replicas[me].on_message, self.now, sender, message)

    def fire(self, me: int, timer) -> None:
        if self.timers[me].get(timer) == self.now:
            self.call(me, self.replicas[me].on_timer, self.now, timer)

    def finalize(self, me: int, final: Final) -> None:
        self.ledgers[me].finalize(final.block)
        self.ledgers[me].execute_next()
        self.after(self.now + HOP_MS, self.wake, me)
        if final.block.height > self.height:
            self.height = final.block.height
            for number in range(BUNDLES_PER_BLOCK):
                digest = hashlib.sha256(b"%d %d" % (self.height, number)).digest()
                for ledger in self.ledgers:
                    ledger.receive(digest, self.now)

    def wake(self, me: int) -> None:
        self.call(me, self.replicas[me].on_application, self.now)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.cost")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=200)
    options = parser.parse_args()
    print(json.dumps(Cost(options.members).run(options.blocks)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
