"""Load the committed contract artifacts.

Rule: code and ABI come from contracts/artifacts only, never from a compiler at run time.

Spec: docs/spec/settlement.md §11
Deviations: none
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from primitives.keccak import keccak256

ARTIFACTS = Path(__file__).parent / "artifacts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One compiled contract."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    """Code that deploys it; constructor arguments follow."""
    deployed_bytecode: bytes
    """Code on the chain, with zeros where immutables go."""


@cache
def load_artifact(name: str) -> Artifact:
    """Return the artifact of a contract; raises FileNotFoundError for an unknown name."""
    record = json.loads((ARTIFACTS / f"{name}.json").read_text())
    return Artifact(
        name=record["name"],
        abi=tuple(record["abi"]),
        bytecode=bytes.fromhex(record["bytecode"][2:]),
        deployed_bytecode=bytes.fromhex(record["deployed_bytecode"][2:]),
    )


def canonical_type(parameter: dict[str, Any]) -> str:
    """Return an ABI type with tuples spelt out, as selectors hash it."""
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(canonical_type(part) for part in parameter["components"])
    return f"({inner}){kind[len('tuple') :]}"


def signature(entry: dict[str, Any]) -> str:
    """Return `name(types)` of a function, event or error."""
    inner = ",".join(canonical_type(part) for part in entry["inputs"])
    return f"{entry['name']}({inner})"


@cache
def selectors(name: str) -> dict[str, bytes]:
    """Return the 4-byte selectors of a contract's functions by name (overloads do not occur)."""
    entries = [entry for entry in load_artifact(name).abi if entry["type"] == "function"]
    return {entry["name"]: keccak256(signature(entry).encode())[:4] for entry in entries}


@cache
def topics(name: str) -> dict[str, bytes]:
    """Return the first topic of a contract's events by name."""
    entries = [entry for entry in load_artifact(name).abi if entry["type"] == "event"]
    return {entry["name"]: keccak256(signature(entry).encode()) for entry in entries}


@cache
def error_names(name: str) -> dict[bytes, str]:
    """Return the names of a contract's custom errors by their selectors."""
    entries = [entry for entry in load_artifact(name).abi if entry["type"] == "error"]
    return {keccak256(signature(entry).encode())[:4]: entry["name"] for entry in entries}
