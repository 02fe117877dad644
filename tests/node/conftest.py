"""Leave browser tests out, and say so, where there is no browser; in CI that is an error.

Rule: a test either runs or says in one line why it does not.
Spec: docs/how-to/run-the-tests.md. Deviations: none.
"""

from __future__ import annotations

import os
import shutil

import pytest

BROWSER = "chromium"
DRIVER = "chromedriver"
_left_out = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: needs chromium and chromedriver")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanting = [item for item in items if item.get_closest_marker("browser")]
    missing = [name for name in (BROWSER, DRIVER) if shutil.which(name) is None]
    if not wanting or not missing:
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError(f"{len(wanting)} tests need {' and '.join(missing)}")
    config.stash[_left_out] = len(wanting)
    config.hook.pytest_deselected(items=wanting)
    items[:] = [item for item in items if item not in set(wanting)]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    count = config.stash.get(_left_out, 0)
    return [f"{count} tests of the page left out: no {BROWSER} or {DRIVER}"] if count else []
