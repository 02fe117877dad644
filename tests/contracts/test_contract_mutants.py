"""Contracts broken on purpose do not pass; each error that they can raise has a test."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from contracts.build import COTI_SOURCES
from tests.contracts.mutation import record
from tests.contracts.mutation.operators import Mutant, mutants_of
from tests.contracts.mutation.project import meaning
from tests.contracts.mutation.record import Tried, find_faults
from tests.contracts.mutation.rotation import rotate
from tests.contracts.mutation.schema import MAGIC, Place, Placed, Schema, blamed, render
from tests.contracts.mutation.together import Together

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "contracts" / "solidity"
ROTATING = "3"
SECONDS_MAX = 600
ERROR = re.compile(r"^\s*error (\w+)\(", re.MULTILINE)


SOURCE = "Votes.sol"


def tried(**changes: object) -> dict[str, Tried]:
    values = {
        "digest": record.digest_of(SOURCE),
        "killers": {f"{SOURCE} f: flip: a -> b": "test_a.py::test_a"},
        "survivors": (f"{SOURCE} f: flip: c -> d",),
        "equivalent": 0,
        "stillborn": 0,
        "untried": 0,
    }
    return {SOURCE: Tried(**{**values, **changes})}  # type: ignore[arg-type]


REASONS = {f"{SOURCE} f: flip: c -> d": "because"}


def test_every_mutant_has_its_turn() -> None:
    every = [f"{number}" for number in range(10)]
    assert {name for turn in range(4) for name in rotate(every, 3, turn)} == set(every)


def test_a_justified_survivor_is_no_fault() -> None:
    assert find_faults(tried(), REASONS) == []


def test_a_source_that_changed_is_a_fault() -> None:
    [fault] = find_faults(tried(digest="00"), REASONS)
    assert "has changed" in fault


def test_a_survivor_without_a_reason_is_a_fault() -> None:
    [fault] = find_faults(tried(), {})
    assert "no reason" in fault


def test_a_reason_for_what_is_killed_or_does_not_exist_is_a_fault() -> None:
    killed = {**REASONS, f"{SOURCE} f: flip: a -> b": "because"}
    assert "a test kills it" in find_faults(tried(), killed)[0]
    assert "no such mutant" in find_faults(tried(), {**REASONS, f"{SOURCE} x": "because"})[0]
    assert "never tried" in find_faults({}, REASONS)[0]


def test_comments_are_no_part_of_what_was_tried() -> None:
    assert meaning("a; // b\n/* c\n */ d;") == meaning("a;\n   d;")


def test_the_record_holds_for_the_sources_as_they_are() -> None:
    assert find_faults(record.load_tried(), record.load_survivors()) == []


def test_the_tests_on_record_are_there() -> None:
    """A test that gets another name kills nothing under the old one."""
    killers = {test for one in record.load_tried().values() for test in one.killers.values()}
    files = {test.split("::")[0] for test in killers if test}
    texts = {file: (Path(__file__).parent / file).read_text() for file in files}
    named = {(test.split("::")[0], test.split("::")[1].split("[")[0]) for test in killers if test}
    assert [(file, name) for file, name in named if f"def {name}(" not in texts[file]] == []


def test_the_table_is_the_records() -> None:
    page = record.AUDIT.read_text()
    table = record.make_table(record.load_tried(), record.load_survivors())
    assert record.tabulated(page, table) == page, "python -m tests.contracts.mutation --table"


def test_every_source_has_its_place_in_the_order() -> None:
    found = {path.name for path in SOURCES.glob("*.sol")}
    assert {name for name in record.ORDER if "/" not in name} == found


def placed(number: int, start: int, after: str, place: tuple[int, int], kind: str) -> Placed:
    end = start + 1
    mutant = Mutant(source="A.sol", name="", line=1, start=start, end=end, after=after.encode())
    return Placed(mutant=mutant, number=number, places=[Place(span=place, kind=kind)])


def test_mutants_stand_side_by_side_behind_switches() -> None:
    text = "a = b < c;"
    less = placed(1, 6, ">", (4, 9), "expression")
    other = placed(2, 8, "0", (8, 9), "expression")
    dropped = placed(3, 2, "+=", (0, 10), "statement")
    one, two, three = (f"mulmod({MAGIC}, {number}, {MAGIC}) != 0" for number in (1, 2, 3))
    assert render(text, [less, other, dropped]) == (
        f"if ({three}) {{a += b < c;}} else {{a = ({one} ? b > c : b < ({two} ? 0 : c));}}"
    )
    assert render("mul(n, 64)", [placed(4, 7, "", (7, 9), "yul")]) == (
        f"mul(n, add(64, mulmod({MAGIC}, 4, {MAGIC})))"
    )


def test_the_compilers_errors_lead_to_their_switches() -> None:
    text = f"f(mulmod({MAGIC}, 7, {MAGIC}) != 0 ? bad : mulmod({MAGIC}, 8, {MAGIC}));"
    bad = text.index("bad")
    for start, end, number in ((bad, bad + 3, 7), (bad + 4, len(text), 8)):
        where = {"file": "A.sol", "start": start, "end": end}
        assert blamed([{"sourceLocation": where}], {"A.sol": text}) == {number}


def test_tests_that_come_across_a_mutant_are_asked_the_most_telling_first() -> None:
    def mutant(name: str) -> Mutant:
        return Mutant(source="A.sol", name=name, line=1, start=0, end=1, after=b"", scope=(0, 9))

    switched, alone = mutant("switched"), mutant("alone")
    open_door = mutant("A.sol f: drop modifier: guarded -> ")
    schema = Schema(sources={}, numbers={"switched": 1}, alone=[alone, open_door])
    together = Together(mutants=[switched, alone, open_door], schema=schema, artifacts=Path())
    together.arrange(
        {
            "again": {"seconds": 0, "seen": [1]},
            "costly": {"seconds": 9, "seen": [1, 2, 3, 4]},
            "telling": {"seconds": 0, "seen": [1, 2, 3]},
            "elsewhere": {"seconds": 0, "seen": [2]},
        }
    )
    assert together.judges == ["telling", "costly", "again", "elsewhere"]
    assert together.tests_of(switched) == ["telling", "costly", "again"]
    assert together.tests_of(alone) == ["telling", "costly", "again"], "of its function"
    assert together.tests_of(open_door) == together.judges, "whom it keeps out is not seen in it"


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
    paths = [*SOURCES.glob("*.sol"), *COTI_SOURCES.glob("*.sol")]
    declared = {name for path in paths for name in ERROR.findall(path.read_text())}
    tests = "".join(path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py")))
    assert len(declared) > 60
    assert sorted(name for name in declared if f'"{name}"' not in tests) == []


def test_mutants_of_this_commit_are_noticed() -> None:
    command = [sys.executable, "-m", "tests.contracts.mutation", "--rotating", ROTATING]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    assert json.loads(run.stdout.splitlines()[-1])["mutants"] == int(ROTATING)
