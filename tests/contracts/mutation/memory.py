"""Results of earlier runs, kept in a folder outside the repository.

Rule: a result is taken again only while the sources of the project, the mutant, and the tests that
brought it about are the same to the byte.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from tests.contracts.mutation.operators import Mutant
from tests.contracts.mutation.project import TESTS, Project, meaning
from tests.contracts.mutation.trial import Result, Verdict

ROOT = TESTS.parents[1]


class Memory:
    """Results of one project."""

    def __init__(self, folder: Path, project: Project, sources: Mapping[str, str]) -> None:
        """Read what is in the folder."""
        self._path = folder / f"results-{project.name}.jsonl"
        own = sorted((name, meaning(text)) for name, text in sources.items() if name[0] != "@")
        self._salt = digest(json.dumps(own), support_digest())
        files = [(TESTS / f"{name}.py").read_text() for name in project.test_files()]
        self._every_test = digest(self._salt, *files)
        self._results: dict[str, list[str]] = {}
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                key, *values = json.loads(line)
                self._results[key] = values

    def recall(self, mutant: Mutant) -> Result | None:
        """The result of the same mutant, if it still holds."""
        stored = self._results.get(self._key(mutant))
        if stored is None:
            return None
        verdict, killer, basis = stored
        result = Result(verdict=Verdict(verdict), killer=killer)
        return result if self._basis(result) == basis else None

    def keep(self, mutant: Mutant, result: Result) -> None:
        """Append a result; several processes may."""
        entry = [self._key(mutant), str(result.verdict), result.killer, self._basis(result)]
        with self._path.open("a") as stream:
            stream.write(json.dumps(entry) + "\n")

    def _key(self, mutant: Mutant) -> str:
        return digest(self._salt, mutant.name)

    def _basis(self, result: Result) -> str:
        """What a verdict rests on: the killer's file, or every test."""
        if result.verdict is Verdict.SURVIVED:
            return self._every_test
        if not result.killer:
            return self._salt
        path = TESTS / result.killer.split("::")[0]
        return digest(self._salt, path.read_text() if path.exists() else "")


def support_digest() -> str:
    """Digest of everything in Python that all tests rest on."""
    paths = [path for path in TESTS.glob("*.py") if not path.name.startswith("test_")]
    paths += (ROOT / "contracts").rglob("*.py")
    return digest(*(path.read_text() for path in sorted(paths)))


def digest(*texts: str) -> str:
    """One digest of several texts."""
    whole = hashlib.sha256()
    for text in texts:
        whole.update(hashlib.sha256(text.encode()).digest())
    return whole.hexdigest()[:32]
