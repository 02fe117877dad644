"""Find out which source an executed instruction belongs to, from solc's source maps and AST.

Rule: what is measured is what the compiler says; ranges are (start, end) offsets into a source.
A line is the first line of a statement, a branch is one outcome of a condition.

Spec: Solidity documentation, "Source Mappings" and "Standard JSON"
Deviations: checks that the compiler adds (overflow, calldata, call success) are no branches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PUSH1, PUSH32 = 0x60, 0x7F

STATEMENTS = {
    "Break",
    "Continue",
    "EmitStatement",
    "ExpressionStatement",
    "InlineAssembly",
    "Return",
    "RevertStatement",
    "VariableDeclarationStatement",
}
CONDITIONS = {"Conditional", "ForStatement", "IfStatement", "TryStatement", "WhileStatement"}
SHORT_CIRCUITS = {"&&", "||"}

Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where an instruction comes from."""

    source: int
    """Index of the source; -1 for code that the compiler made up."""
    range: Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What of one source can be covered."""

    name: str
    index: int
    text: str
    statements: frozenset[Range]
    conditions: frozenset[Range]

    def line(self, where: Range) -> int:
        """Number of the line in which a range starts, from 1."""
        return len(self.text.encode()[: where[0]].split(b"\n"))


def instruction_offsets(code: bytes) -> list[int]:
    """Offsets of all instructions in code order."""
    offsets = []
    position = 0
    while position < len(code):
        offsets.append(position)
        operation = code[position]
        position += 1
        if PUSH1 <= operation <= PUSH32:
            position += operation - PUSH1 + 1
    return offsets


def decode_source_map(compressed: str) -> Iterator[Location]:
    """Yield the location of each instruction in code order."""
    start = length = source = 0
    for entry in compressed.split(";"):
        fields = entry.split(":")
        if len(fields) > 0 and fields[0]:
            start = int(fields[0])
        if len(fields) > 1 and fields[1]:
            length = int(fields[1])
        if len(fields) > 2 and fields[2]:
            source = int(fields[2])
        yield Location(source=source, range=(start, start + length))


def locate(code: bytes, compressed: str) -> dict[int, Location]:
    """Location of each instruction by its offset; data after the code has none."""
    return dict(zip(instruction_offsets(code), decode_source_map(compressed), strict=False))


def measure(name: str, text: str, tree: dict[str, Any]) -> Measured:
    """Find the statements and conditions of a source in its syntax tree."""
    statements: set[Range] = set()
    conditions: set[Range] = set()
    for node in _nodes(tree):
        kind = node.get("nodeType")
        if kind in STATEMENTS:
            statements.add(_range(node))
        if kind in CONDITIONS or node.get("operator") in SHORT_CIRCUITS:
            conditions.add(_range(node))
    return Measured(
        name=name,
        index=int(tree["src"].split(":")[2]),
        text=text,
        statements=frozenset(statements),
        conditions=frozenset(conditions),
    )


def _range(node: dict[str, Any]) -> Range:
    """Offsets of a node."""
    start, length, _ = (int(part) for part in node["src"].split(":"))
    return start, start + length


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every Solidity node below a tree; assembly counts as one statement."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            if "nodeType" in node:
                yield node
            if node.get("nodeType") != "InlineAssembly":
                pending.extend(value for value in node.values() if isinstance(value, dict | list))
