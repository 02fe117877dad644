"""Run commands as a user types them and remember the last ones for whoever reads a failure.

Rule: a command has minutes, since a machine that runs tests is busy; what it said is kept.
Spec: docs/how-to/run-the-tests.md. Deviations: none.
"""

from __future__ import annotations

import subprocess
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from devnet.folders import node_environment

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND_S = 300.0
KEPT = 6
SHOWN = 600  # characters of each end of an output

last_commands: deque[str] = deque(maxlen=KEPT)


def environment() -> dict[str, str]:
    """Return the variables of a process that runs the code of this tree."""
    return {**node_environment(), "PYTHONPATH": str(REPOSITORY)}


def run_program(words: Sequence[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever that is. Raises TimeoutExpired after minutes."""
    process = subprocess.Popen(
        list(words),
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finish(process)


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a program whose output is piped, and remember what it said."""
    begin = time.monotonic()
    words = [str(word) for word in process.args]  # type: ignore[union-attr]
    try:
        output, errors = process.communicate(timeout=COMMAND_S)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        remember(words, "no end", time.monotonic() - begin, output, errors)
        raise
    remember(words, str(process.returncode), time.monotonic() - begin, output, errors)
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def remember(words: Sequence[str], code: str, took_s: float, output: str, errors: str) -> None:
    """Keep a command and the ends of what it said."""
    at = time.strftime("%H:%M:%S")
    said = "".join(f"\n    {line}" for text in (output, errors) for line in shown(text))
    last_commands.append(f"{at} {' '.join(words)}\n  ended with {code} after {took_s:.1f} s{said}")


def shown(text: str) -> list[str]:
    if len(text) > 2 * SHOWN:
        text = f"{text[:SHOWN]} … {text[-SHOWN:]}"
    return text.splitlines()
