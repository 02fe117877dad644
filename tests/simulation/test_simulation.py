"""Facts about whole networks: hundreds of seeds pass, every missing rule is noticed.

Rule: the seeds of CI are fixed; `OMNIBAZAAR_SOAK` multiplies their number.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import add_up, run_seed
from tests.simulation.scenario import draw_scenario

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "docs/spec/consensus.md"
SEEDS = 320
MUTANT_SEEDS = 300
KEYS = [
    "seeds",
    "events",
    "blocks",
    "crashes",
    "torn_tails",
    "partitions",
    "two_faced_votes",
    "nullified_views",
    "convictions",
    "epochs",
    "joins",
    "leaves",
    "sealed",
    "replays",
    "spam",
    "withheld",
    "censors",
    "stalls",
    "lost_writes",
    "equivocations",
    "garbage",
    "synced",
    "poisoned",
    "late_two_faced",
    "compactions",
    "border_crashes",
    "failures",
]
LEAST = {  # per 320 seeds, so that the simulator cannot grow mild unnoticed
    "events": 700_000,
    "blocks": 3_500,
    "crashes": 1_200,
    "torn_tails": 450,
    "partitions": 1_200,
    "two_faced_votes": 15_000,
    "nullified_views": 1_800,
    "convictions": 250,
    "epochs": 500,
    "joins": 350,
    "leaves": 350,
    "sealed": 100,
    "replays": 400,
    "spam": 14_000,
    "withheld": 6_000,
    "censors": 30,
    "stalls": 150,
    "lost_writes": 4,
    "equivocations": 90,
    "garbage": 150,
    "synced": 250,
    "poisoned": 120,
    "late_two_faced": 4_000,
    "compactions": 3_000,
    "border_crashes": 80,
}


def simulate(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_seeded_networks_keep_every_invariant_and_stay_alive(soak: int):
    done = simulate("--seeds", f"0:{SEEDS * soak}", "--processes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    totals = json.loads(done.stdout.splitlines()[-1])
    assert list(totals) == KEYS
    assert totals["seeds"] == SEEDS * soak
    assert totals["failures"] == 0
    for name, least in LEAST.items():
        assert totals[name] >= least * soak, f"only {totals[name]} {name}: the faults grew mild"


def test_enough_seeds_use_real_signatures_and_real_bytes():
    scenarios = [draw_scenario(seed) for seed in range(SEEDS)]
    assert sum(scenario.has_real_keys for scenario in scenarios) >= 20
    assert sum(scenario.is_on_wire for scenario in scenarios) >= 20
    assert sum(scenario.journal_loss is not None for scenario in scenarios) >= 10


@pytest.mark.parametrize("mutant", sorted(MUTANTS))
def test_a_missing_rule_is_noticed(mutant: str):
    row = re.search(rf"^\| `{mutant}` .*\| (\d+) \|$", SPEC.read_text(), re.MULTILINE)
    assert row is not None
    stated = int(row[1])
    if add_up(range(stated - 1, stated), mutant).failures:
        return  # the seed that noticed it when the table was written still does
    totals = add_up(range(MUTANT_SEEDS), mutant)
    assert totals.failures == 1, f"{mutant} survived {totals.seeds} seeds"
    assert totals.seeds <= stated, "the table in the specification is older than the code"


def test_one_seed_is_one_trace_whatever_the_hash_seed():
    seeds = "0:12"
    first, second = (simulate("--seeds", seeds, "--trace", hash_seed=h) for h in ("1", "2"))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    traces = [line.split()[-1] for line in first.stdout.splitlines()]
    assert len(set(traces)) == 12
    assert run_seed(3, traces=True).trace == traces[3]


def test_the_command_names_the_seed_that_failed():
    done = simulate("--seeds", "0:20", "--mutant", "weak_quorum")
    assert done.returncode == 1
    totals = json.loads(done.stdout.splitlines()[-1])
    assert totals["failures"] == 1
    failed = totals["seeds"] - 1
    assert f"seed {failed} failed" in done.stdout
