"""Run a range of seeds, on several processes if asked, and add up what happened.

Rule: the totals are sums over seeds, so their order does not matter; a failure names its seed.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from tests.simulation.mutants import mutated
from tests.simulation.scenario import draw_scenario
from tests.simulation.world import Stats, World

CHUNK = 4
SEEDS_MAX = 10_000_000  # of one run by the clock


@dataclass(frozen=True)
class Outcome:
    """One seed's run."""

    seed: int
    stats: Stats
    failures: tuple[str, ...]
    trace: str | None


@dataclass
class Totals:
    """What the command prints as its last line."""

    seeds: int = 0
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
    synced: int = 0
    poisoned: int = 0
    late_two_faced: int = 0
    compactions: int = 0
    border_crashes: int = 0
    failures: int = 0
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        for name, value in asdict(outcome.stats).items():
            setattr(self, name, getattr(self, name) + value)
        if outcome.failures:
            self.failures += 1
            self.failed.append(outcome)

    def as_json(self) -> dict[str, int]:
        return {name: value for name, value in vars(self).items() if name != "failed"}


def run_seed(seed: int, mutant: str | None = None, *, traces: bool = False) -> Outcome:
    """Run one network. A bug that raises counts as a failure of its seed."""
    with mutated(mutant):
        scenario = draw_scenario(seed)
        if mutant not in (None, "no_guard"):  # lost writes alone would give it away
            scenario = replace(scenario, loses_writes=False)
        world = World(scenario, traces=traces)
        try:
            world.run()
        except Exception as error:
            world.fail(f"{type(error).__name__}: {error}")
        trace = world.trace.hexdigest() if world.trace is not None else None
        return Outcome(seed, world.finish(), tuple(world.failures), trace)


def run_seeds(
    seeds: Iterable[int], mutant: str | None = None, *, processes: int = 1
) -> Generator[Outcome, None, None]:
    """Yield the outcomes of seeds in their order."""
    task = partial(run_seed, mutant=mutant)
    if processes <= 1:
        yield from map(task, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(task, seeds, chunksize=CHUNK)


def run_for(first: int, seconds: float, *, processes: int = 1) -> Totals:
    """Run seeds from one on until the time is over; return their totals."""
    totals = Totals()
    ends = time.monotonic() + seconds
    outcomes = run_seeds(range(first, first + SEEDS_MAX), processes=processes)
    for outcome in outcomes:
        totals.add(outcome)
        if time.monotonic() >= ends:
            break
    outcomes.close()
    return totals


def add_up(seeds: Iterable[int], mutant: str | None = None, *, processes: int = 1) -> Totals:
    """Run seeds and return their totals; stop a mutant's run when it is caught."""
    totals = Totals()
    for outcome in run_seeds(seeds, mutant, processes=processes):
        totals.add(outcome)
        if mutant is not None and outcome.failures:
            break
    return totals
