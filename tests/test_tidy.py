"""The project's style, as far as a program can check it (docs/how-to/write-in-style.md)."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = (
    "primitives",
    "exchange",
    "consensus",
    "p2p",
    "storage",
    "chat",
    "contracts",
    "client",
    "node",
    "devnet",
)
PURE_ROOMS = ("consensus", "exchange")
BANNED_STEMS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
LINES_MAX = 600
FUNCTION_LINES_MAX = 70
BARE_FILES = {"conftest.py", "__init__.py"}

PROMISES = re.compile(
    r"NotImplementedError|\b(?:TODO|FIXME|XXX|HACK)\b|not implemented|\bfor now\b|placeholder"
    r"|in a real (?:system|implementation)|\bsimplified\b",
)
INDEX_ADDRESS = re.compile(r"https?://[a-z0-9.-]*(?:pypi|npmjs|registry|goproxy)[a-z0-9.-]*")
SWITCHED_OFF = re.compile(
    r"pytest\.mark\.skip|pytest\.skip\(|unittest\.skip|assert True\b|assert 1\b"
)
ERROR_CODE = re.compile(r"\"([A-Z]{3}[0-9]{3})\"")
VARIABLE = re.compile(r"\bOMNIBAZAAR_[A-Z_]*[A-Z]\b")
MARKDOWN_LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED_TEST = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")
PAGE = re.compile(r"\bdocs/[\w/.-]+\.(?:md|json)\b")


@cache
def tracked_files() -> tuple[Path, ...]:
    """All files of the repository; in an unpacked archive all files that git would not ignore."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True
    )
    if listing.returncode == 0:
        names = [name for name in listing.stdout.split("\0") if name]
        return tuple(path for name in names if (path := ROOT / name).is_file())
    hidden = {".git", ".venv", ".devnet", "node_modules", "__pycache__", "build", "site"}
    return tuple(
        path for path in ROOT.rglob("*") if path.is_file() and not hidden & set(path.parts)
    )


def python_files(*folders: str) -> list[Path]:
    return [
        path
        for path in tracked_files()
        if path.suffix == ".py" and (not folders or path.relative_to(ROOT).parts[0] in folders)
    ]


def text_files() -> Iterator[tuple[Path, str]]:
    for path in tracked_files():
        if "artifacts" in path.parts or "vendor" in path.parts:
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def named(path: Path, line: int | None = None) -> str:
    return f"{path.relative_to(ROOT)}{'' if line is None else f':{line}'}"


def assert_none(faults: list[str], rule: str) -> None:
    assert not faults, f"{rule}:\n  " + "\n  ".join(faults)


def test_every_room_is_imported_from_this_tree():
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        assert spec is not None
        assert spec.origin is not None
        assert Path(spec.origin).is_relative_to(ROOT), f"{room} is imported from {spec.origin}"


def test_every_module_says_what_it_does_and_which_rule_it_obeys():
    faults = []
    for path in python_files(*ROOMS, "bench"):
        text = ast.get_docstring(parse(path))
        if not text:
            if parse(path).body:
                faults.append(f"{named(path)}: no docstring")
            continue
        if path.name == "__init__.py":
            continue
        words = ("Rule:", "Spec:", "Deviations:")
        faults += [f"{named(path)}: no {word}" for word in words if word not in text]
        if not text.splitlines()[0].rstrip().endswith((".", ":")) and "\n\n" not in text:
            faults.append(f"{named(path)}: the docstring begins with one sentence")
    assert_none(faults, "a module docstring is a sentence, Rule:, Spec: and Deviations:")


def test_files_hold_one_idea():
    faults = [
        f"{named(path)}: {count} lines"
        for path in tracked_files()
        if path.suffix in {".py", ".sol"}
        and (count := len(path.read_text(encoding="utf-8").splitlines())) > LINES_MAX
    ]
    assert_none(faults, f"a file has at most {LINES_MAX} lines; which second idea moved in?")


def test_functions_fit_on_a_screen():
    faults = []
    for path in python_files(*ROOMS):
        for item in ast.walk(parse(path)):
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                assert item.end_lineno is not None
                count = item.end_lineno - item.lineno + 1
                if count > FUNCTION_LINES_MAX:
                    faults.append(f"{named(path, item.lineno)}: {item.name} has {count} lines")
    assert_none(faults, f"a function has at most {FUNCTION_LINES_MAX} lines")


def test_files_are_named_after_a_concept():
    faults = [named(path) for path in python_files() if path.stem in BANNED_STEMS]
    assert_none(faults, "a helper with two users has a name")


def test_test_files_have_names_of_their_own():
    names = Counter(path.name for path in python_files("tests") if path.name not in BARE_FILES)
    faults = [name for name, count in names.items() if count > 1 and name.startswith("test_")]
    assert_none(faults, "two test files of one name confuse whoever reads a failure")


def test_there_are_no_floats_where_nodes_must_agree():
    faults = []
    for path in python_files(*PURE_ROOMS):
        for item in ast.walk(parse(path)):
            is_literal = isinstance(item, ast.Constant) and isinstance(item.value, float | complex)
            is_division = isinstance(item, ast.BinOp | ast.AugAssign) and isinstance(
                item.op, ast.Div
            )
            is_name = isinstance(item, ast.Name) and item.id == "float"
            if is_literal or is_division or is_name:
                faults.append(named(path, getattr(item, "lineno", None)))
    assert_none(faults, "integers only in consensus/ and exchange/")


def test_code_makes_no_promises():
    faults = [
        f"{named(path, number)}: {line.strip()[:80]}"
        for path, text in text_files()
        if path.relative_to(ROOT).parts[0] in (*ROOMS, "bench")
        and path.suffix in {".py", ".sol", ".js", ".html", ".css"}
        for number, line in enumerate(text.splitlines(), 1)
        if PROMISES.search(line)
    ]
    assert_none(faults, "finish it, or say in the documents that it is missing")


def test_no_test_is_switched_off():
    faults = [
        named(path, number)
        for path in python_files("tests")
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if SWITCHED_OFF.search(line)
    ]
    assert_none(faults, "a test runs, or is deselected by a marker that says why")


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_names_its_maxima(room):
    assert (ROOT / room / "limits.py").is_file(), "input from outside is bounded in limits.py"


def test_the_pins_hold_versions_and_no_addresses():
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.match(r"[a-z0-9][a-z0-9._-]*==[^\s@]+( ; .+)?$", line), line


def test_no_file_names_this_machine_or_a_package_index():
    homes = [str(path) + "/" for path in (ROOT.parent, Path.home()) if len(path.parts) > 1]
    faults = []
    for path, text in text_files():
        for number, line in enumerate(text.splitlines(), 1):
            if INDEX_ADDRESS.search(line) or any(home in line for home in homes):
                faults.append(f"{named(path, number)}: {line.strip()[:80]}")
    assert_none(faults, "paths and indexes of one machine are nobody else's business")


def test_links_between_documents_lead_somewhere():
    faults = []
    for path, text in text_files():
        if path.suffix != ".md":
            continue
        for target in MARKDOWN_LINK.findall(text):
            name = target.split("#")[0]
            is_ours = name and "://" not in target and not target.startswith("mailto:")
            if is_ours and not (path.parent / name).exists():
                faults.append(f"{named(path)}: {target}")
    assert_none(faults, "a link that leads nowhere")


def test_the_tests_that_pages_name_exist():
    faults = []
    for path, text in text_files():
        for place, name in NAMED_TEST.findall(text) if path.suffix == ".md" else ():
            file = ROOT / place
            if not file.is_file() or f"def {name}(" not in file.read_text(encoding="utf-8"):
                faults.append(f"{named(path)}: {place}::{name}")
    assert_none(faults, "a claim is shown by a test that does not exist")


def test_the_pages_that_modules_cite_exist():
    missing: dict[str, list[str]] = {}
    for path in python_files(*ROOMS, "bench", "tests"):
        for page in PAGE.findall(path.read_text(encoding="utf-8")):
            if not (ROOT / page).is_file():
                missing.setdefault(page, []).append(named(path))
    faults = [f"{page}: {places[0]} and {len(places) - 1} more" for page, places in missing.items()]
    assert_none(sorted(faults), "a source or document that does not exist is cited")


def test_decisions_have_the_four_parts():
    faults = []
    numbers = Counter()
    for path in sorted((ROOT / "docs/adr").glob("[0-9]*.md")):
        numbers[path.name[:4]] += 1
        headings = re.findall(r"^## (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        parts = ("Context", "Decision", "Consequences", "Status")
        faults += [f"{named(path)}: no {part}" for part in parts if part not in headings]
    faults += [f"number {number} is used twice" for number, count in numbers.items() if count > 1]
    assert_none(faults, "an ADR is context, decision, consequences, status")
    listed = re.findall(r"^- \[(\d{4})\]", (ROOT / "docs/adr/index.md").read_text(), re.MULTILINE)
    assert listed == sorted(numbers), "docs/adr/index.md lists every ADR once, in order"


def test_every_error_code_is_documented():
    documented = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    codes = {
        code
        for path in python_files(*ROOMS)
        for code in ERROR_CODE.findall(path.read_text(encoding="utf-8"))
    }
    assert_none(sorted(c for c in codes if c not in documented), "codes without documentation")


def test_every_environment_variable_is_documented():
    documented = (ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")
    names = {
        name
        for path in python_files()
        for name in VARIABLE.findall(path.read_text(encoding="utf-8"))
    }
    assert_none(sorted(n for n in names if n not in documented), "undocumented variables")
