"""Try many mutants with one compilation, each turned on in a fork of its own.

Rule: only tests that the contracts pass with every mutant off may judge, and only those that come
across a mutant are asked about it.

Spec: docs/explanation/audit.md
Deviations: a mutant that survives, or that no switch can hold, is compiled alone as well.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contracts import harness
from tests.contracts.mutation.memory import digest, support_digest
from tests.contracts.mutation.operators import NO_MODIFIER, Mutant
from tests.contracts.mutation.schema import Schema, make_schema
from tests.contracts.mutation.suite import (
    TESTS,
    Reports,
    Suite,
    SuiteFailed,
    forked,
    in_processes,
)
from tests.contracts.mutation.switches import Switches, switching
from tests.contracts.mutation.trial import Laboratory, Result, Verdict
from tests.contracts.solc_worker import SolcWorker

Seen = dict[str, dict[str, Any]]
"""By test: its `seconds` and the switches that it `seen`; without them if it cannot judge."""
FORK_SECONDS = 0.1
"""What a test costs that does nothing."""


@dataclass(slots=True, kw_only=True)
class Together:
    """Mutants in one set of artifacts."""

    mutants: Sequence[Mutant]
    schema: Schema
    artifacts: Path
    switches: Switches = field(default_factory=Switches)
    tests: dict[int, list[str]] = field(default_factory=dict)
    """Tests by switch, the most telling first."""
    judges: list[str] = field(default_factory=list)
    """All tests that may judge, the most telling first."""
    is_unseen: bool = False
    """Whether nothing is known of the judges."""
    fit: dict[str, bool] = field(default_factory=dict)
    """Whether tests that judge unseen pass with all mutants off, as far as they were asked."""
    near: dict[tuple[str, tuple[int, int]], set[str]] = field(default_factory=dict)
    """Tests that come across any switch of a function."""

    def holds(self, mutant: Mutant) -> bool:
        """Whether a mutant has a switch."""
        return mutant.name in self.schema.numbers

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Tests that come across a mutant, or across its function if it has no switch.

        Whom a modifier keeps out does not come across its function: all others are asked too.
        """
        if self.holds(mutant):
            return self.tests.get(self.schema.numbers[mutant.name], [])
        near = self.near.get((mutant.source, mutant.scope), set())
        reaching = [name for name in self.judges if name in near] or self.judges
        if f": {NO_MODIFIER}: " not in mutant.name:
            return reaching
        return [*reaching, *(name for name in self.judges if name not in near)]

    def trust(self, judges: Sequence[str]) -> None:
        """Let tests judge all mutants without looking; each that kills is looked at then."""
        self.judges = [*judges]
        self.is_unseen = True
        self.tests = dict.fromkeys(self.schema.numbers.values(), self.judges)

    def verify_control(self, suite: Suite) -> None:
        """Raise SuiteFailed unless the judges pass with all mutants off."""
        with switching(self.switches):
            run = suite.run(self.artifacts, self.judges)
        if run.failed is not None or run.is_endless:
            raise SuiteFailed(f"{run.failed or 'a test'} fails without any mutant")
        self.is_unseen = False

    def learn(self, suite: Suite, cache: Path, processes: int) -> None:
        """Run every test with all mutants off; raises SuiteFailed if a fork breaks."""
        by_file = files_of(suite)
        paths = self._kept(by_file, cache)
        missing = [file for file in by_file if not paths[file].exists()]

        def look_at_share(shard: int) -> None:
            for file in missing[shard::processes]:
                paths[file].write_bytes(self._look(suite, by_file[file]))

        in_processes(look_at_share, processes)
        every: Seen = {}
        for path in paths.values():
            seen, shapes = pickle.loads(path.read_bytes())
            every |= seen
            self.switches.shapes |= shapes
        if not any(one["seen"] for one in every.values()):
            raise SuiteFailed("no test comes across any mutant")
        for name in sorted(set(suite.names) - set(every)):
            print(f"cannot judge: {name}", flush=True)
        self.arrange(every)

    def has_learned(self, suite: Suite, cache: Path) -> bool:
        """Whether any of what `learn` finds is in the cache."""
        return any(path.exists() for path in self._kept(files_of(suite), cache).values())

    def _kept(self, files: Iterable[str], cache: Path) -> dict[str, Path]:
        """Where what the tests of each file come across is kept while nothing of it changes."""
        own = {name: text for name, text in self.schema.sources.items() if name[0] != "@"}
        salt = digest(json.dumps(own), support_digest())
        return {
            file: cache / f"seen-{digest(file, (TESTS / file).read_text(), salt)}.pickle"
            for file in files
        }

    def deploy(self) -> None:
        """Deploy once for all; forks continue from there."""

        def work() -> str:
            with switching(self.switches):
                self.switches.deploy()
            return pickle.dumps((harness.DEPLOYED, self.switches.of_deployments)).hex()

        answer, _ = forked(work, self.artifacts)
        deployed, self.switches.of_deployments = pickle.loads(bytes.fromhex(answer))
        harness.DEPLOYED.update(deployed)

    def try_mutant(self, mutant: Mutant, suite: Suite, names: Sequence[str]) -> Result:
        """Turn a mutant on and run tests until one fails that passes with all mutants off."""
        names = [name for name in names if self.fit.get(name, True)]
        result = self._try(self.schema.numbers[mutant.name], suite, names)
        if not result.killer or not self.is_unseen or result.killer in self.fit:
            return result
        control = self._try(0, suite, [result.killer])
        self.fit[result.killer] = control.verdict is Verdict.SURVIVED
        if self.fit[result.killer]:
            return result
        return self.try_mutant(mutant, suite, names)

    def _try(self, number: int, suite: Suite, names: Sequence[str]) -> Result:
        """Run tests with a switch turned on until one fails."""

        def prepare() -> None:
            harness.DEPLOYED.update(images)
            self.switches.turn_on(number)

        images = dict(harness.DEPLOYED)
        with switching(self.switches):
            run = suite.run(self.artifacts, names, prepare)
        if run.is_endless:
            return Result(verdict=Verdict.TIMEOUT)
        if run.failed is None:
            return Result(verdict=Verdict.SURVIVED, tests=len(names))
        asked = names.index(run.failed) + 1
        return Result(verdict=Verdict.KILLED, killer=run.failed, tests=asked)

    def _look(self, suite: Suite, names: list[str]) -> bytes:
        """Which switches tests come across, and what they deploy."""

        def work() -> str:
            seen: Seen = {}
            with switching(self.switches):
                for name in names:
                    reports = Reports()
                    self.switches.seen.clear()
                    with suite.watched(reports):
                        [(_, seconds)] = suite.each([name])
                    if not reports.failed:
                        seen[name] = {"seconds": seconds, "seen": sorted(self.switches.seen)}
            return pickle.dumps((seen, self.switches.shapes)).hex()

        answer, is_endless = forked(work, self.artifacts)
        if is_endless:
            raise SuiteFailed(f"{names[0]} has no end")
        return bytes.fromhex(answer)

    def arrange(self, every: Mapping[str, Mapping[str, Any]]) -> None:
        """Turn what each test came across round."""
        self.judges = most_telling_first(every)
        tests: dict[int, list[str]] = defaultdict(list)
        for name in self.judges:
            for number in every[name]["seen"]:
                tests[number].append(name)
        self.tests = dict(tests)
        for mutant in self.mutants:
            found = self.near.setdefault((mutant.source, mutant.scope), set())
            if self.holds(mutant):
                found |= set(self.tests_of(mutant))


def files_of(suite: Suite) -> dict[str, list[str]]:
    """Names of tests by file."""
    by_file: dict[str, list[str]] = defaultdict(list)
    for name in suite.names:
        by_file[name.split("::")[0]].append(name)
    return dict(by_file)


def most_telling_first(every: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Order tests by how many switches they come across that those before them did not.

    What they cost counts as well; when all switches are known, it begins anew.
    """
    left = {name: set(one["seen"]) for name, one in sorted(every.items())}
    seconds = {name: float(one["seconds"]) + FORK_SECONDS for name, one in every.items()}
    ordered: list[str] = []
    known: set[int] = set()
    while left:
        best = max(left, key=lambda name: len(left[name] - known) / seconds[name])
        if not left[best] - known:
            if not known:
                return [*ordered, *sorted(left, key=lambda name: (seconds[name], name))]
            known = set()
            continue
        known |= left.pop(best)
        ordered.append(best)
    return ordered


def make_together(
    worker: SolcWorker, laboratory: Laboratory, mutants: Sequence[Mutant], cache: Path
) -> Together:
    """Compile mutants into one set of artifacts, kept in the cache while they are the same."""
    key = digest(json.dumps(worker.sources), *(mutant.name for mutant in mutants))
    folder, stored = cache / f"together-{key}", cache / f"schema-{key}.pickle"
    if not stored.exists():
        schema = make_schema(worker, mutants)
        shutil.rmtree(folder, ignore_errors=True)
        laboratory.write(schema.sources, folder)
        stored.write_bytes(pickle.dumps(schema))
    return Together(mutants=mutants, schema=pickle.loads(stored.read_bytes()), artifacts=folder)
