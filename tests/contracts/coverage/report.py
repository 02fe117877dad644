"""Lay a trace over the sources: which lines and branches were executed.

Rule: code that no contract contains counts as not executed.

Spec: none
Deviations: none
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.contracts.coverage.source_map import Location, Measured, Range, locate, measure
from tests.contracts.coverage.tracer import Executed, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One contract's code, creation or deployed, as the compiler made it."""

    code: bytes
    holes: tuple[tuple[int, int], ...]
    """(start, length) of immutables, which are filled in on the chain."""
    locations: dict[int, Location]

    def matches(self, executed: bytes) -> bool:
        """Whether executed code is this, with immutables or constructor arguments filled in."""
        if len(executed) < len(self.code):
            return False
        found = bytearray(executed[: len(self.code)])
        for start, length in self.holes:
            found[start : start + length] = bytes(length)
        return found == self.code


@dataclass(slots=True)
class Coverage:
    """What was executed of one source."""

    measured: Measured
    statements: set[Range] = field(default_factory=set)
    outcomes: set[tuple[Range, bool]] = field(default_factory=set)

    @property
    def lines(self) -> tuple[int, int]:
        """(executed, all) lines with a statement."""
        missing = self.missing_lines()
        every = {self.measured.line(one) for one in self.measured.statements}
        return len(every) - len(missing), len(every)

    @property
    def branches(self) -> tuple[int, int]:
        """(seen, all) outcomes of conditions."""
        return len(self.outcomes), 2 * len(self.measured.conditions)

    def missing_lines(self) -> list[int]:
        """Lines with a statement that was never executed."""
        return sorted(
            {self.measured.line(one) for one in self.measured.statements - self.statements}
        )

    def missing_branches(self) -> list[str]:
        """Line and number of outcomes seen of conditions that went one way only."""
        partial = [
            (self.measured.line(where), sum((where, way) in self.outcomes for way in (False, True)))
            for where in self.measured.conditions
        ]
        return [f"{line}({seen}/2)" for line, seen in sorted(partial) if seen < 2]


def compute_coverage(
    output: dict[str, Any], texts: dict[str, str], trace: Trace, owned: Iterable[str]
) -> list[Coverage]:
    """Return the coverage of each of the named sources that has statements."""
    found = [
        Coverage(measured=measure(name, texts[name], output["sources"][name]["ast"]))
        for name in sorted(owned)
    ]
    by_index = {one.measured.index: one for one in found}
    codes = find_codes(output)
    for executed_code, executed in trace.items():
        for code in codes:
            if code.matches(executed_code):
                _lay_over(code, executed, by_index)
    return [one for one in found if one.measured.statements]


def find_codes(output: dict[str, Any]) -> list[Code]:
    """All code of all our contracts, tests' included: they inherit from ours."""
    codes = []
    for contracts in output["contracts"].values():
        for contract in contracts.values():
            for kind in ("bytecode", "deployedBytecode"):
                part = contract["evm"][kind]
                code = bytes.fromhex(part["object"])
                if not code:
                    continue
                holes = tuple(
                    (one["start"], one["length"])
                    for places in part.get("immutableReferences", {}).values()
                    for one in places
                )
                codes.append(
                    Code(code=code, holes=holes, locations=locate(code, part["sourceMap"]))
                )
    return codes


def _lay_over(code: Code, executed: Executed, by_index: dict[int, Coverage]) -> None:
    """Mark what one piece of executed code covers."""
    ranges: dict[int, set[Range]] = defaultdict(set)
    for offset in executed.offsets:
        where = code.locations.get(offset)
        if where is not None:
            ranges[where.source].add(where.range)
    for index, seen in ranges.items():
        if index in by_index:
            _mark_statements(by_index[index], seen)
    for offset, taken in executed.jumps:
        where = code.locations.get(offset)
        if where is None or where.source not in by_index:
            continue
        coverage = by_index[where.source]
        if where.range in coverage.measured.conditions:
            coverage.outcomes.add((where.range, taken))


def _mark_statements(coverage: Coverage, seen: Iterable[Range]) -> None:
    """A statement is covered by any instruction that comes from within it."""
    for start, end in seen:
        for statement in coverage.measured.statements:
            if statement[0] <= start and end <= statement[1]:
                coverage.statements.add(statement)
