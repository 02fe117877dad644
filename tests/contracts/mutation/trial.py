"""Compile one mutant and run the tests that reach it.

Rule: a mutant is killed by any failing test, by code that cannot be deployed, or by not coming to
an end; it is equivalent if the compiler makes the same code of it.

Spec: docs/explanation/audit.md
Deviations: compiled without the optimizer, for speed; the code limit is lifted.
"""

from __future__ import annotations

import posixpath
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from contracts import artifact
from contracts.build import IMPORT
from tests.contracts.mutation.operators import Mutant
from tests.contracts.mutation.suite import Suite
from tests.contracts.solc_worker import CompileFailed, Json, SolcWorker, write_artifacts


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    STILLBORN = "stillborn"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A verdict, the test that brought it about, and how many tests were asked."""

    verdict: Verdict
    killer: str = ""
    tests: int = 0


class Laboratory:
    """The compiler and the original code."""

    def __init__(self, worker: SolcWorker, directory: Path) -> None:
        """Compile into a directory what is needed, when it is."""
        self._worker = worker
        self._directory = directory

    @cached_property
    def original(self) -> Path:
        """Artifacts of the sources as they are."""
        folder = self._directory / "original"
        shutil.copytree(artifact.ARTIFACTS, folder)  # of what other projects compile
        write_artifacts(self._output, folder)
        return folder

    @cached_property
    def _output(self) -> Json:
        every = {name for name in self._worker.sources if not name.startswith("@")}
        return self._worker.compile(self._document(self._worker.sources, every))

    @cached_property
    def _code(self) -> dict[str, str]:
        return _code(self._output)

    def write(self, sources: dict[str, str], directory: Path) -> None:
        """Compile other sources and write artifacts of them, beside those of other projects."""
        every = {name for name in sources if not name.startswith("@")}
        shutil.copytree(artifact.ARTIFACTS, directory)
        write_artifacts(self._worker.compile(self._document(sources, every)), directory)

    def prepare(self) -> None:
        """Compile the original now, for all forks."""
        assert self.original.exists()
        assert self._code

    def employ(self, worker: SolcWorker) -> None:
        """Use another compiler from now on: a fork has its own."""
        self._worker = worker

    def try_mutant(self, mutant: Mutant, suite: Suite, names: Sequence[str]) -> Result:
        """Compile a mutant and run tests against it until one fails."""
        with self.compiled(mutant) as made:
            if isinstance(made, Verdict):
                return Result(verdict=made)
            run = suite.run(made, names)
        if run.is_endless:
            return Result(verdict=Verdict.TIMEOUT)
        if run.failed is None:
            return Result(verdict=Verdict.SURVIVED, tests=len(names))
        asked = names.index(run.failed) + 1
        return Result(verdict=Verdict.KILLED, killer=run.failed, tests=asked)

    @contextmanager
    def compiled(self, mutant: Mutant) -> Iterator[Path | Verdict]:
        """Artifacts with a mutant's code, or why there are none."""
        sources = self._worker.sources
        changed = {**sources, mutant.source: mutant.apply(sources[mutant.source])}
        affected = users_of(mutant.source, sources)
        try:
            output = self._worker.compile(self._document(changed, affected))
        except CompileFailed:
            yield Verdict.STILLBORN
            return
        if _code(output).items() <= self._code.items():
            yield Verdict.EQUIVALENT
            return
        directory = Path(tempfile.mkdtemp(prefix="omnibazaar-mutant-"))
        try:
            for path in self.original.iterdir():
                (directory / path.name).hardlink_to(path)
            _unlink(directory, output)
            write_artifacts(output, directory)
            yield directory
        finally:
            shutil.rmtree(directory)

    def _document(self, sources: dict[str, str], wanted: set[str]) -> Json:
        """The compiler's input: all sources, code of the wanted ones only."""
        document = self._worker.document(sources, optimize=False, outputs=[])
        outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]
        document["settings"]["outputSelection"] = {name: {"*": outputs} for name in sorted(wanted)}
        return document


def _unlink(directory: Path, output: Json) -> None:
    """Take away what is about to be written: the links lead to the original."""
    for contracts in output["contracts"].values():
        for name in contracts:
            (directory / f"{name}.json").unlink(missing_ok=True)


def users_of(source: str, sources: dict[str, str]) -> set[str]:
    """A source and all that import it, directly or not."""
    found = {source}
    while True:
        new = {
            name
            for name, text in sources.items()
            if name not in found and found & _imports(name, text)
        }
        if not new:
            return found
        found |= new


def _imports(name: str, text: str) -> set[str]:
    """Names of what a source imports."""
    folder = posixpath.dirname(name)
    return {
        posixpath.normpath(posixpath.join(folder, target)) if target.startswith(".") else target
        for target in IMPORT.findall(text)
    }


def _code(output: Json) -> dict[str, str]:
    """Creation code by contract."""
    return {
        name: contract["evm"]["bytecode"]["object"]
        for contracts in output["contracts"].values()
        for name, contract in contracts.items()
    }
