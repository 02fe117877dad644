"""Offer one running devnet per test file.

Rule: every devnet lives in a folder of its own and is stopped at the end, whatever happened.
Spec: docs/reference/devnet.md. Deviations: none.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.devnet.fake_clock import find_library
from tests.devnet.local_devnet import LocalDevnet
from tests.devnet.storm import Storm, storm_seed

_left_out_key = pytest.StashKey[list[str]]()


def can_mount() -> bool:
    """Return whether this user may mount a small disk on this machine."""
    with tempfile.TemporaryDirectory() as place:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", place]
        try:
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return False
        except OSError:
            return False
        subprocess.run(["umount", "-l", place], check=True)
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this machine cannot do to a daemon."""
    conditions: dict[str, Callable[[], object]] = {
        "small_disk": can_mount,
        "fake_clock": find_library,
    }
    words = config.stash.setdefault(_left_out_key, [])
    for marker, is_given in conditions.items():
        wanting = [item for item in items if item.get_closest_marker(marker)]
        if wanting and not is_given():
            words.append(f"{len(wanting)} tests left out: this machine lacks `{marker}`")
            config.hook.pytest_deselected(items=wanting)
            items[:] = [item for item in items if item not in set(wanting)]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what was left out."""
    return config.stash.get(_left_out_key, [])


@pytest.fixture(scope="module")
def new_devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], LocalDevnet]]:
    """Make folders for devnets; what runs in them at the end of the file is stopped."""
    made: list[LocalDevnet] = []
    roots: list[Path] = []
    storm = Storm(storm_seed(), roots) if storm_seed() else None

    def make() -> LocalDevnet:
        roots.append(tmp_path_factory.mktemp("devnet"))
        made.append(LocalDevnet(roots[-1]))
        return made[-1]

    if storm is not None:
        storm.start()
    try:
        yield make
    finally:
        if storm is not None:
            storm.end()
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
