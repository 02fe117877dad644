"""Compile one mutant and run the contracts' tests against it in a process of its own.

Rule: a mutant is killed by any failing test, by code that cannot be deployed, or by not coming to
an end; it is equivalent if the compiler makes the same code of it.

Spec: docs/explanation/audit.md
Deviations: compiled without the optimizer, for speed; the code limit is lifted.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import signal
import sys
import tempfile
import time
from enum import StrEnum
from pathlib import Path

import pytest

from contracts import artifact
from contracts.build import IMPORT
from tests.contracts.coverage.tracer import unlimited_code
from tests.contracts.mutation.operators import Mutant
from tests.contracts.solc_worker import CompileFailed, Json, SolcWorker, write_artifacts

ROOT = Path(__file__).parents[3]
TESTS = Path("tests") / "contracts"
TRIAL_SECONDS_MAX = 300
NARROW = {
    "Checkpoints": ("test_vault_checkpoints", "test_vault_fees", "test_vault_escape"),
    "Deposits": ("test_vault_deposits", "test_vault_orders"),
    "Escape": ("test_vault_escape",),
    "FeeDistributor": ("test_vault_fees", "test_vault_hostile_tokens"),
    "FeeShares": ("test_vault_fees",),
    "Finality": ("test_vault_checkpoints",),
    "Governance": ("test_vault_decisions",),
    "LedgerProof": ("test_vault_withdrawals", "test_vault_escape"),
    "Money": ("test_vault_hostile_tokens", "test_vault_orders"),
    "OmniCoin": ("test_vault_rewards",),
    "Penalties": ("test_validator_penalties", "test_validator_registry"),
    "Settlement": ("test_vault_rewards", "test_contract_deployment"),
    "TokenAccounts": ("test_vault_withdrawals", "test_vault_decisions"),
    "ValidatorRegistry": ("test_validator_registry", "test_validator_leaving"),
    "Votes": ("test_vault_checkpoints", "test_validator_registry"),
    "Withdrawals": ("test_vault_withdrawals", "test_vault_claim_fees"),
}
"""Where a source is tested first; the other tests of contracts follow."""
NO_MUTANTS_SEEN = (
    "test_contract_build",
    "test_contract_coverage",
    "test_contract_interleavings",
    "test_contract_mutants",
    "test_evm_chain",
    "test_http_rpc",
    "test_transaction_signing",
    "test_transactor",
)
LEFT_OUT = "not anvil and not covers_a_full_committee"


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    STILLBORN = "stillborn"


class TrialFailed(Exception):
    """The tests did not run, or they fail without a mutant: no verdict is to be believed."""


class Laboratory:
    """The compiler, the original code, and the tests."""

    def __init__(self, worker: SolcWorker) -> None:
        """Compile the original."""
        self._worker = worker
        every = {name for name in worker.sources if not name.startswith("@")}
        self._original = worker.compile(self._document(worker.sources, every))

    def verify_control(self, changed: set[str]) -> None:
        """Raise TrialFailed unless the contracts as they are pass the nearest tests of sources.

        Everything else is controlled by the suite itself, which CI runs on the same contracts.
        """
        nearest = {
            str(TESTS / f"{name}.py")
            for source in changed
            for name in NARROW.get(Path(source).stem, ())
        }
        with tempfile.TemporaryDirectory(prefix="omnibazaar-control-") as name:
            write_artifacts(self._original, Path(name))
            if run_tests(Path(name), sorted(nearest)) is not Verdict.SURVIVED:
                raise TrialFailed("the nearest tests fail without any mutant")

    def try_mutant(self, mutant: Mutant) -> Verdict:
        """Compile a mutant and run the tests against it."""
        sources = self._worker.sources
        changed = {**sources, mutant.source: mutant.apply(sources[mutant.source])}
        affected = users_of(mutant.source, sources)
        try:
            output = self._worker.compile(self._document(changed, affected))
        except CompileFailed:
            return Verdict.STILLBORN
        if _code(output).items() <= _code(self._original).items():
            return Verdict.EQUIVALENT
        directory = Path(tempfile.mkdtemp(prefix="omnibazaar-mutant-"))
        try:
            write_artifacts(self._original, directory)
            write_artifacts(output, directory)
            return run_tests(directory, test_files(mutant.source))
        finally:
            shutil.rmtree(directory)

    def _document(self, sources: dict[str, str], wanted: set[str]) -> Json:
        """The compiler's input: all sources, code of the wanted ones only."""
        document = self._worker.document(sources, optimize=False, outputs=[])
        outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]
        document["settings"]["outputSelection"] = {name: {"*": outputs} for name in sorted(wanted)}
        return document


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


def test_files(source: str) -> list[str]:
    """All tests of contracts, those of a source first."""
    every = sorted(path.stem for path in (ROOT / TESTS).glob("test_*.py"))
    first = [name for name in NARROW.get(Path(source).stem, ()) if name in every]
    rest = [name for name in every if name not in first and name not in NO_MUTANTS_SEEN]
    # Vaults are nearest to whatever is not named above; clients of them come last.
    rest.sort(key=lambda name: (not name.startswith("test_vault"), "interleavings" in name))
    return [str(TESTS / f"{name}.py") for name in (*first, *rest)]


def run_tests(artifacts: Path, files: list[str]) -> Verdict:
    """Run test files against artifacts, in a fork, until one fails."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os._exit(_tests_in_this_process(artifacts, files))
    deadline = time.monotonic() + TRIAL_SECONDS_MAX
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return _verdict(os.waitstatus_to_exitcode(status))
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return Verdict.TIMEOUT


def _verdict(code: int) -> Verdict:
    """Only tests that ran and failed kill a mutant; raises TrialFailed on anything else."""
    if code == pytest.ExitCode.OK:
        return Verdict.SURVIVED
    if code == pytest.ExitCode.TESTS_FAILED:
        return Verdict.KILLED
    raise TrialFailed(f"pytest ended with {code}: the tests did not run")


def _tests_in_this_process(artifacts: Path, files: list[str]) -> int:
    """The child's part; its output is not wanted."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.chdir(ROOT)
    artifact.ARTIFACTS = artifacts
    with unlimited_code():
        options = ["-x", "-q", "-p", "no:cacheprovider", "-k", LEFT_OUT]
        return int(pytest.main([*options, *files]))
