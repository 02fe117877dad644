"""Chains for the contract tests: py-evm always, anvil as well when it is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from web3 import Web3
from web3.providers import HTTPProvider

from contracts.build import MODULES_VARIABLE
from contracts.chain.anvil import find_anvil, start_anvil
from contracts.evm_web3 import verify_chain
from contracts.rpc import HttpRpc
from tests.contracts.harness import ACCOUNTS, CHAIN_ID, Evm, World, embedded_evm

COMPILING_TESTS = {
    "test_artifacts_are_rebuilt_to_the_byte",
    "test_the_tests_execute_the_contracts",
    "test_mutants_of_this_commit_are_noticed",
    "test_todays_wrong_contracts_are_noticed",
}
HAS_COMPILER = shutil.which("node") is not None and (
    os.environ.get(MODULES_VARIABLE) is not None or shutil.which("npm") is not None
)
BACKENDS = ["py-evm", *(["anvil"] if find_anvil() else [])]


@pytest.fixture(scope="session")
def anvil() -> Iterator[Evm]:
    """One anvil for the whole run; each test deploys afresh."""
    chain = start_anvil(chain_id=CHAIN_ID, block_ms=None, funded=[key.address for key in ACCOUNTS])
    provider = HTTPProvider(chain.url)
    rpc = HttpRpc(chain.url)
    yield Evm(rpc=rpc, web3=verify_chain(Web3(provider), CHAIN_ID))
    rpc.close()
    chain.stop()


@pytest.fixture(params=BACKENDS)
def evm(request: pytest.FixtureRequest) -> Evm:
    """A chain, once per backend."""
    if request.param == "anvil":
        return request.getfixturevalue("anvil")
    return embedded_evm()


@pytest.fixture
def world(evm: Evm) -> World:
    """Four validators of equal weight and the usual tokens."""
    return World(evm)


def pytest_report_header() -> list[str]:
    """Say on which chains the contracts are tested, and whether they are rebuilt."""
    missing = "" if find_anvil() else " (anvil is not installed: OMNIBAZAAR_ANVIL or PATH)"
    lines = [f"contract tests run on {', '.join(BACKENDS)}{missing}"]
    if not HAS_COMPILER:
        names = ", ".join(sorted(COMPILING_TESTS))
        lines.append(f"deselected: {names} (need node, and npm or {MODULES_VARIABLE})")
    return lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what needs a compiler where there is none."""
    if HAS_COMPILER:
        return
    compiling = [item for item in items if item.name in COMPILING_TESTS]
    config.hook.pytest_deselected(items=compiling)
    items[:] = [item for item in items if item.name not in COMPILING_TESTS]
