"""Settings for all tests: recorded data, soak length, reproducible examples.

Rule: a test either runs or says in one line why it does not; in CI the recorded data must be there.
Spec: docs/how-to/run-the-tests.md.
Deviations: none.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

DATA_VARIABLE = "OMNIBAZAAR_DATA"
SOAK_VARIABLE = "OMNIBAZAAR_SOAK"


def soak_factor() -> int:
    """Return how many times longer than in CI the random tests run (an integer, 1 if unset)."""
    return max(1, int(os.environ.get(SOAK_VARIABLE) or 1))


def data_directory() -> Path | None:
    """Return the folder of recorded data sets, or None when the variable is unset."""
    value = os.environ.get(DATA_VARIABLE)
    return Path(value) if value else None


def in_ci() -> bool:
    return os.environ.get("CI") == "true"


# Cores are shared and slow at times, so no example has a deadline. CI repeats the same examples.
settings.register_profile(
    "omnibazaar",
    deadline=None,
    max_examples=100 * soak_factor(),
    derandomize=in_ci() and soak_factor() == 1,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("omnibazaar")

_deselected_key = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of recorded data when there is none; in CI that is an error."""
    wanting = [item for item in items if item.get_closest_marker("data")]
    directory = data_directory()
    if not wanting or (directory is not None and directory.is_dir()):
        return
    if in_ci() or directory is not None:
        raise pytest.UsageError(
            f"{len(wanting)} tests need recorded data, but {DATA_VARIABLE} is"
            f" {'unset' if directory is None else f'not a folder: {directory}'}"
        )
    config.stash[_deselected_key] = len(wanting)
    config.hook.pytest_deselected(items=wanting)
    items[:] = [item for item in items if item not in set(wanting)]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what was left out."""
    count = config.stash.get(_deselected_key, 0)
    return [f"{count} tests of recorded data left out: {DATA_VARIABLE} is unset"] if count else []


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of recorded data sets; only for tests marked `data`."""
    directory = data_directory()
    assert directory is not None, "mark the test with `data`"
    return directory


@pytest.fixture(scope="session")
def soak() -> int:
    """How many times longer than in CI to run."""
    return soak_factor()
