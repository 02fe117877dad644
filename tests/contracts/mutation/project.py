"""What is compiled together, and by which tests it is tried.

Rule: a source belongs to one project; libraries and the tests' own contracts have no mutants.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from contracts.build import COTI_SOURCES, SOURCES
from tests.contracts.mutation.operators import Mutant, mutants_of
from tests.contracts.solc_worker import SolcWorker

TESTS = Path(__file__).parents[1]
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
NOT_FOR_MUTANTS = (
    "test_confidential_cipher",
    "test_contract_build",
    "test_contract_coverage",
    "test_contract_interleavings",
    "test_contract_mutants",
    "test_evm_chain",
    "test_http_rpc",
    "test_mpc_emulation",
    "test_transaction_signing",
    "test_transactor",
    "test_transactor_crashes",
)
"""Test files that run no contract of ours, or whole chains in other processes."""
CONFIDENTIAL = "test_confidential_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Sources compiled together."""

    name: str
    folder: Path
    root: Path
    """What names of sources are relative to."""

    @property
    def prefix(self) -> str:
        """How names of its sources begin."""
        return "" if self.folder == self.root else f"{self.folder.name}/"

    def owns(self, source: str) -> bool:
        """Whether a source has mutants in this project."""
        if source.startswith("@") or not source.startswith(self.prefix):
            return False
        return not source.removeprefix(self.prefix).startswith("test/")

    def test_files(self) -> list[str]:
        """Names of the test files that run its contracts."""
        every = sorted(path.stem for path in TESTS.glob("test_*.py"))
        return [
            name
            for name in every
            if name not in NOT_FOR_MUTANTS
            and name.startswith(CONFIDENTIAL) == (self is CONFIDENTIAL_TOKENS)
        ]


SETTLEMENT = Project(name="settlement", folder=SOURCES, root=SOURCES)
CONFIDENTIAL_TOKENS = Project(name="confidential", folder=COTI_SOURCES, root=COTI_SOURCES.parent)
PROJECTS = (SETTLEMENT, CONFIDENTIAL_TOKENS)


@cache
def all_mutants(worker: SolcWorker, project: Project) -> tuple[Mutant, ...]:
    """Every mutant of every source of a project."""
    document = worker.document(worker.sources, optimize=False, outputs=[])
    document["settings"]["outputSelection"] = {"*": {"": ["ast"]}}
    trees = worker.compile(document)["sources"]
    return tuple(
        mutant
        for name in sorted(trees)
        if project.owns(name)
        for mutant in mutants_of(name, worker.sources[name], trees[name]["ast"])
    )


def meaning(text: str) -> str:
    """A source without its comments and without its layout."""
    return " ".join(COMMENT.sub(" ", text).split())
