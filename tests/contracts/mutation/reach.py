"""Which test executes which piece of a source, by trace.

Rule: a mutant is tried by every test that executes anything at its place; only their order is
chosen.

Spec: docs/explanation/audit.md
Deviations: deployments are not shared between tests here, so that each test is seen to deploy.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.contracts.coverage.report import Code, find_codes
from tests.contracts.coverage.source_map import Range
from tests.contracts.coverage.tracer import Trace, tracing
from tests.contracts.mutation.operators import Mutant
from tests.contracts.mutation.suite import (
    TESTS,
    Reports,
    Suite,
    SuiteFailed,
    forget_deployments,
    forked,
)

Reached = dict[str, dict[str, Any]]
"""By test: its `seconds`, and the ranges executed of each source."""


class Reach:
    """The map from places to tests."""

    def __init__(self, reached: Mapping[str, Mapping[str, Any]]) -> None:
        """Turn the trace of each test round."""
        self._seconds = {name: float(one["seconds"]) for name, one in reached.items()}
        self._tests: dict[str, dict[Range, set[str]]] = defaultdict(lambda: defaultdict(set))
        for name, one in reached.items():
            for source, ranges in one["ranges"].items():
                for start, end in ranges:
                    self._tests[source][start, end].add(name)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Tests that execute a mutant's place, the shortest first.

        The place is what overlaps with the mutant within its function; if the compiler left no
        code there (a constant, a modifier), then the function, and then the source.
        """
        ranges = self._tests.get(mutant.source, {})
        start, end = mutant.scope
        inner = [one for one in ranges if start <= one[0] and one[1] <= end]
        near = [one for one in inner if one != mutant.scope and _overlap(one, mutant)]
        for chosen in (near, inner, list(ranges)):
            found = set().union(*(ranges[one] for one in chosen))
            if found:
                return sorted(found, key=lambda name: (self._seconds[name], name))
        return sorted(self._seconds, key=lambda name: (self._seconds[name], name))


def _overlap(one: Range, mutant: Mutant) -> bool:
    return one[0] < mutant.end and mutant.start < one[1]


def measure_reach(
    suite: Suite, output: dict[str, Any], artifacts: Path, cache: Path, salt: str, processes: int
) -> Reach:
    """Trace every test whose file is not in the cache; raises SuiteFailed if one fails."""
    by_file: dict[str, list[str]] = defaultdict(list)
    for name in suite.names:
        by_file[name.split("::")[0]].append(name)
    stored = {file: cache / f"reach-{_digest(file, salt)}.json" for file in by_file}
    names = {source["id"]: name for name, source in output["sources"].items()}
    codes = find_codes(output)
    missing = [file for file, path in stored.items() if not path.exists()]

    def trace_some(shard: int) -> None:
        for file in missing[shard::processes]:
            work = partial(_traced, suite, by_file[file], codes, names)
            answer, is_endless = forked(work, artifacts)
            if is_endless:
                raise SuiteFailed(f"{file} has no end")
            unfinished = stored[file].with_suffix(".new")
            unfinished.write_text(answer)
            unfinished.replace(stored[file])

    in_processes(trace_some, processes)
    reached: Reached = {}
    for path in stored.values():
        reached |= json.loads(path.read_text())
    return Reach(reached)


def in_processes(work: Callable[[int], None], processes: int) -> None:
    """Do the shares 0, 1, … of some work, each in a fork; raises SuiteFailed if one breaks."""
    children = []
    for shard in range(processes):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work(shard)
                code = 0
            except SuiteFailed as failure:
                print(failure, file=sys.stderr, flush=True)
            finally:
                os._exit(code)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise SuiteFailed("a process broke off")


def _digest(file: str, salt: str) -> str:
    """Digest of all that a file's trace depends on."""
    text = (TESTS / file).read_bytes()
    return hashlib.sha256(salt.encode() + file.encode() + text).hexdigest()[:32]


def _traced(suite: Suite, tests: list[str], codes: list[Code], names: Mapping[int, str]) -> str:
    """What tests reach, as JSON; raises SuiteFailed if one fails."""
    reports = Reports()
    with suite.watched(reports):
        found = _trace(suite, tests, codes, names)
    if reports.failed:
        raise SuiteFailed(f"{tests[0].split('::')[0]} fails without any mutant")
    return json.dumps(found)


def _trace(suite: Suite, tests: list[str], codes: list[Code], names: Mapping[int, str]) -> Reached:
    """Run tests one by one under the tracer."""
    found: Reached = {}
    matching: dict[bytes, list[Code]] = {}
    with tracing() as trace:
        forget_deployments()
        for name, seconds in suite.each(tests):
            ranges = _ranges(trace, codes, names, matching)
            found[name] = {"seconds": round(seconds, 2), "ranges": ranges}
            trace.clear()
            forget_deployments()
    return found


def _ranges(
    trace: Trace, codes: Iterable[Code], names: Mapping[int, str], matching: dict[bytes, list[Code]]
) -> dict[str, list[Range]]:
    """The ranges of each of our sources that a trace contains."""
    ranges: dict[str, set[Range]] = defaultdict(set)
    for executed_code, executed in trace.items():
        if executed_code not in matching:
            matching[executed_code] = [code for code in codes if code.matches(executed_code)]
        for code in matching[executed_code]:
            for offset in executed.offsets:
                where = code.locations.get(offset)
                if where is not None and not names.get(where.source, "@").startswith("@"):
                    ranges[names[where.source]].add(where.range)
    return {name: sorted(found) for name, found in sorted(ranges.items())}
