"""Derive every mutant of a Solidity source from its syntax tree.

Rule: one mutant changes one place; the same source always gives the same mutants with the same
names, and a name does not depend on lines elsewhere.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

Node = dict[str, Any]

BOUNDARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
NEGATION = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
ARITHMETIC = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "%": "*",
    "<<": ">>",
    ">>": "<<",
    "&": "|",
    "|": "&",
    "&&": "||",
    "||": "&&",
}
COMPOUND = {"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "|=": "&=", "&=": "|="}
SCOPES = {"FunctionDefinition", "ModifierDefinition", "VariableDeclaration"}

NO_MODIFIER: Final = "drop modifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change of one source."""

    source: str
    name: str
    """`Source.sol function: kind: before -> after`, numbered where that is not unique."""
    line: int
    start: int
    """Offset of the first byte replaced."""
    end: int
    after: bytes
    scope: tuple[int, int] = (0, 0)
    """Offsets of the function, modifier or declaration around it."""

    def apply(self, text: str) -> str:
        """The source with the change."""
        raw = text.encode()
        return (raw[: self.start] + self.after + raw[self.end :]).decode()


@dataclass(frozen=True, slots=True)
class Change:
    """A change before it has a name."""

    kind: str
    start: int
    end: int
    after: bytes
    where: str
    scope: tuple[int, int]


def mutants_of(source: str, text: str, tree: Node) -> list[Mutant]:
    """Return all mutants of a source, in the order of their places."""
    raw = text.encode()
    counts: Counter[str] = Counter()
    found = []
    changes = {(c.start, c.end, c.after): c for c in _changes(raw, tree, "", (0, len(raw)))}
    for change in sorted(changes.values(), key=lambda c: (c.start, c.end, c.kind, c.after)):
        before = " ".join(raw[change.start : change.end].decode().split())
        after = " ".join(change.after.decode().split())
        name = f"{source} {change.where}: {change.kind}: {before} -> {after}"
        counts[name] += 1
        if counts[name] > 1:
            name += f" #{counts[name]}"
        found.append(
            Mutant(
                source=source,
                name=name,
                line=raw[: change.start].count(b"\n") + 1,
                start=change.start,
                end=change.end,
                after=change.after,
                scope=change.scope,
            )
        )
    return found


def _span(node: Node) -> tuple[int, int]:
    start, length, _ = (int(part) for part in node["src"].split(":"))
    return start, start + length


def _text(raw: bytes, node: Node) -> bytes:
    start, end = _span(node)
    return raw[start:end]


def _changes(raw: bytes, node: Any, where: str, scope: tuple[int, int]) -> Iterator[Change]:
    """Every change within a node, `where` being the function or contract around it."""
    if isinstance(node, list):
        for one in node:
            yield from _changes(raw, one, where, scope)
        return
    if not isinstance(node, dict):
        return
    kind = node.get("nodeType")
    if kind in ("ContractDefinition", "FunctionDefinition", "ModifierDefinition"):
        where = node.get("name") or node.get("kind") or where
    if kind in SCOPES and not (kind == "VariableDeclaration" and not node.get("stateVariable")):
        scope = _span(node)
    if kind in ("ImportDirective", "PragmaDirective", "ElementaryTypeName", "ArrayTypeName"):
        return
    if kind in OPERATORS:
        for name, start, end, after in OPERATORS[kind](raw, node):
            yield Change(name, start, end, after, where, scope)
    for key, value in node.items():
        if key not in ("typeDescriptions", "documentation", "typeName"):
            yield from _changes(raw, value, where, scope)


Raw = tuple[str, int, int, bytes]


def _if(raw: bytes, node: Node) -> Iterator[Raw]:
    """A guard that never holds anybody back."""
    start, end = _span(node["condition"])
    yield "drop condition", start, end, b"false"


def _conditional(raw: bytes, node: Node) -> Iterator[Raw]:
    start, end = _span(node)
    yield "first always", start, end, b"(" + _text(raw, node["trueExpression"]) + b")"
    yield "second always", start, end, b"(" + _text(raw, node["falseExpression"]) + b")"


def _binary(raw: bytes, node: Node) -> Iterator[Raw]:
    """Comparisons off by one and turned round, arithmetic swapped, halves of conditions dropped."""
    left, right = node["leftExpression"], node["rightExpression"]
    start, end = _span(left)[1], _span(right)[0]
    between = raw[start:end]
    operator = node["operator"]
    for name, table in (("boundary", BOUNDARY), ("flip", NEGATION), ("swap", ARITHMETIC)):
        if operator in table:
            after = between.replace(operator.encode(), table[operator].encode(), 1)
            yield (
                name,
                _span(node)[0],
                _span(node)[1],
                (_text(raw, left) + after + _text(raw, right)),
            )
    if operator in ("&&", "||"):
        yield "drop right half", *_span(node), _text(raw, left)
        yield "drop left half", *_span(node), _text(raw, right)


def _unary(raw: bytes, node: Node) -> Iterator[Raw]:
    """A negation, an increment or a deletion that does nothing."""
    inner = node["subExpression"]
    if node["operator"] in ("++", "--", "!"):
        yield "drop operator", *_span(node), _text(raw, inner)


def _assignment(raw: bytes, node: Node) -> Iterator[Raw]:
    operator = node["operator"]
    if operator in COMPOUND:
        start, end = _span(node["leftHandSide"])[1], _span(node["rightHandSide"])[0]
        after = raw[start:end].replace(operator.encode(), COMPOUND[operator].encode(), 1)
        yield "swap", start, end, after


def _statement(raw: bytes, node: Node) -> Iterator[Raw]:
    """A write, a call or an event that does not happen."""
    start, end = _span(node)
    if raw[end : end + 1] == b";":
        yield "drop statement", start, end + 1, b"{}"


def _literal(raw: bytes, node: Node) -> Iterator[Raw]:
    if node.get("kind") == "number" and not node["value"].lower().startswith("0x"):
        yield "off by one", *_span(node), b"(" + _text(raw, node) + b" + 1)"
    if node.get("kind") == "bool":
        other = b"false" if node["value"] == "true" else b"true"
        yield "flip", *_span(node), other


def _index(raw: bytes, node: Node) -> Iterator[Raw]:
    inner = node.get("indexExpression")
    if inner and inner["typeDescriptions"]["typeString"].startswith("uint"):
        yield "next index", *_span(inner), _text(raw, inner) + b" + 1"


def _modifier(raw: bytes, node: Node) -> Iterator[Raw]:
    if not node.get("arguments"):
        yield NO_MODIFIER, *_span(node), b""


def _yul_literal(raw: bytes, node: Node) -> Iterator[Raw]:
    if node.get("kind") == "number":
        yield "off by one", *_span(node), str(int(node["value"], 0) + 1).encode()


OPERATORS = {
    "Assignment": _assignment,
    "BinaryOperation": _binary,
    "Conditional": _conditional,
    "EmitStatement": _statement,
    "ExpressionStatement": _statement,
    "IfStatement": _if,
    "IndexAccess": _index,
    "Literal": _literal,
    "ModifierInvocation": _modifier,
    "UnaryOperation": _unary,
    "YulLiteral": _yul_literal,
}
