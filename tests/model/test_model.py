"""Check the model of the protocol exhaustively with Spin, and that removing any rule is noticed.

Rule: the full state space within the stated bounds, never a sample; no search may hit its limits.
Spec: docs/explanation/model.md. Deviations: none.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import soak_factor

pytestmark = pytest.mark.spin

MODEL = Path(__file__).with_name("simplex.pml")
DEPTH_MAX = 4_000_000
MEMORY_MB = 8_000
VIEWS = [2, 3] if soak_factor() > 1 else [2]  # three take half an hour
MUTANTS = [
    "NO_SKIP_CHECK",
    "NO_PARENT_CHECK",
    "FINALIZE_AFTER_NULLIFY",
    "NULLIFY_AFTER_FINALIZE",
    "DOUBLE_NOTARIZE",
    "WEAK_QUORUM",
]


@dataclass(frozen=True)
class Search:
    """What a search found."""

    errors: int
    states: int
    is_complete: bool


def search(folder: Path, views: int, *mutants: str) -> Search:
    """Build the verifier and run it."""
    flags = [f"-D{name}" for name in mutants]
    run(["spin", "-a", f"-DVIEWS={views}", *flags, str(MODEL)], folder)
    options = ["-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DNOREDUCE", f"-DMEMLIM={MEMORY_MB}"]
    run(["gcc", *options, "-o", "pan", "pan.c"], folder)
    text = run(["./pan", f"-m{DEPTH_MAX}", "-w26"], folder)
    errors = re.search(r"errors: (\d+)", text)
    states = re.search(r"([0-9.e+]+) states, stored", text)
    assert errors is not None, text
    assert states is not None, text
    is_cut = "max search depth too small" in text or "Search not completed" in text
    return Search(int(errors[1]), int(float(states[1])), not is_cut)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("views", VIEWS)
def test_every_state_holds_the_invariants(tmp_path: Path, views: int) -> None:
    found = search(tmp_path, views)
    assert found.is_complete
    assert found.errors == 0
    assert found.states > 50_000


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_protocol_without_one_of_its_rules_forks(tmp_path: Path, mutant: str) -> None:
    assert search(tmp_path, 2, mutant).errors > 0
