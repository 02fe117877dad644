"""A validator restored from an old copy of its data stops by itself, and comes back when told to.

Rule: the copy is a real one, of a real data directory, older than votes that the network holds.
Spec: docs/reference/signing.md (Doppelganger). Deviations: none.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from devnet.folders import node_command, node_environment
from node.cli import exits
from node.cli.root import call
from tests.devnet.commands import REPOSITORY
from tests.devnet.local_devnet import PATIENCE_S, LocalDevnet

pytestmark = pytest.mark.processes

VOTES_BETWEEN = 80  # more than the guard keeps above its floor


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--traders", "0")
    return devnet


def run_v3(devnet: LocalDevnet) -> int:
    """Run v3 in the foreground until it ends by itself; return its exit code."""
    return subprocess.run(
        node_command(devnet.folder.data("v3")),
        cwd=REPOSITORY,
        env={**node_environment(), "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    ).returncode


def votes(devnet: LocalDevnet) -> int:
    """Return how often v3 has voted in this life; a height that it has heard of is no vote."""
    status = devnet.ask("v3", "/v1/status")
    return 0 if status is None else int(status["validator"]["votes_sent"])


def test_an_old_copy_stops_and_comes_back_in_silence(devnet: LocalDevnet, tmp_path: Path) -> None:
    data = devnet.folder.data("v3")
    devnet.wait_final(5)
    devnet.kill("v3")
    shutil.copytree(data.root, tmp_path / "copy")
    devnet.start("v3")
    devnet.until(lambda: votes(devnet) > VOTES_BETWEEN, "v3 votes")
    devnet.wait_final(max(devnet.finals()) + 3)
    devnet.kill("v3")
    shutil.rmtree(data.root)
    shutil.copytree(tmp_path / "copy", data.root)
    assert run_v3(devnet) == exits.DOPPELGANGER
    assert data.doppelganger_file.exists()
    assert run_v3(devnet) == exits.DOPPELGANGER  # until somebody has looked
    assert call(["--data-dir", str(data.root), "signing", "distrust"]) == 0
    data.doppelganger_file.unlink()
    devnet.start("v3")
    reached = max(devnet.finals(("v0", "v1", "v2")))
    devnet.wait_final(reached, ("v3",))
    devnet.until(
        lambda: devnet.read("v3", "/v1/status")["validator"]["last_signed_view"] > 0,
        "v3 votes again",
    )
