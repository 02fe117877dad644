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
from tests.devnet.lone_node import LoneNode
from tests.devnet.report import describe
from tests.devnet.storm import Storm, storm_seed

_left_out_key = pytest.StashKey[list[str]]()
_devnets: list[LocalDevnet] = []
"""Those of the file that runs now."""


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


def _lone_nodes(item: pytest.Item) -> list[LoneNode]:
    fixtures = getattr(item, "funcargs", {}).values()
    return [one for one in fixtures if isinstance(one, LoneNode)]


@pytest.fixture(scope="module")
def new_devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], LocalDevnet]]:
    """Make folders for devnets; what runs in them at the end of the file is stopped."""
    made = _devnets
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
        made.clear()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Show how every node is, what it wrote last and what was typed when a test fails."""
    report = yield
    if report.failed:
        report.sections += describe(_devnets, _lone_nodes(item))
    return report
