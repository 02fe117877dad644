"""Compile wrong contracts and find the interleaving that shows each.

Rule: the seeds tried are those that CI plays on the contracts as they are: an interleaving that
fails there too would prove nothing.

Spec: docs/explanation/audit.md
Deviations: compiled without the optimizer, for speed; the code limit is lifted.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from contracts import artifact
from tests.contracts.coverage.tracer import unlimited_code
from tests.contracts.solc_worker import Json, SolcWorker, write_artifacts
from tests.contracts.stateful.machine import fails, interleaving
from tests.contracts.stateful.record import STEPS
from tests.contracts.stateful.stage import embedded_stage
from tests.contracts.stateful.variants import Variant

OF_REGISTRY = ("ValidatorRegistry.sol", "Penalties.sol")
"""Sources that the vault's code has nothing of."""
DONE = "compiled"
"""Stands beside artifacts that are complete."""
OUTPUTS = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]


def notice(
    worker: SolcWorker, variant: Variant, seeds: Sequence[int], *, cache: Path | None = None
) -> tuple[int, str] | None:
    """The first of the seeds whose interleaving shows a variant, and how; None if none does.

    A contract that does not even get through the stage's past is shown by any seed. Compiled
    code is kept in `cache`, if one is given.
    """
    with ExitStack() as stack:
        directory = stack.enter_context(_compiled(worker, variant, cache))
        stack.enter_context(artifacts_from(directory))
        stack.enter_context(unlimited_code())
        try:
            stage = embedded_stage()
        except AssertionError as problem:
            return seeds[0], str(problem)
        for seed in seeds:
            broken = fails(stage, interleaving(seed, STEPS))
            if broken is not None:
                return seed, broken.problem
    return None


@contextmanager
def _compiled(worker: SolcWorker, variant: Variant, cache: Path | None) -> Iterator[Path]:
    """A directory with all artifacts, the variant's among them."""
    sources = dict(worker.sources)
    sources[variant.source] = variant.apply(sources[variant.source])
    document = _document(worker, sources, variant)
    with ExitStack() as stack:
        if cache is None:
            temporary = tempfile.TemporaryDirectory(prefix="omnibazaar-variant-")
            directory = Path(stack.enter_context(temporary))
        else:
            directory = cache / hashlib.sha256(json.dumps(document).encode()).hexdigest()[:32]
        if not (directory / DONE).exists():
            directory.mkdir(parents=True, exist_ok=True)
            for path in artifact.ARTIFACTS.glob("*.json"):
                (directory / path.name).write_text(path.read_text())
            write_artifacts(worker.compile(document), directory)
            (directory / DONE).touch()
        yield directory


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
