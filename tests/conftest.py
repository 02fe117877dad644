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

_left_out_key = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here, and remember why."""
    reasons = config.stash.setdefault(_left_out_key, [])
    if soak_factor() == 1 and (count := _leave_out(config, items, "soak")):
        reasons.append(f"{count} tests left out that run when {SOAK_VARIABLE} is above 1")
    wanting = sum(1 for item in items if item.get_closest_marker("data"))
    directory = data_directory()
    if not wanting or (directory is not None and directory.is_dir()):
        return
    if in_ci() or directory is not None:
        raise pytest.UsageError(
            f"{wanting} tests need recorded data, but {DATA_VARIABLE} is"
            f" {'unset' if directory is None else f'not a folder: {directory}'}"
        )
    _leave_out(config, items, "data")
    reasons.append(f"{wanting} tests of recorded data left out: {DATA_VARIABLE} is unset")


def _leave_out(config: pytest.Config, items: list[pytest.Item], marker: str) -> int:
    """Deselect the tests with a marker; return how many there were."""
    marked = {item for item in items if item.get_closest_marker(marker)}
    if marked:
        config.hook.pytest_deselected(items=[item for item in items if item in marked])
        items[:] = [item for item in items if item not in marked]
    return len(marked)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what was left out."""
    return config.stash.get(_left_out_key, [])


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
