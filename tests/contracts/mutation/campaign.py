"""Try many mutants, the test most likely to notice first.

Rule: before any mutant is tried, the contracts as they are pass the tests that are to judge.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.contracts.mutation.memory import Memory
from tests.contracts.mutation.operators import Mutant
from tests.contracts.mutation.project import Project, all_mutants
from tests.contracts.mutation.record import (
    known_results,
    load_survivors,
    load_tried,
    make_tried,
    save_tried,
)
from tests.contracts.mutation.suite import Suite, in_processes
from tests.contracts.mutation.switches import Shape
from tests.contracts.mutation.together import Together, make_together
from tests.contracts.mutation.trial import Laboratory, Result, Verdict
from tests.contracts.solc_worker import SolcWorker, solc_worker

NAMED = re.compile(r"\b(?:revert|emit) (?:\w+\.)?(\w+)\(")
LINES_NEAR = 4
"""Lines in which the error or event of a statement is looked for."""
USUAL_WORLDS: dict[object, Shape] = {
    "usual": (4, (), ()),
    "hostile": (4, (), ("HostileToken",)),
    "taking fees": (4, (), ("FeeOnTransferToken",)),
    "many": (10, (), ()),
}
"""Deployments that a first look shares without knowing which ones are asked for."""
FAVOURITES = 3
"""Tests that killed most of a function or a source so far and are asked first."""


@dataclass(slots=True, kw_only=True)
class Campaign:
    """The mutants of one project, and how they are tried."""

    project: Project
    worker: SolcWorker
    scratch: Path
    cache: Path
    processes: int
    tests_max: int | None
    """A first look: so many tests, chosen by what their text is about, and by what they come
    across if that is known from a run before. Survivors are not tried."""
    by_record: bool
    """Ask the recorded killers only, without looking what other tests execute."""
    known: dict[str, str] = field(default_factory=dict)
    """Killers of earlier runs by mutant."""

    def run(self, suite: Suite, mutants: Sequence[Mutant], results: dict[str, Result]) -> int:
        """Try mutants and add their results."""
        self.known = {n: test for one in load_tried().values() for n, test in one.killers.items()}
        laboratory = Laboratory(self.worker, self.scratch)
        every = mutants if self.by_record else all_mutants(self.worker, self.project)
        together = make_together(self.worker, laboratory, every, self.cache)
        if self.by_record:
            judges = sorted({self.known[mutant.name] for mutant in mutants} & set(suite.names))
            together.trust(judges)
            together.verify_control(suite)
        elif self.tests_max is not None and not together.has_learned(suite, self.cache):
            together.trust(suite.names)
            together.switches.shapes |= USUAL_WORLDS
            together.deploy()
        else:
            together.learn(suite, self.cache, self.processes)
            together.deploy()
        if self.processes == 1:
            results |= self._try_some(suite, laboratory, together, mutants)
        else:
            results |= self._try_in_processes(suite, laboratory, together, mutants)
        return 0

    def record(self, results: Mapping[str, Result]) -> None:
        """Write the verdicts of every source that is known as a whole, by now or before."""
        tried, reasons = load_tried(), load_survivors()
        results = {**known_results(tried), **results}
        justified = Result(verdict=Verdict.SURVIVED)
        results = {
            name: justified if one.verdict is Verdict.UNTRIED and name in reasons else one
            for name, one in results.items()
        }
        every = Counter(mutant.source for mutant in all_mutants(self.worker, self.project))
        for source, count in every.items():
            own = {name: one for name, one in results.items() if name.startswith(f"{source} ")}
            if len(own) == count:
                tried[source] = make_tried(source, own, count)
        save_tried(tried)

    def _try_some(
        self,
        suite: Suite,
        laboratory: Laboratory,
        together: Together,
        mutants: Sequence[Mutant],
    ) -> dict[str, Result]:
        """Try one mutant after the other, saying what became of each."""
        memory = Memory(self.cache, self.project, self.worker.sources)
        kills: dict[object, Counter[str]] = defaultdict(Counter)
        found = {}
        for mutant in sorted(mutants, key=lambda one: not together.holds(one)):
            started = time.monotonic()
            result = memory.recall(mutant)
            if result is None:
                tests = self._ordered(suite, together, mutant, kills)
                result = self._try(mutant, suite, laboratory, together, tests)
                if result.verdict is not Verdict.UNTRIED:
                    memory.keep(mutant, result)
                if result.killer:
                    kills[mutant.source, mutant.scope][result.killer] += 1
                    kills[mutant.source][result.killer] += 1
            found[mutant.name] = result
            seconds = time.monotonic() - started
            print(
                f"{result.verdict:10} {seconds:5.1f} s {result.tests:4} {mutant.line:4}"
                f" {mutant.name}",
                flush=True,
            )
        return found

    def _try(
        self,
        mutant: Mutant,
        suite: Suite,
        laboratory: Laboratory,
        together: Together,
        tests: Sequence[str],
    ) -> Result:
        """Turn a mutant on if it has a switch; compile it alone if not, or if it survives."""
        chosen = tests[: self.tests_max]
        if not chosen and self.tests_max is not None:
            return Result(verdict=Verdict.UNTRIED)
        if together.holds(mutant):
            result = together.try_mutant(mutant, suite, chosen)
        else:
            result = laboratory.try_mutant(mutant, suite, chosen)
        if result.verdict is not Verdict.SURVIVED:
            return result
        if self.tests_max is not None:
            return Result(verdict=Verdict.UNTRIED, tests=len(chosen))
        with laboratory.compiled(mutant) as made:
            return Result(verdict=made) if isinstance(made, Verdict) else result

    def _ordered(
        self,
        suite: Suite,
        together: Together,
        mutant: Mutant,
        kills: Mapping[object, Counter[str]],
    ) -> list[str]:
        """Tests to ask: its last killer, those that name what it is about, its neighbours'."""
        reaching = together.tests_of(mutant)
        named = [
            name
            for word in words_near(self.worker.sources[mutant.source], mutant)
            for name in [test for test in reaching if suite.mentions(test, word)][:FAVOURITES]
        ]
        near = (kills[mutant.source, mutant.scope], kills[mutant.source])
        best = [name for counter in near for name, _ in counter.most_common(FAVOURITES)]
        first = [self.known.get(mutant.name, ""), *named, *best]
        return list(dict.fromkeys([*(n for n in first if n in reaching), *reaching]))

    def _try_in_processes(
        self,
        suite: Suite,
        laboratory: Laboratory,
        together: Together,
        mutants: Sequence[Mutant],
    ) -> dict[str, Result]:
        """Several processes share the list."""
        laboratory.prepare()
        answers = self.scratch / "answers"
        answers.mkdir()

        def try_share(shard: int) -> None:
            with solc_worker(self.project.folder, self.project.root) as own:
                laboratory.employ(own)
                found = self._try_some(
                    suite, laboratory, together, mutants[shard :: self.processes]
                )
            stored = {name: [one.verdict, one.killer] for name, one in found.items()}
            (answers / f"{shard}.json").write_text(json.dumps(stored))

        in_processes(try_share, self.processes)
        return {
            name: Result(verdict=Verdict(verdict), killer=killer)
            for path in answers.iterdir()
            for name, (verdict, killer) in json.loads(path.read_text()).items()
        }


def words_near(text: str, mutant: Mutant) -> list[str]:
    """The error or event of the statement at a mutant's place, or the next, and its function."""
    raw = text.encode()
    lines = raw[mutant.start : mutant.scope[1]].decode().splitlines()[:LINES_NEAR]
    function = mutant.name.removeprefix(f"{mutant.source} ").split(":")[0]
    return [*NAMED.findall("\n".join(lines))[:1], function]


def report(results: Mapping[str, Result], faults: Sequence[str], reasons: Mapping[str, str]) -> int:
    """Print the sums and what is wrong; the last line is JSON."""
    survivors = sorted(n for n, one in results.items() if one.verdict is Verdict.SURVIVED)
    killed = {n for n, one in results.items() if one.verdict in (Verdict.KILLED, Verdict.TIMEOUT)}
    unexplained = [name for name in survivors if name not in reasons]
    for name in survivors:
        print(f"SURVIVED {name}" + (f"\n         {reasons[name]}" if name in reasons else ""))
    for fault in (*faults, *(f"justified, but killed: {n}" for n in killed & reasons.keys())):
        print(f"FAULT    {fault}")
    counts = Counter(one.verdict for one in results.values())
    sums = {str(verdict): counts[verdict] for verdict in Verdict}
    wrong = {"unexplained": len(unexplained), "faults": len(faults)}
    print(json.dumps({"mutants": len(results), **sums, **wrong}))
    return 1 if unexplained or faults or killed & reasons.keys() else 0
