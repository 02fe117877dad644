"""The contract tests execute the contracts: measured by trace, not believed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.contracts.coverage.source_map import decode_source_map, instruction_offsets, measure

PERCENT_MIN = "98"
SECONDS_MAX = 600
ROOT = Path(__file__).parents[2]


def test_source_map_entries_repeat_what_they_leave_out() -> None:
    found = list(decode_source_map("1:2:0:-;:9;2::1;;"))
    assert [(one.source, *one.range) for one in found] == [
        (0, 1, 3),
        (0, 1, 10),
        (1, 2, 11),
        (1, 2, 11),
        (1, 2, 11),
    ]


def test_data_of_push_instructions_is_no_instruction() -> None:
    assert instruction_offsets(bytes.fromhex("6057015b61575701")) == [0, 2, 3, 4, 7]


def test_statements_and_conditions_are_found_by_the_syntax_tree() -> None:
    condition = {"nodeType": "BinaryOperation", "operator": "||", "src": "4:2:0"}
    inner = {"nodeType": "RevertStatement", "src": "9:3:0"}
    branch = {"nodeType": "IfStatement", "src": "1:11:0", "condition": condition, "trueBody": inner}
    found = measure(
        "x.sol", "\nif (a) b;\n", {"nodeType": "SourceUnit", "src": "0:12:0", "n": [branch]}
    )
    assert found.statements == {(9, 12)}
    assert found.conditions == {(1, 12), (4, 6)}
    assert found.line((1, 12)) == 2


def test_the_tests_execute_the_contracts() -> None:
    """At least 98 % of the lines and of the branches of every contract taken together."""
    command = [sys.executable, "-m", "tests.contracts.coverage", "--minimum", PERCENT_MIN]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
