"""Find a Kubo to test against: `ipfs` on the PATH, or the program that OMNIBAZAAR_KUBO names."""

from __future__ import annotations

import os
import shutil

import pytest

KUBO_VARIABLE = "OMNIBAZAAR_KUBO"
KUBO_FILE = "test_storage_kubo_live.py"
_left_out = pytest.StashKey[int]()


def find_kubo() -> str | None:
    return os.environ.get(KUBO_VARIABLE) or shutil.which("ipfs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need a Kubo when there is none."""
    wanting = [item for item in items if item.path.name == KUBO_FILE]
    if wanting and find_kubo() is None:
        config.stash[_left_out] = len(wanting)
        config.hook.pytest_deselected(items=wanting)
        items[:] = [item for item in items if item not in set(wanting)]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    count = config.stash.get(_left_out, 0)
    line = f"{count} tests with a real Kubo left out: no `ipfs` on PATH, {KUBO_VARIABLE} is unset"
    return [line] if count else []


@pytest.fixture(scope="session")
def kubo_program() -> str:
    program = find_kubo()
    assert program is not None
    return program
