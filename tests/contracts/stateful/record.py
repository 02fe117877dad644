"""What is known of every wrong contract: the seed whose interleaving shows it, or that none did.

Rule: a seed holds for one text of the machine and one of the wrong source; when either changes
nothing is claimed any more, and CI says which command finds the seeds anew.

Spec: docs/explanation/audit.md
Deviations: comments and layout are no part of a text.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tokenize
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.build import SOURCES
from tests.contracts.mutation.project import meaning
from tests.contracts.mutation.rotation import rotate
from tests.contracts.stateful.machine import interleaving
from tests.contracts.stateful.variants import VARIANTS, Variant

FOLDER = Path(__file__).parent
NOTICED = FOLDER / "noticed.json"
STEPS = 20
"""Of each interleaving that is tried."""
RUNS = 200
"""Seeds that are tried, the first ones; the same that CI plays on the contracts as they are."""
COMMAND = "python -m tests.contracts.stateful --record"
TOOLS = {"__main__.py", "record.py", "teeth.py", "variants.py"}
GROUNDS = {"ground.py", "anvil_ground.py", "quick_opcodes.py"}
NO_PART = TOOLS | GROUNDS
"""Files that change no interleaving: grounds carry the same messages to the same code, and the
text of a variant has a digest of its own."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one wrong contract."""

    digest: str
    """Of the wrong source."""
    seed: int | None
    """The interleaving that shows it; None if none did."""
    tried: int
    """Interleavings that were tried until then."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was found of all, with one machine."""

    machine: str
    found: dict[str, Found]

    @property
    def seeds(self) -> dict[str, int]:
        """Seeds by the names of the wrong contracts that are noticed."""
        return {name: one.seed for name, one in self.found.items() if one.seed is not None}

    @property
    def missed(self) -> tuple[str, ...]:
        """Names of the wrong contracts that no interleaving tried shows."""
        return tuple(name for name, one in self.found.items() if one.seed is None)

    @property
    def untried(self) -> tuple[str, ...]:
        """Names of the wrong contracts that this machine has not met."""
        return tuple(one.name for one in VARIANTS if one.name not in self.found)


def machine_digest() -> str:
    """Digest of everything that an interleaving is made of, and of the first RUNS as they come."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.py")):
        if path.name not in NO_PART:
            digest.update(f"{path.name}\n{_without_comments(path.read_text())}\n".encode())
    for seed in range(RUNS):
        digest.update(repr(interleaving(seed, STEPS)).encode())
    return digest.hexdigest()[:32]


def variant_digest(variant: Variant) -> str:
    """Digest of a wrong source."""
    text = variant.apply((SOURCES / variant.source).read_text())
    return hashlib.sha256(meaning(text).encode()).hexdigest()[:32]


def _without_comments(text: str) -> str:
    """A Python source without comments and empty lines."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def load() -> Record:
    """The record as it was committed."""
    stored = json.loads(NOTICED.read_text())
    return Record(stored["machine"], {name: Found(**one) for name, one in stored["found"].items()})


def save(record: Record) -> None:
    """Write the record, in the order of the variants; those that are no more are left out."""
    names = [variant.name for variant in VARIANTS if variant.name in record.found]
    found = {name: asdict(record.found[name]) for name in names}
    stored = {"machine": record.machine, "found": found}
    NOTICED.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


def is_settled(record: Record, variant: Variant, runs: int) -> bool:
    """Whether there is a seed, or as many were tried in vain, with all as it is now."""
    one = record.found.get(variant.name)
    if one is None or record.machine != machine_digest() or one.digest != variant_digest(variant):
        return False
    return one.seed is not None or one.tried >= runs


def find_faults(record: Record) -> list[str]:
    """What must not be left as it is: a sentence for each, with the command that mends it."""
    if record.machine != machine_digest():
        return [f"the machine has changed since its wrong contracts were tried: {COMMAND}"]
    faults = []
    for variant in VARIANTS:
        one = record.found.get(variant.name)
        if one is not None and one.digest != variant_digest(variant):
            faults.append(f"{variant.source} has changed: {COMMAND} '{variant.name}'")
    names = {variant.name for variant in VARIANTS}
    faults += [f"no such variant: {name}: {COMMAND}" for name in record.found if name not in names]
    return faults


def chosen_now(seeds: Mapping[str, int], count: int) -> list[Variant]:
    """A few of the wrong contracts that are noticed, others with every commit."""
    names = set(rotate([*seeds], count, commit_number()))
    return [variant for variant in VARIANTS if variant.name in names]


def commit_number() -> int:
    """The last commit's name as a number; zero where there is no git. Never the time of day."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        run = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True)
        return int(run.stdout, 16)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return 0
