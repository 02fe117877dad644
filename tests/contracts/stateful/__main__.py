"""Run interleavings by their seeds; the last line is JSON.

Rule: the exit status is 1 when one fails, after the steps that it takes have been printed; or when
one of the wrong contracts is not shown by any of the seeds that CI plays.

    python -m tests.contracts.stateful --runs 1000               # seeds 0 to 999, 40 steps each
    python -m tests.contracts.stateful --first 5000 --runs 200 --steps 100
    python -m tests.contracts.stateful --anvil --runs 1000       # the same as transactions
    python -m tests.contracts.stateful --record               # seeds that show wrong contracts
    python -m tests.contracts.stateful --record 'deposits are'   # of such names only

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from time import process_time

from tests.contracts.solc_worker import solc_worker
from tests.contracts.stateful.anvil_ground import anvil_ground
from tests.contracts.stateful.machine import Broken, Tally, interleaving, run, shrink
from tests.contracts.stateful.record import (
    Found,
    Record,
    is_settled,
    load,
    machine_digest,
    save,
    variant_digest,
)
from tests.contracts.stateful.scene import COINS, PEOPLE, build
from tests.contracts.stateful.stage import Stage, embedded_stage, prepare
from tests.contracts.stateful.teeth import notice
from tests.contracts.stateful.variants import VARIANTS, Variant

REPORT_EVERY = 50


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.stateful")
    parser.add_argument("--runs", type=int, default=200, help="interleavings")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--steps", type=int, default=40, help="steps of each")
    parser.add_argument("--record", nargs="?", const="", metavar="PART", help="wrong contracts")
    parser.add_argument("--cache", type=Path, help="keep the code of wrong contracts here")
    parser.add_argument("--anvil", action="store_true", help="on anvil instead of py-evm")
    options = parser.parse_args(arguments)
    if options.record is not None:
        chosen = [variant for variant in VARIANTS if options.record in variant.name]
        return try_variants(chosen, options.runs, options.cache)
    seeds = range(options.first, options.first + options.runs)
    if not options.anvil:
        return play(embedded_stage(), seeds, options.steps)
    with anvil_ground(PEOPLE, COINS) as ground:
        return play(prepare(build(ground)), seeds, options.steps)


def play(stage: Stage, seeds: range, steps: int) -> int:
    """Run interleavings of the contracts as they are."""
    tally, started = Tally(), time.monotonic()
    for seed in seeds:
        try:
            run(stage, interleaving(seed, steps), tally)
        except Broken as broken:
            print(f"seed {seed}: {shrink(stage, broken)}")
            return 1
        if tally.runs % REPORT_EVERY == 0 or seed == seeds[-1]:
            report(tally, time.monotonic() - started)
    return 0


def report(tally: Tally, seconds: float) -> None:
    """Say how far it has come."""
    rate = round(tally.steps / seconds, 1)
    sums = {**asdict(tally), "seconds": round(seconds, 1), "cpuSeconds": round(process_time(), 1)}
    print(json.dumps({**sums, "stepsPerSecond": rate}), flush=True)


def try_variants(chosen: list[Variant], runs: int, cache: Path | None) -> int:
    """Find a seed for each wrong contract, the last one first, unless it is settled already."""
    old, machine = load(), machine_digest()
    found = dict(old.found) if old.machine == machine else {}
    with solc_worker() as worker:
        for variant in chosen:
            if is_settled(old, variant, runs):
                continue
            started = time.monotonic()
            last = old.seeds.get(variant.name, 0)
            seeds = [last, *(seed for seed in range(runs) if seed != last)]
            shown = notice(worker, variant, seeds, cache=cache)
            seed, problem = shown or (None, "never")
            tried = runs if seed is None else seed + 1
            found[variant.name] = Found(variant_digest(variant), seed, tried)
            save(Record(machine, found))
            seconds = time.monotonic() - started
            print(f"{seed!s:5} {seconds:5.1f} s  {variant.name}: {problem}", flush=True)
    missed = sum(found[variant.name].seed is None for variant in chosen)
    print(json.dumps({"variants": len(chosen), "missed": missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
