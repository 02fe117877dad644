"""A validator that lost its chain fetches the state, follows and votes again.

Rule: keys and signing history stay, as the how-to says; the rest comes from the network.
Spec: docs/spec/state-sync.md. Deviations: none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from devnet.limits import EPOCH_BLOCKS_MIN
from tests.devnet.local_devnet import LocalDevnet

pytestmark = pytest.mark.processes

EPOCH = EPOCH_BLOCKS_MIN
BEHIND = 30  # blocks from which v3 fetches a state


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--epoch", str(EPOCH), "--traders", "1")
    return devnet


def test_a_validator_without_its_chain_fetches_the_state_and_votes(devnet: LocalDevnet) -> None:
    devnet.wait_final(3)
    devnet.kill("v3")
    others = ("v0", "v1", "v2")
    devnet.wait_final(BEHIND + 55, others, limit_s=120)
    data = devnet.folder.data("v3")
    shutil.rmtree(data.chain)
    shutil.rmtree(data.cache)
    with data.config_file.open("a") as config:
        config.write(f"\n[sync]\nbehind_blocks = {BEHIND}\n")
    devnet.start("v3")
    devnet.wait_final(max(devnet.finals(others)) + 5, limit_s=90)
    devnet.until(
        lambda: devnet.ask("v3", "/v1/status")["validator"]["votes_sent"] > 3, 60, "v3 votes"
    )
    assert "adopted the state of height" in data.log_file.read_text()
    assert not data.sync_file.exists()
    oldest = min(devnet.hashes("v3", 1, devnet.final("v3")))
    assert oldest >= BEHIND, "the blocks before the state were not fetched"
    top = min(devnet.finals())
    assert devnet.hashes("v3", oldest, top) == devnet.hashes("v0", oldest, top)
    assert devnet.ask("v3", "/v1/markets")["markets"][0]["trades"] > 0


def test_it_starts_again_from_what_it_adopted(devnet: LocalDevnet) -> None:
    devnet.kill("v3")
    devnet.start("v3")
    devnet.wait_final(max(devnet.finals(("v0", "v1", "v2"))) + 5, limit_s=60)
