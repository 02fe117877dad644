"""Facts about the specification: each numbered rule has code, each reference has a rule."""

from __future__ import annotations

import re
from pathlib import Path

from consensus import limits
from tests.simulation.mutants import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
SPEC = (ROOT / "docs/spec/consensus.md").read_text()
WIRE = (ROOT / "docs/spec/wire-consensus.md").read_text()
SOURCES = sorted((ROOT / "consensus").rglob("*.py"))


def referenced(pattern: str) -> set[str]:
    found: set[str] = set()
    for path in SOURCES:
        for line in path.read_text().splitlines():
            if "spec/consensus.md" in line or "spec/wire-consensus.md" in line:
                found |= set(re.findall(pattern, line))
    return found


def test_every_numbered_rule_has_code_and_every_reference_a_rule():
    rules = set(re.findall(r"^## §(\d+) ", SPEC, re.MULTILINE))
    assert rules == {str(number) for number in range(1, 13)}
    assert referenced(r"§(\d+)") == rules


def test_every_named_section_that_code_refers_to_exists():
    headings = set(re.findall(r"^## (?:§\d+ )?(.+)$", SPEC + "\n" + WIRE, re.MULTILINE))
    named = referenced(r"\(([A-Z][a-zA-Z -]+)\)")
    assert named
    assert named <= headings | {"Ranges", "Status"}


def test_the_table_of_mutants_is_complete():
    assert set(re.findall(r"^\| `(\w+)` ", SPEC, re.MULTILINE)) == set(MUTANTS)


def test_limits_in_the_spec_are_those_of_the_code():
    assert f"{limits.MESSAGE_BYTES_MAX:,} bytes" in WIRE
    assert f"at most {limits.BUNDLES_PER_BLOCK_MAX} bundles" in WIRE
    assert f"current view + {limits.VIEWS_AHEAD}" in SPEC
    assert f"A list of `{limits.SLOTS_PER_SEAT} · n` slots" in SPEC
    assert f"{limits.REQUESTS_PER_PEER_MAX} questions per peer" in SPEC
