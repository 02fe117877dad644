"""One line of the table of `make bench`, and how a command's JSON lines are read.

Rule: each row is what a command of its own printed; the command stands beside it, so that any row
can be repeated alone.
Spec: docs/reference/benchmarks.md. Deviations: none.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    figure: str
    command: str

    @property
    def is_bad(self) -> bool:
        """Whether the command failed or its results were not equal."""
        return FAILED in self.figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the operator of the benchmarks chose."""

    quick: bool
    data: Path | None
    one: float
    """Orders per second offered at one order per action."""

    twenty: float
    """The same at twenty orders per action."""


def run_lines(command: str) -> tuple[int, list[dict[str, Any]]]:
    """Run `python -m COMMAND`; return its exit code and its JSON lines."""
    words = [sys.executable, "-m", *command.split()]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode, [json.loads(line) for line in lines]


def run_json(command: str) -> tuple[int, dict[str, Any]]:
    """Run `python -m COMMAND`; return its exit code and its last JSON line, or nothing."""
    code, lines = run_lines(command)
    return code, lines[-1] if lines else {}


def judge(code: int, figure: str) -> str:
    """Mark a figure whose command did not end well."""
    return figure if code == 0 else f"{figure}; {FAILED} (exit {code})"
