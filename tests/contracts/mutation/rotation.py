"""Choose a few mutants that change with the commit.

Rule: one commit always gives the same mutants, so a run can be repeated; each is known to be
killed, so the outcome does not depend on which ones they are.

Spec: docs/explanation/audit.md
Deviations: without git, the hour of the clock stands for the commit's.
"""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.contracts.mutation.record import Tried

SECONDS_PER_HOUR = 3_600
ROOT = Path(__file__).parents[3]


def chosen_now(tried: Mapping[str, Tried], count: int) -> dict[str, str]:
    """`count` mutants of all sources tried and the tests that kill them, by the commit's hour."""
    killers = {n: test for one in tried.values() for n, test in one.killers.items() if test}
    return {name: killers[name] for name in rotate([*killers], count, commit_hour())}


def rotate(names: Sequence[str], count: int, turn: int) -> list[str]:
    """Choose `count` of the names; in as many turns as it takes, each has its own."""
    mixed = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    return [mixed[(turn * count + i) % len(mixed)] for i in range(min(count, len(mixed)))]


def commit_hour() -> int:
    """Hours from the epoch to the last commit."""
    command = ["git", "log", "-1", "--format=%ct"]
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return int(run.stdout) // SECONDS_PER_HOUR
    except (OSError, subprocess.CalledProcessError, ValueError):
        return int(time.time()) // SECONDS_PER_HOUR
