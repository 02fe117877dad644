"""Compile wrong contracts and count the interleavings that it takes to notice each.

Rule: the control comes first: interleavings that fail on the contracts as they are prove nothing.

Spec: docs/explanation/audit.md
Deviations: compiled without the optimizer, for speed; the code limit is lifted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts import artifact
from tests.contracts.coverage.tracer import unlimited_code
from tests.contracts.solc_worker import Json, SolcWorker, write_artifacts
from tests.contracts.stateful.machine import fails, interleaving
from tests.contracts.stateful.stage import embedded_stage
from tests.contracts.stateful.variants import Variant

OF_REGISTRY = ("ValidatorRegistry.sol", "Penalties.sol")
"""Sources that the vault's code has nothing of."""
OUTPUTS = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]


def notice(
    worker: SolcWorker, variant: Variant | None, *, runs: int, steps: int, first: int = 0
) -> tuple[int, str]:
    """How many interleavings it takes to notice a variant, and how; zero if none does.

    Without a variant it is the control.
    """
    sources = dict(worker.sources)
    if variant is not None:
        sources[variant.source] = variant.apply(sources[variant.source])
    with tempfile.TemporaryDirectory(prefix="omnibazaar-variant-") as name:
        directory = Path(name)
        for path in artifact.ARTIFACTS.glob("*.json"):
            (directory / path.name).write_text(path.read_text())
        if variant is not None:
            write_artifacts(worker.compile(_document(worker, sources, variant)), directory)
        with artifacts_from(directory), unlimited_code():
            try:
                stage = embedded_stage()
            except AssertionError as problem:
                return 1, str(problem)
            for seed in range(first, first + runs):
                broken = fails(stage, interleaving(seed, steps))
                if broken is not None:
                    return seed - first + 1, broken.problem
    return 0, ""


def _document(worker: SolcWorker, sources: dict[str, str], variant: Variant) -> Json:
    """The compiler's input: code of the one contract that a variant changes."""
    wanted = "ValidatorRegistry.sol" if variant.source in OF_REGISTRY else "Settlement.sol"
    document = worker.document(sources, optimize=False, outputs=[])
    document["settings"]["outputSelection"] = {wanted: {"*": OUTPUTS}}
    return document


@contextmanager
def artifacts_from(directory: Path) -> Iterator[None]:
    """Let contracts be deployed from another directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifact, "ARTIFACTS", directory)
        artifact.load_artifact.cache_clear()
        try:
            yield
        finally:
            artifact.load_artifact.cache_clear()
