"""Measure which lines and branches of the contracts the contract tests execute.

Rule: the contracts are compiled without the optimizer, run on py-evm under the same tests, and the
trace is laid over the compiler's own source maps.

    python -m tests.contracts.coverage                 # the vault's contracts
    python -m tests.contracts.coverage --private       # those for private tokens
    python -m tests.contracts.coverage --minimum 98    # fail below 98 % of lines or branches

Spec: docs/explanation/audit.md
Deviations: tests of gas figures and of rebuilt artifacts are left out: the code is another one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from contracts import artifact
from tests.contracts.coverage.report import Coverage, compute_coverage
from tests.contracts.coverage.tracer import tracing
from tests.contracts.mutation.project import CONFIDENTIAL_TOKENS, SETTLEMENT, Project
from tests.contracts.solc_worker import solc_worker, write_artifacts

OUTPUTS = [
    "evm.bytecode.sourceMap",
    "evm.deployedBytecode.sourceMap",
    "evm.deployedBytecode.immutableReferences",
]
ROOT = Path(__file__).parents[3]
TESTS = "tests/contracts"
LEFT_OUT = "not anvil and not covers_a_full_committee"
NO_CONTRACTS = (
    "test_contract_build.py",
    "test_contract_coverage.py",
    "test_contract_interleavings.py",
    "test_contract_mutants.py",
    "test_evm_chain.py",
    "test_http_rpc.py",
    "test_mpc_emulation.py",
    "test_transaction_signing.py",
    "test_transactor.py",
)
"""Test files that run no contract of the vault's, or only ones that other files run as well."""
EXIT_FAILED, EXIT_BELOW = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run the tests under the tracer and print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.coverage")
    parser.add_argument("--minimum", type=float, default=0.0, help="percent of lines and branches")
    parser.add_argument("--private", action="store_true", help="contracts for private tokens")
    parser.add_argument("tests", nargs="*", help="test files or folders")
    options = parser.parse_args(arguments)
    os.chdir(ROOT)
    project = CONFIDENTIAL_TOKENS if options.private else SETTLEMENT
    code, found = cover(project, options.tests or tests_of(project))
    lowest = print_table(found)
    if code != 0:
        print("the tests failed: the figures are not to be used", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_BELOW if lowest < options.minimum else 0


def tests_of(project: Project) -> list[str]:
    """What to run, as pytest's arguments."""
    private = [f"{TESTS}/{path.name}" for path in sorted(Path(TESTS).glob("test_confidential_*"))]
    if project is CONFIDENTIAL_TOKENS:
        return private
    ignored = [*(f"{TESTS}/{name}" for name in NO_CONTRACTS), *private]
    return [*(f"--ignore={path}" for path in ignored), TESTS]


def cover(project: Project, tests: list[str]) -> tuple[int, list[Coverage]]:
    """Run tests on a project's contracts as compiled without the optimizer, and watch."""
    with ExitStack() as stack:
        worker = stack.enter_context(solc_worker(project.folder, project.root))
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="omnibazaar-cover-"))
        document = worker.document(worker.sources, optimize=False, outputs=OUTPUTS)
        wanted = document["settings"]["outputSelection"].pop("*")["*"]
        own = [name for name in worker.sources if name.startswith(project.prefix)]
        document["settings"]["outputSelection"] = {
            name: {"*": wanted, "": ["ast"]} for name in own if not name.startswith("@")
        }
        output = worker.compile(document)
        shutil.copytree(artifact.ARTIFACTS, name, dirs_exist_ok=True)  # of other chains' contracts
        write_artifacts(output, Path(name))
        artifact.ARTIFACTS = Path(name)
        with tracing() as trace:
            quiet = ["-q", "--no-header", "-p", "no:cacheprovider"]
            code = pytest.main([*quiet, "-k", LEFT_OUT, *tests])
        owned = [name for name in output["sources"] if project.owns(name)]
        return code, compute_coverage(output, worker.sources, trace, owned)


def print_table(found: list[Coverage]) -> float:
    """Print a row for each source and one for all; returns the lower of both percentages."""
    print(f"{'source':28} {'lines':>14} {'branches':>14}  missing")
    totals = [0, 0, 0, 0]
    for one in found:
        lines, branches = one.lines, one.branches
        totals = [a + b for a, b in zip(totals, (*lines, *branches), strict=True)]
        missing = ", ".join([*map(str, one.missing_lines()), *one.missing_branches()])
        print(f"{one.measured.name:28} {share(*lines):>14} {share(*branches):>14}  {missing}")
    print(f"{'all':28} {share(*totals[:2]):>14} {share(*totals[2:]):>14}")
    return min(100 * totals[0] / totals[1], 100 * totals[2] / totals[3])


def share(some: int, every: int) -> str:
    """`17/18  94.4 %`."""
    return f"{some}/{every} {100 * some / every if every else 100:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
