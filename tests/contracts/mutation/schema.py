"""Put many mutants into one text, each behind a switch that the EVM turns on.

Rule: with every switch off the text does what the original does; with one on, what that mutant
does. A mutant that cannot be put behind a switch is left to be compiled alone.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from tests.contracts.mutation.operators import Mutant, Node
from tests.contracts.solc_worker import Json, SolcWorker

MAGIC = 0x5317C4
"""`mulmod(MAGIC, n, MAGIC)` is zero on any EVM, except on one where switch n is on."""
SWITCH = re.compile(rf"mulmod\({MAGIC}, (\d+), {MAGIC}\)")
EXPRESSIONS = {
    "BinaryOperation",
    "Conditional",
    "FunctionCall",
    "Identifier",
    "IndexAccess",
    "Literal",
    "MemberAccess",
    "TupleExpression",
    "UnaryOperation",
}
STATEMENTS = {"EmitStatement", "ExpressionStatement", "IfStatement", "Return", "RevertStatement"}
NEEDS_ITS_TYPE = {"<<", ">>", "**"}
"""Operators whose result has the type of the left side, which a switch would make narrower."""
CONSTANT = ("int_const", "rational_const")
"""How types of numbers begin that only the compiler calculates with."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A piece of a source that a switch can stand around."""

    span: Span
    kind: str
    """expression, statement or yul"""


@dataclass(slots=True, kw_only=True)
class Placed:
    """A mutant, its switch, and the pieces around it from the smallest to the largest."""

    mutant: Mutant
    number: int
    places: list[Place]

    def widen(self) -> None:
        """Take the next larger piece."""
        self.places.pop(0)


@dataclass(slots=True, kw_only=True)
class Schema:
    """Sources that contain mutants."""

    sources: dict[str, str]
    numbers: dict[str, int]
    """Switches by the mutants' names."""
    alone: list[Mutant] = field(default_factory=list)
    """Mutants that are not contained."""


def make_schema(worker: SolcWorker, mutants: Sequence[Mutant]) -> Schema:
    """Put mutants into the worker's sources, as many as the compiler takes."""
    trees = {
        name: one["ast"]
        for name, one in _compile(worker, worker.sources, ["ast"])["sources"].items()
    }
    lengths = {name for tree in trees.values() for name in _array_lengths(tree)}
    waiting = {
        number: Placed(
            mutant=mutant,
            number=number,
            places=places_of(
                mutant, trees[mutant.source], worker.sources[mutant.source].encode(), lengths
            ),
        )
        for number, mutant in enumerate(mutants, 1)
    }
    while True:
        placed = [one for one in waiting.values() if one.places]
        sources = dict(worker.sources)
        for name in {one.mutant.source for one in placed}:
            sources[name] = render(
                worker.sources[name], [one for one in placed if one.mutant.source == name]
            )
        errors = [
            one
            for one in _compile(worker, sources, []).get("errors", [])
            if one["severity"] == "error"
        ]
        if not errors:
            return Schema(
                sources=sources,
                numbers={one.mutant.name: one.number for one in placed},
                alone=[one.mutant for one in waiting.values() if not one.places],
            )
        for number in blamed(errors, sources):
            waiting[number].widen()


def blamed(errors: Sequence[Json], sources: Mapping[str, str]) -> set[int]:
    """Switches within the places of errors, or the one right before."""
    found: set[int] = set()
    for error in errors:
        where = error["sourceLocation"]
        raw = sources[where["file"]].encode()
        within = SWITCH.findall(raw[where["start"] : where["end"]].decode())
        before = SWITCH.findall(raw[: where["start"]].decode())
        if not within and not before:
            raise ValueError(error["formattedMessage"])
        found |= {int(number) for number in within or before[-1:]}
    return found


def _compile(worker: SolcWorker, sources: dict[str, str], outputs: list[str]) -> Json:
    """What the compiler says of sources, without making code."""
    document = worker.document(sources, optimize=False, outputs=[])
    document["settings"]["outputSelection"] = {"*": {"": outputs}}
    return worker.answer(document)


def _array_lengths(node: object) -> Iterator[str]:
    """Names of constants that stand in types, where a switch cannot."""
    if isinstance(node, list):
        for one in node:
            yield from _array_lengths(one)
    elif isinstance(node, dict):
        if node.get("nodeType") == "ArrayTypeName" and node.get("length"):
            yield node["length"].get("name", "")
        for value in node.values():
            yield from _array_lengths(value)


def places_of(mutant: Mutant, tree: Node, raw: bytes, lengths: Set[str]) -> list[Place]:
    """Pieces around a mutant, from the smallest to the largest.

    There are none if it is in a modifier's name or in a constant among `lengths`.
    """
    start, end = mutant.start, mutant.end
    chain = _chain(tree, start, end)
    places: list[Place] = []
    constant = 0
    for depth, node in enumerate(chain):
        kind, span = node["nodeType"], _span(node)
        if kind == "YulLiteral":
            return [Place(span=span, kind="yul")]
        if kind.startswith("Yul") or kind == "ModifierInvocation":
            return []
        if kind == "VariableDeclaration" and node.get("constant") and node["name"] in lengths:
            return []
        if kind in STATEMENTS:
            if kind != "IfStatement":
                span = (span[0], span[1] + 1)
            if raw[span[1] - 1 : span[1]] in (b";", b"}"):
                places.append(Place(span=span, kind="statement"))
        elif kind in EXPRESSIONS and not node.get("lValueRequested"):
            places.append(Place(span=span, kind="expression"))
        parent = chain[depth + 1] if depth + 1 < len(chain) else {}
        is_converted = parent.get("kind") == "typeConversion" and _type(node).startswith(CONSTANT)
        if is_converted and _type(parent).startswith("bytes"):
            return []  # Zero is the only number that can be converted.
        if _is_fixed(node, parent):
            constant = len(places)
    return places[constant:]


def _is_fixed(node: Node, parent: Node) -> bool:
    """Whether a switch must not stand around this node but around its parent."""
    if _type(parent).startswith(CONSTANT):
        return True
    if not _type(node).startswith(CONSTANT):
        return False
    return parent.get("kind") == "typeConversion" or parent.get("operator") in NEEDS_ITS_TYPE


def _type(node: Node) -> str:
    """Name of an expression's type."""
    name: str = node.get("typeDescriptions", {}).get("typeString") or ""
    return name


def _chain(tree: Node, start: int, end: int) -> list[Node]:
    """Nodes that contain a span, the innermost first."""
    found: list[Node] = []

    def descend(node: object) -> None:
        if isinstance(node, list):
            for one in node:
                descend(one)
        elif isinstance(node, dict):
            if "src" in node and "nodeType" in node:
                low, high = _span(node)
                if node["nodeType"] in ("ExpressionStatement", "EmitStatement"):
                    high += 1
                if not (low <= start and end <= high):
                    return
                found.insert(0, node)
            for key, value in node.items():
                if key not in ("typeDescriptions", "documentation"):
                    descend(value)

    descend(tree)
    return found


def _span(node: Node) -> Span:
    start, length, _ = (int(part) for part in node["src"].split(":"))
    return start, start + length


def render(text: str, placed: Sequence[Placed]) -> str:
    """The text with a switch around the first place of each mutant."""
    raw = text.encode()
    by_place: dict[Place, list[Placed]] = defaultdict(list)
    for one in placed:
        by_place[one.places[0]].append(one)
    places = sorted(by_place, key=lambda place: (place.span[0], -place.span[1], place.kind))
    return _render(raw, (0, len(raw)), places, by_place).decode()


def _render(
    raw: bytes, span: Span, places: Sequence[Place], by_place: Mapping[Place, Sequence[Placed]]
) -> bytes:
    """A span with the switches around the outermost of some places within it."""
    parts, position, index = [], span[0], 0
    while index < len(places):
        place = places[index]
        start, end = place.span
        inner = index + 1
        while inner < len(places) and places[inner].span[0] < end:
            inner += 1
        original = _render(raw, place.span, places[index + 1 : inner], by_place)
        parts += [raw[position:start], _switched(raw, place, original, by_place[place])]
        position, index = end, inner
    return b"".join([*parts, raw[position : span[1]]])


def _switched(raw: bytes, place: Place, original: bytes, choices: Sequence[Placed]) -> bytes:
    """The original, or what one of the mutants makes of it."""
    start, end = place.span
    result = original
    for one in reversed(choices):
        mutant = one.mutant
        changed = raw[start : mutant.start] + mutant.after + raw[mutant.end : end]
        switch = f"mulmod({MAGIC}, {one.number}, {MAGIC})".encode()
        if place.kind == "yul":
            result = b"add(" + result + b", " + switch + b")"
        elif place.kind == "statement":
            result = b"if (" + switch + b" != 0) {" + changed + b"} else {" + result + b"}"
        else:
            result = b"(" + switch + b" != 0 ? " + changed + b" : " + result + b")"
    return result
