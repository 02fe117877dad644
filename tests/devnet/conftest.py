"""Offer one running devnet per test file.

Rule: every devnet lives in a folder of its own and is stopped at the end, whatever happened.
Spec: docs/reference/devnet.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.devnet.local_devnet import LocalDevnet


@pytest.fixture(scope="module")
def new_devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], LocalDevnet]]:
    """Make folders for devnets; what runs in them at the end of the file is stopped."""
    made: list[LocalDevnet] = []

    def make() -> LocalDevnet:
        root: Path = tmp_path_factory.mktemp("devnet")
        made.append(LocalDevnet(root))
        return made[-1]

    try:
        yield make
    finally:
        for devnet in made:
            devnet.remove()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Show what the nodes wrote last when a test of theirs fails."""
    report = yield
    fixtures = getattr(item, "funcargs", {})
    devnet = next((v for v in fixtures.values() if isinstance(v, LocalDevnet)), None)
    if report.failed and devnet is not None:
        for log in sorted((devnet.folder.root / "logs").glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-25:]
            report.sections.append((log.name, "\n".join(line[:300] for line in lines)))
    return report
