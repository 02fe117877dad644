"""Stall the processes of devnets at random moments while their tests run, and shorten their epochs.

Rule: off unless OMNIBAZAAR_STORM names a seed; the outcome of every test must be the same with it.
A process that a test has paused itself is left alone, and none stays stopped.
Spec: docs/how-to/run-the-tests.md (Longer). Deviations: tests that measure times fail in it.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterable
from pathlib import Path

from devnet.folders import FOLDER, Folder
from devnet.limits import EPOCH_BLOCKS_MIN

VARIABLE = "OMNIBAZAAR_STORM"
STALL_S = (0.2, 6.0)
CALM_S = (1.0, 8.0)
ALL_AT_ONCE = 0.3  # of all stalls; the others hit one process


def storm_seed() -> str:
    """Return the seed that was asked for, empty when none was."""
    return os.environ.get(VARIABLE, "")


def shorten_epochs(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return a devnet command in which `up` makes borders come all the time."""
    if storm_seed() and arguments[0] == "up" and "--epoch" not in arguments:
        return (*arguments, "--epoch", str(EPOCH_BLOCKS_MIN))
    return arguments


class Storm(threading.Thread):
    """Stops processes of some devnets for seconds, one by one or all at once."""

    def __init__(self, seed: str, roots: list[Path]) -> None:
        """`roots` may grow while it blows."""
        super().__init__(daemon=True)
        self.dice = random.Random(seed)
        self.roots = roots
        self.is_over = threading.Event()
        self.stalls = 0

    def run(self) -> None:
        while not self.is_over.wait(self.dice.uniform(*CALM_S)):
            with SIGNALS:
                self.stall(list(self._running()))

    def end(self) -> None:
        self.is_over.set()
        self.join()

    def stall(self, pids: list[int]) -> None:
        """Stop one of them or all for a while."""
        is_for_all = self.dice.random() < ALL_AT_ONCE
        chosen = pids if is_for_all or not pids else [self.dice.choice(pids)]
        self.stalls += 1
        try:
            send(chosen, signal.SIGSTOP)
            self.is_over.wait(self.dice.uniform(*STALL_S))
        finally:
            send(chosen, signal.SIGCONT)

    def _running(self) -> Iterable[int]:
        for root in self.roots:
            table = Folder(root / FOLDER).processes
            for name in table.names():
                pid = table.pid(name)
                if pid is not None and not table.is_paused(name):
                    yield pid


SIGNALS = threading.Lock()
"""Held during a stall, and by a test while it sends signals of its own."""


def send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
