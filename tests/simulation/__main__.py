"""Simulate networks: `python -m tests.simulation --seeds A:B [--mutant NAME] [--minutes M]`.

With `--minutes` it runs from seed A on until the time is over, and says what an hour yields.

Rule: the last line is JSON; the exit status is 1 when an invariant broke, and the seed is
printed.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import add_up, run_for, run_seed


def parse_seeds(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=parse_seeds, required=True, metavar="A:B")
    parser.add_argument("--mutant", choices=sorted(MUTANTS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--minutes", type=float, help="from A on for so long, whatever B is")
    parser.add_argument("--trace", action="store_true", help="print each seed's trace hash")
    options = parser.parse_args()
    if options.trace:
        for seed in options.seeds:
            outcome = run_seed(seed, options.mutant, traces=True)
            print(f"seed {seed} trace {outcome.trace}")
        return 0
    started = time.monotonic()
    if options.minutes:
        assert options.mutant is None, "a mutant ends when it is caught"
        totals = run_for(options.seeds[0], 60 * options.minutes, processes=options.processes)
    else:
        totals = add_up(options.seeds, options.mutant, processes=options.processes)
    for outcome in totals.failed:
        for failure in outcome.failures:
            print(f"seed {outcome.seed} failed {failure}")
    took_s = time.monotonic() - started
    print(f"{took_s:.1f} s")
    if options.minutes:
        rates = {name: round(n * 3_600 / took_s) for name, n in totals.as_json().items()}
        print(f"an hour yields, at this rate: {json.dumps(rates)}")
    print(json.dumps(totals.as_json()))
    return 1 if totals.failures else 0


if __name__ == "__main__":
    sys.exit(main())
