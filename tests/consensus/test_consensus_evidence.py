"""The page for auditors names tests that exist, and every mutant and adversary it speaks of."""

from __future__ import annotations

import re
from pathlib import Path

from tests.simulation.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/consensus-evidence.md"


def test_every_test_that_is_named_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) >= 50
    for path, name in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{path}::{name}"


def test_every_mutant_and_adversary_that_is_named_exists():
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"mutant `(\w+)`", text)) <= set(MUTANTS)
    for name in re.findall(r"adversary `(\w+)`", text):
        assert (ROOT / f"tests/simulation/adversaries/{name}.py").exists()
