"""Contracts broken on purpose do not pass; each error that they can raise has a test."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.contracts.mutation.__main__ import rotate
from tests.contracts.mutation.operators import Mutant, mutants_of

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "contracts" / "solidity"
ROTATING = "3"
SECONDS_MAX = 600
ERROR = re.compile(r"^\s*error (\w+)\(", re.MULTILINE)


def mutant(name: str) -> Mutant:
    return Mutant(source="A.sol", name=name, line=1, start=0, end=1, after=b"")


def test_every_mutant_has_its_day() -> None:
    every = [mutant(f"{number}") for number in range(10)]
    seen = {one.name for day in range(4) for one in rotate(every, 3, day)}
    assert seen == {one.name for one in every}


def test_mutants_change_one_place() -> None:
    text = "if (a < b) revert X();"
    comparison = {
        "nodeType": "BinaryOperation",
        "src": "4:5:0",
        "operator": "<",
        "leftExpression": {"nodeType": "Identifier", "src": "4:1:0"},
        "rightExpression": {"nodeType": "Identifier", "src": "8:1:0"},
    }
    tree = {"nodeType": "IfStatement", "src": "0:22:0", "condition": comparison}
    assert [one.apply(text) for one in mutants_of("A.sol", text, tree)] == [
        "if (a <= b) revert X();",
        "if (false) revert X();",
        "if (a >= b) revert X();",
    ]


def test_every_error_of_the_contracts_is_expected_by_a_test() -> None:
    """By name, as a string in a test; coverage measures that each `revert` is reached."""
    declared = {name for path in SOURCES.glob("*.sol") for name in ERROR.findall(path.read_text())}
    tests = "".join(path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py")))
    assert len(declared) > 60
    assert sorted(name for name in declared if f'"{name}"' not in tests) == []


def test_todays_mutants_are_noticed() -> None:
    command = [sys.executable, "-m", "tests.contracts.mutation", "--rotating", ROTATING]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    assert json.loads(run.stdout.splitlines()[-1])["mutants"] == int(ROTATING)
