"""Run our engine and every engine from PyPI that works over one workload, and compare the fills.

python -m bench.matching [--events N] [--rounds N] [--reference FILE] [--venvs DIR] [--keep DIR]

Rule: all engines in one run, one after another, `--rounds` times; the best CPU seconds of each
count. Every engine from PyPI has an environment of its own. Exits 1 if a fill differs.
Spec: docs/reference/benchmarks.md
Deviations: none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.compiled import ROOT, build_or_reuse

PEERS: Final = {
    "lightmatchingengine": "2019.1.4",
    "pyorderbook": "0.4.9",
    "akhil4n-orderbook": "0.1.1",
    "cython-orderbook": "0.1.2",
    "fastlob": "0.0.24",
    "order-book": "0.6.1",
}
"""Every package found that can be installed and run. `OrderBook` 0.1.2 is written for Python 2."""
NO_MATCHING: Final = ("order-book",)
"""A sorted container: the matching loop around it is ours."""
SLOW: Final = ("fastlob", "pyorderbook")
"""Measured once."""


class Contestant(NamedTuple):
    """One engine and how it is started."""

    label: str
    engine: str
    python: str
    path: tuple[str, ...]
    arguments: tuple[str, ...] = ()


@contextmanager
def make_environments(kept: Path | None) -> Iterator[dict[str, str]]:
    """Install every peer into an environment of its own; yields the interpreters of those that
    could be installed.
    """
    with tempfile.TemporaryDirectory(prefix="omnibazaar-peers-") as temporary:
        folder = kept or Path(temporary)
        found = {}
        for name, version in PEERS.items():
            python = folder / name / "bin" / "python"
            if not python.exists():
                subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
                pip = [str(python), "-m", "pip", "install", "-q", f"{name}=={version}"]
                if subprocess.run(pip, check=False).returncode:
                    print(json.dumps({"engine": name, "error": "cannot be installed"}))
                    continue
            found[name] = str(python)
        yield found


def list_contestants(
    engine: Path | None, reference: Path | None, peers: dict[str, str]
) -> list[Contestant]:
    """Ours, interpreted and compiled; the reference; the peers."""
    here = (str(ROOT),)
    found = [Contestant(name, name, sys.executable, here) for name in ("book", "matching")]
    if engine is not None:
        path = (str(engine), str(ROOT))
        found += [
            Contestant(f"{name}, compiled", name, sys.executable, path)
            for name in ("book", "matching")
        ]
    if reference is not None:
        file = (str(reference.resolve()),)
        found.append(Contestant("reference", "reference", sys.executable, here, file))
    found += [Contestant(name, name, python, here) for name, python in peers.items()]
    return found


def run_once(contestant: Contestant, events: int) -> dict[str, Any] | None:
    """Run one engine; None if it broke down."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(contestant.path),
        "PYTHONSAFEPATH": "1",
    }
    command = [contestant.python, "-m", "bench.matching_engines", contestant.engine, str(events)]
    done = subprocess.run(
        [*command, *contestant.arguments],
        env=environment,
        cwd=tempfile.gettempdir(),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return None
    found: dict[str, Any] = json.loads(lines[-1])
    return {**found, "engine": contestant.label}


def measure(contestants: list[Contestant], events: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Run all of them in turn, several times; the best of each."""
    best: dict[str, dict[str, Any]] = {}
    for number in range(rounds):
        for contestant in contestants:
            if number and contestant.label in SLOW:
                continue
            found = run_once(contestant, events)
            if found is None:
                print(json.dumps({"engine": contestant.label, "error": "broke down"}))
            elif contestant.label not in best or found["cpu_s"] < best[contestant.label]["cpu_s"]:
                best[contestant.label] = found
    return best


def compute_ratios(best: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Put the figures in relation to each other."""
    speed = {label: found["events_per_second"] for label, found in best.items()}
    ratios: dict[str, Any] = {"load": round(os.getloadavg()[0], 1)}
    peers = {label: speed[label] for label in PEERS if label in speed and label not in NO_MATCHING}
    if "reference" in speed:
        ratios["book_by_reference"] = round(speed["book"] / speed["reference"], 2)
    if peers:
        fastest = max(peers, key=lambda label: peers[label])
        ratios["fastest_peer"] = fastest
        for label in ("book", "book, compiled", "matching", "matching, compiled"):
            if label in speed:
                ratios[f"{label} by fastest peer"] = round(speed[label] / peers[fastest], 2)
    for label in ("book", "matching"):
        if f"{label}, compiled" in speed:
            ratios[f"{label}: compiled by interpreted"] = round(
                speed[f"{label}, compiled"] / speed[label], 2
            )
    return ratios


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.matching")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reference", type=Path, help="a Python file with a class Book")
    parser.add_argument("--venvs", type=Path, help="keep the peers' environments here")
    parser.add_argument("--keep", type=Path, help="keep the compiled engine here")
    given = parser.parse_args()
    with make_environments(given.venvs) as peers, build_or_reuse(given.keep) as engine:
        contestants = list_contestants(engine, given.reference, peers)
        best = measure(contestants, given.events, given.rounds)
    for found in best.values():
        print(json.dumps(found))
    print(json.dumps(compute_ratios(best)))
    return 0 if all(found["fills_equal"] is not False for found in best.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
