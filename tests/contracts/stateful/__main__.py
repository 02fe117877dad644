"""Run interleavings by their seeds; the last line is JSON.

Rule: the exit status is 1 when one fails, after the steps that it takes have been printed.

    python -m tests.contracts.stateful --runs 1000               # seeds 0 to 999, 40 steps each
    python -m tests.contracts.stateful --first 5000 --runs 200 --steps 100

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict

from tests.contracts.stateful.machine import Broken, Tally, interleaving, run, shrink
from tests.contracts.stateful.scene import build_embedded


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.stateful")
    parser.add_argument("--runs", type=int, default=200, help="interleavings")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--steps", type=int, default=40, help="steps of each")
    options = parser.parse_args(arguments)
    scene = build_embedded()
    tally, started = Tally(), time.process_time()
    for seed in range(options.first, options.first + options.runs):
        try:
            run(scene, interleaving(seed, options.steps), tally)
        except Broken as broken:
            print(f"seed {seed}: {shrink(scene, broken)}")
            return 1
    seconds = time.process_time() - started
    rate = round(tally.steps / seconds, 1)
    print(json.dumps({**asdict(tally), "cpuSeconds": round(seconds, 1), "stepsPerSecond": rate}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
