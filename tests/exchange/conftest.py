"""Compile the exchange once for all tests that compare the two engines."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bench.compiled import build_engine

_left_out = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need a C compiler when there is none; CI has one."""
    wanting = [item for item in items if item.get_closest_marker("compiler")]
    if not wanting or shutil.which("gcc") or os.environ.get("CI") == "true":
        return
    config.stash[_left_out] = len(wanting)
    config.hook.pytest_deselected(items=wanting)
    items[:] = [item for item in items if item not in set(wanting)]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    count = config.stash.get(_left_out, 0)
    return [f"{count} tests of the compiled exchange left out: no gcc"] if count else []


@pytest.fixture(scope="session")
def compiled_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a compiled exchange, built with few optimisations to be quick."""
    return build_engine(tmp_path_factory.mktemp("compiled"), level="0")
