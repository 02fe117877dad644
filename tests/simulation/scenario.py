"""Draw one network and its misfortunes from a seed.

Rule: every knob of a run is decided here, before it starts, from the seed alone.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from consensus.config import Timing

TIMING = Timing(
    gap_ms=250, leader_ms=1_000, view_ms=1_500, retry_ms=1_500, standstill_ms=4_000, fetch_ms=400
)
STABLE_MS = 14_000  # faults happen before
LONG_STABLE_MS = 60_000  # in mild runs, so that checkpoints and pruning are reached
LONG_EVERY = 10
SLOW_EVERY = 16  # every so many seeds the network stays slower than the base time-outs
SLOW_MS = 1_200
STALL_EVERY = 5  # every so many seeds disks stall now and then
STALL_MS = 3_000
FORGETFUL_EVERY = 9  # every so many seeds one of several faulty members is honest but forgets
COMPACT_EVERY = 7  # every so many seeds journals are compacted now and then
BORDER_CRASH_EVERY = 5  # every so many seeds with borders the power fails just behind them
POISONER = 6  # of `adversaries.HABITS`: whoever comes without a state asks in long runs
LIVENESS_MS = 180_000  # after the faults every honest replica must have finalized NEW_BLOCKS
NEW_BLOCKS = 5
EVENTS_MAX = 1_500_000  # more is a message storm
REAL_KEYS_EVERY = 14  # every so many seeds sign with secp256k1
WIRE_EVERY = 8  # every so many seeds encode and decode each message


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The knobs of one run."""

    seed: int
    stable_ms: int  # faults happen before
    weights: tuple[int, ...]
    byzantine: frozenset[int]
    is_evil: bool  # Byzantine members also send what no honest code would
    loss: float
    duplication: float
    delay_ms: float  # mean of an exponential
    tail: float  # share of messages that take seconds
    has_partitions: bool
    crash_per_effect: float
    crash_per_tick: float
    power_cut_share: float  # of crashes, those that hit everybody
    journal_loss: int | None  # the member that loses its journal in crashes
    skew_ms: int  # clocks differ by up to this
    execution_ms: int  # mean time to execute a block
    fsync_ms: int
    has_real_keys: bool
    is_on_wire: bool
    work: float  # new actions per second
    habit: int | None  # which adversary of `adversaries` the Byzantine members are, if any
    calm_delay_ms: int  # delay of every message after the faults, above what time-outs allow
    epoch_heights: int  # 0: one epoch without end
    spare_weights: tuple[int, ...]  # of validators without a seat in the first epoch
    stall_share: float = (
        0.0  # of syncs, those that take up to STALL_MS, the node doing nothing else
    )
    newcomers: int = 0  # nodes without a seat that come later and lose their disks
    loses_writes: bool = False  # in a crash the journal also loses a tail that was synced
    compaction: float = 0.0  # share of steps after which the journal is replaced by a short one
    border_crash: float = 0.0  # share of borders behind which a node crashes, its store unsynced


def draw_scenario(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = random.Random(f"scenario {seed}")
    count = rng.choice([4, 4, 4, 5, 6, 7, 7])
    weights, tolerated = draw_weights(rng, count)
    mode = seed % 4  # 0: twins, 1 and 2: twins and evil proposals, 3: all honest
    byzantine = draw_byzantine(rng, weights, tolerated) if mode != 3 else frozenset()
    forgetful = draw_forgetful(seed, byzantine)
    byzantine -= {forgetful}
    small = [index for index in range(count) if weights[index] <= tolerated]
    loses_journal = mode == 3 and bool(small) and rng.random() < 0.4
    is_long = seed % LONG_EVERY == 5
    return Scenario(
        seed=seed,
        stable_ms=LONG_STABLE_MS if is_long else STABLE_MS,
        weights=weights,
        byzantine=byzantine,
        is_evil=mode in (1, 2),
        loss=rng.choice([0, 0.02, 0.1, 0.3]) if not is_long else 0.01,
        duplication=rng.choice([0, 0.05, 0.2]),
        delay_ms=rng.choice([30, 100, 250]) if not is_long else 30,
        tail=rng.choice([0, 0.02, 0.1]) if not is_long else 0.002,
        has_partitions=rng.random() < 0.8 and not is_long,
        crash_per_effect=rng.choice([0, 0, 0.002, 0.006]),
        crash_per_tick=rng.choice([0, 0.1, 0.2]),
        power_cut_share=rng.choice([0, 0.1, 0.3]),
        journal_loss=rng.choice(small) if loses_journal else forgetful,
        skew_ms=rng.choice([0, 0, 50, 200]),
        execution_ms=rng.choice([1, 20, 150]),
        fsync_ms=rng.choice([0, 2, 30]),
        has_real_keys=seed % REAL_KEYS_EVERY == 0,
        is_on_wire=seed % WIRE_EVERY == 1,
        work=max(rng.choice([0, 2, 8]), 4 if is_long else 0),  # many blocks in long runs
        habit=draw_habit(seed) if mode in (0, 2) else POISONER if is_long and mode == 1 else None,
        calm_delay_ms=SLOW_MS if seed % SLOW_EVERY == SLOW_EVERY - 1 else 0,
        epoch_heights=draw_epoch_heights(seed),
        spare_weights=draw_spare_weights(seed, weights),
        stall_share=0.05 if seed % STALL_EVERY == 2 else 0.0,
        newcomers=2 if is_long else 0,
        loses_writes=loses_journal and random.Random(f"writes {seed}").random() < 0.5,
        compaction=0.05 if seed % COMPACT_EVERY == COMPACT_EVERY - 1 else 0.0,
        border_crash=0.8 if seed % BORDER_CRASH_EVERY == 3 and draw_epoch_heights(seed) else 0.0,
    )


def draw_forgetful(seed: int, byzantine: frozenset[int]) -> int | None:
    """Return a member that loses its journal in crashes, beside others that are Byzantine."""
    if seed % FORGETFUL_EVERY != 2 or len(byzantine) < 2:
        return None
    return sorted(byzantine)[seed % len(byzantine)]


def draw_habit(seed: int) -> int:
    """Return which adversary it is; the last two share the turns of a fifth."""
    turn = seed // 4 % 5
    return turn if turn < 4 else 4 + seed // 20 % 2


def draw_epoch_heights(seed: int) -> int:
    """Return the length of the epochs; every third network has no borders."""
    if seed % 3 == 0:
        return 0
    return random.Random(f"epochs {seed}").choice([3, 4, 6, 10])


def draw_spare_weights(seed: int, weights: tuple[int, ...]) -> tuple[int, ...]:
    """Return the weights of up to two validators that wait for a seat."""
    if not draw_epoch_heights(seed):
        return ()
    rng = random.Random(f"spare {seed}")
    return tuple(rng.choice(weights) for _ in range(rng.choice([1, 1, 2])))


def draw_weights(rng: random.Random, count: int) -> tuple[tuple[int, ...], int]:
    """Return weights of which at least one member's is tolerated to be faulty."""
    while True:
        weights = tuple(rng.randint(1, 10) for _ in range(count))
        if rng.random() < 0.3:
            weights = (1,) * count
        tolerated = (sum(weights) - 1) // 3
        if max(weights) <= max(tolerated, 1):
            return weights, tolerated


def draw_byzantine(rng: random.Random, weights: tuple[int, ...], tolerated: int) -> frozenset[int]:
    """Return members whose weight the protocol tolerates, as many as fit."""
    order = list(range(len(weights)))
    rng.shuffle(order)
    chosen, weight = set(), 0
    for index in order:
        if weight + weights[index] <= tolerated:
            chosen.add(index)
            weight += weights[index]
    return frozenset(chosen)
