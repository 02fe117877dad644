"""Keep a Solidity compiler running, for tests that compile many variants of the contracts.

Rule: the sources are the committed ones, the compiler is the pinned one; nothing is written into
the repository.

Spec: docs/spec/settlement.md §11
Deviations: none
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from contracts.build import (
    SOURCES,
    collect_sources,
    compiler_input,
    node_modules,
    verify_packages,
)

WORKER_SCRIPT = Path(__file__).parent / "solc_worker.js"

Json = dict[str, Any]


class CompileFailed(Exception):
    """The sources do not compile."""


class SolcWorker:
    """A compiler process that takes one document after the other."""

    def __init__(self, modules: Path, sources: dict[str, str]) -> None:
        """Start it on a node_modules directory; `sources` are all sources by import name."""
        self.sources = sources
        self._process = subprocess.Popen(
            ["node", str(WORKER_SCRIPT), str(modules)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def compile(self, document: Json) -> Json:
        """Return solc's output; raises CompileFailed on an error, warnings pass."""
        output = self.answer(document)
        problems = [one for one in output.get("errors", []) if one["severity"] == "error"]
        if problems:
            raise CompileFailed(problems[0]["formattedMessage"])
        return output

    def answer(self, document: Json) -> Json:
        """Return solc's output, errors included."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()
        output: Json = json.loads(self._process.stdout.readline())
        return output

    def document(self, sources: dict[str, str], *, optimize: bool, outputs: list[str]) -> Json:
        """The build's own input with other sources or settings; `outputs` are added."""
        document: Json = json.loads(compiler_input(sources))
        document["settings"]["optimizer"]["enabled"] = optimize
        document["settings"]["outputSelection"]["*"]["*"] += outputs
        return document

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def solc_worker(folder: Path = SOURCES, root: Path = SOURCES) -> Iterator[SolcWorker]:
    """Yield a running compiler with a folder's sources; raises BuildError without one."""
    with ExitStack() as stack:
        modules = stack.enter_context(node_modules())
        verify_packages(modules)
        worker = SolcWorker(modules, collect_sources(modules, folder, root))
        stack.callback(worker.close)
        yield worker


def write_artifacts(output: Json, directory: Path) -> None:
    """Write what `contracts.artifact` reads of a variant into a directory of its own."""
    directory.mkdir(parents=True, exist_ok=True)
    for contracts in output["contracts"].values():
        for name, contract in contracts.items():
            record = {
                "name": name,
                "abi": contract["abi"],
                "bytecode": "0x" + contract["evm"]["bytecode"]["object"],
                "deployed_bytecode": "0x" + contract["evm"]["deployedBytecode"]["object"],
            }
            (directory / f"{name}.json").write_text(json.dumps(record))
