"""Try mutants of the contracts and print those that no test notices.

Rule: the exit status is 1 when a mutant survives that survivors.json does not name.

    python -m tests.contracts.mutation --all --list               # names only
    python -m tests.contracts.mutation --file Finality.sol        # all mutants of one source
    python -m tests.contracts.mutation --all --processes 2        # all mutants (hours)
    python -m tests.contracts.mutation --rotating 3               # three, others every day

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.contracts import harness  # noqa: F401  imported once, before the forks
from tests.contracts.mutation.operators import Mutant, mutants_of
from tests.contracts.mutation.trial import Laboratory, Verdict
from tests.contracts.solc_worker import SolcWorker, solc_worker

SURVIVORS = Path(__file__).parent / "survivors.json"
SECONDS_PER_DAY = 86_400
TRIED = ("Withdrawals.sol",)
"""Sources all of whose mutants have a verdict; rotation takes from these."""


def main(arguments: list[str] | None = None) -> int:
    """Choose mutants and try them; returns the exit code."""
    options = _parser().parse_args(arguments)
    known = known_survivors()
    with solc_worker() as worker:
        chosen = [
            mutant
            for mutant in all_mutants(worker)
            if (not options.file or mutant.source in options.file)
            and (not options.name or options.name in mutant.name)
        ]
        if options.rotating:
            day = int(time.time()) // SECONDS_PER_DAY
            settled = [m for m in chosen if m.source in TRIED and m.name not in known]
            chosen = rotate(settled, options.rotating, day)
        if options.list:
            print("\n".join(f"{mutant.line:4} {mutant.name}" for mutant in chosen))
            return 0
        verdicts = _try_all(chosen, options.processes, worker)
    return report(verdicts, known)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.mutation")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every mutant of every source")
    which.add_argument("--file", action="append", metavar="SOURCE", help="mutate this source")
    which.add_argument(
        "--rotating", type=int, metavar="N", help="N mutants of sources tried in full, by the day"
    )
    parser.add_argument("--name", metavar="PART", help="only mutants with this in their name")
    parser.add_argument("--list", action="store_true", help="print names, try nothing")
    parser.add_argument("--processes", type=int, default=1)
    return parser


def known_survivors() -> dict[str, str]:
    """Why a mutant cannot be killed, by its name."""
    known: dict[str, str] = json.loads(SURVIVORS.read_text())
    return known


def all_mutants(worker: SolcWorker) -> list[Mutant]:
    """Every mutant of every source of ours that is deployed."""
    document = worker.document(worker.sources, optimize=False, outputs=[])
    document["settings"]["outputSelection"] = {"*": {"": ["ast"]}}
    trees = worker.compile(document)["sources"]
    return [
        mutant
        for name in sorted(trees)
        if not name.startswith(("@", "test/"))
        for mutant in mutants_of(name, worker.sources[name], trees[name]["ast"])
    ]


def rotate(mutants: list[Mutant], count: int, day: int) -> list[Mutant]:
    """Choose `count` mutants; in as many days as it takes, each has its turn."""
    mixed = sorted(mutants, key=lambda m: hashlib.sha256(m.name.encode()).digest())
    return [mixed[(day * count + i) % len(mixed)] for i in range(min(count, len(mixed)))]


def _try_all(mutants: list[Mutant], processes: int, worker: SolcWorker) -> dict[str, Verdict]:
    """Verdict by name; several processes share the list."""
    if processes == 1:
        return _try_some(mutants, worker)
    pipes = []
    for shard in range(processes):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(reader)
            with solc_worker() as own:
                found = _try_some(mutants[shard::processes], own)
            with os.fdopen(writer, "w") as stream:
                json.dump(found, stream)
            os._exit(0)
        os.close(writer)
        pipes.append(reader)
    verdicts: dict[str, Verdict] = {}
    for reader in pipes:
        with os.fdopen(reader) as stream:
            verdicts |= {name: Verdict(one) for name, one in json.load(stream).items()}
        os.wait()
    return verdicts


def _try_some(mutants: list[Mutant], worker: SolcWorker) -> dict[str, Verdict]:
    """Try one mutant after the other, saying what became of each."""
    laboratory = Laboratory(worker)
    laboratory.verify_control({mutant.source for mutant in mutants})
    verdicts = {}
    for mutant in mutants:
        started = time.monotonic()
        verdicts[mutant.name] = verdict = laboratory.try_mutant(mutant)
        seconds = time.monotonic() - started
        print(f"{verdict:10} {seconds:5.1f} s  {mutant.line:4} {mutant.name}", flush=True)
    return verdicts


def report(verdicts: dict[str, Verdict], known: dict[str, str]) -> int:
    """Print the sums; the last line is JSON."""
    survivors = sorted(name for name, one in verdicts.items() if one is Verdict.SURVIVED)
    unexplained = [name for name in survivors if name not in known]
    for name in survivors:
        print(f"SURVIVED {name}" + (f"\n         {known[name]}" if name in known else ""))
    counts = Counter(verdicts.values())
    sums = {str(verdict): counts[verdict] for verdict in Verdict}
    print(json.dumps({"mutants": len(verdicts), **sums, "unexplained": len(unexplained)}))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
