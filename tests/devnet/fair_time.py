"""Tell how much longer than alone on a machine some processes took, because others had the cores.

Rule: what a product promises in seconds is promised for a machine that lets it run; the kernel
counts for every thread how long it ran and how long it was ready and waited.
Spec: docs/how-to/run-the-tests.md. Deviations: without /proc/PID/task/TID/schedstat the machine
counts as idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.devnet.storm import storm_seed

Times = dict[tuple[int, int], tuple[int, int]]
RUN_NS_MIN = 50_000_000  # who ran less has not been hindered in anything
STORM_FACTOR = 5.0  # stalls of a storm are no waiting for a core


@dataclass(slots=True)
class FairTime:
    """A stopwatch that asks the kernel how the watched processes were served meanwhile."""

    pids: Callable[[], Iterable[int]]
    begin: float = field(default_factory=time.monotonic)
    before: Times = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before = read_times(self.pids())

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.begin

    def factor(self) -> float:
        """1 when every thread ran whenever it was ready, 3 when it waited two thirds of that."""
        ran = waited = 0
        for thread, (ran_now, waited_now) in read_times(self.pids()).items():
            ran_then, waited_then = self.before.get(thread, (0, 0))
            ran += ran_now - ran_then
            waited += waited_now - waited_then
        share = 1 + waited / ran if ran > RUN_NS_MIN else 1.0
        return share * STORM_FACTOR if storm_seed() else share

    def verify(self, promised_s: float, what: str) -> None:
        """Raise AssertionError when it took longer than promised, whatever else ran."""
        elapsed, factor = self.elapsed_s, self.factor()
        assert elapsed < promised_s * factor, (
            f"{what}: took {elapsed:.1f} s, promised are {promised_s:.1f} s, and the cores were "
            f"busy {factor:.1f}-fold"
        )


def read_times(pids: Iterable[int]) -> Times:
    """Return nanoseconds run and waited by (process, thread)."""
    found: Times = {}
    for pid in pids:
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                ran, waited, _ = map(int, file.read_text().split())
            except (OSError, ValueError):
                continue  # the thread has ended, or the kernel keeps no count
            found[pid, int(file.parent.name)] = ran, waited
    return found
