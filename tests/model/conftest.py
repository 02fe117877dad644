"""Leave the model out where Spin is not installed.

Rule: what is left out is said in one line.
Spec: docs/how-to/run-the-tests.md. Deviations: none.
"""

from __future__ import annotations

import shutil

import pytest

_left_out_key = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of the model without its tools."""
    wanting = [item for item in items if item.get_closest_marker("spin")]
    if wanting and not (shutil.which("spin") and shutil.which("gcc")):
        config.stash[_left_out_key] = len(wanting)
        config.hook.pytest_deselected(items=wanting)
        items[:] = [item for item in items if item not in set(wanting)]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what was left out."""
    count = config.stash.get(_left_out_key, 0)
    return [f"{count} tests of the model left out: spin or gcc is not installed"] if count else []
