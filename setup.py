"""Compile the exchange with mypyc on request; the rest of the package is in pyproject.toml.

OMNIBAZAAR_COMPILE=1 pip install .

Rule: without the variable nothing is compiled and no compiler is needed. With `1` a failed
compilation leaves the interpreted package, and says so; with `require` it is an error. The sources
are the same either way: both stand in the wheel and Python prefers the compiled one.

Spec: docs/how-to/compile-the-exchange.md
Deviations: none.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ASKED = os.environ.get("OMNIBAZAAR_COMPILE", "")
PRIMITIVES = ("abi", "keccak", "merkle", "nesting", "sparse_tree")
"""Primitives on the hot path."""
RECORDS = re.compile(r"^class \w+\(.*\b(Struct|Record|Op|IntEnum|NamedTuple)\b", re.MULTILINE)
"""Classes that msgspec, enum and typing make at run time; mypyc would make others of them."""


def find_modules() -> list[str]:
    """List the files to compile: the exchange but for its plain records, and hot primitives."""
    exchange = [path for path in sorted(Path("exchange").glob("*.py")) if path.stem != "__init__"]
    hot = [path.as_posix() for path in exchange if not RECORDS.search(path.read_text("utf-8"))]
    also = os.environ.get("OMNIBAZAAR_COMPILE_ALSO", "").split()  # loops that measure
    return hot + [f"primitives/{name}.py" for name in PRIMITIVES] + also


def make_extensions() -> list[Extension]:
    """Translate to C; an empty list where that fails and nobody insists."""
    if importlib.util.find_spec("mypyc") is None:
        return []  # pip asks for the requirements first, and builds when they are there
    try:
        from mypyc.build import mypycify

        options = ["--ignore-missing-imports", "--follow-imports=silent"]
        level = os.environ.get("OMNIBAZAAR_COMPILE_LEVEL", "3")
        return mypycify(
            [*options, *find_modules()],
            opt_level=level,
            debug_level="0",  # lines of generated C help nobody, and take a part of the time
            group_name="omnibazaar",
        )
    except SystemExit as error:
        if ASKED == "require":
            raise
        print(f"the exchange stays interpreted: {error}", file=sys.stderr)
        return []


class BuildAllOrNothing(build_ext):
    """Build every extension or leave none behind: half of them could not be imported."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            if ASKED == "require":
                raise
            for path in self.get_outputs():
                Path(path).unlink(missing_ok=True)
            self.extensions = []
            print(f"the exchange stays interpreted: {error}", file=sys.stderr)


if ASKED:
    setup(
        setup_requires=["mypy>=1.13", "msgspec>=0.19"],
        ext_modules=make_extensions(),
        cmdclass={"build_ext": BuildAllOrNothing},
    )
else:
    setup()
