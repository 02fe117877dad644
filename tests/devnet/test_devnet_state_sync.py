"""A validator that lost its chain fetches the state, follows and votes again.

Rule: keys and signing history stay, as the how-to says; the rest comes from the network.
Spec: docs/spec/state-sync.md. Deviations: none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing

import pytest

from devnet.limits import EPOCH_BLOCKS_MIN
from devnet.plan import CHECKPOINT_INTERVAL
from storage.block_store import BlockStore
from storage.chain_store import ChainStore
from storage.pruning import delete_below
from storage.snapshots import Snapshots
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
    devnet.wait_final(BEHIND + 55, others)
    data = devnet.folder.data("v3")
    shutil.rmtree(data.chain)
    shutil.rmtree(data.cache)
    with data.config_file.open("a") as config:
        config.write(f"\n[sync]\nbehind_blocks = {BEHIND}\n")
    devnet.start("v3")
    devnet.wait_final(max(devnet.finals(others)) + 5)
    devnet.until(lambda: devnet.read("v3", "/v1/status")["validator"]["votes_sent"] > 3, "v3 votes")
    assert "adopted the state of height" in data.log_file.read_text()
    assert not data.sync_file.exists()
    oldest = min(devnet.hashes("v3", 1, devnet.final("v3")))
    assert oldest >= BEHIND, "the blocks before the state were not fetched"
    top = min(devnet.finals())
    assert devnet.hashes("v3", oldest, top) == devnet.hashes("v0", oldest, top)
    assert devnet.read("v3", "/v1/markets")["markets"][0]["trades"] > 0


def prune(devnet: LocalDevnet, name: str) -> int:
    """Have a stopped node forget its oldest blocks, as it would when they take too much space."""
    data = devnet.folder.data(name)
    with (
        closing(BlockStore(data.chain / "blocks.sqlite")) as blocks,
        closing(ChainStore(data.chain / "chain.sqlite", devnet.plan.network_id)) as store,
    ):
        oldest = sorted(one.height for one in Snapshots(blocks).complete())[-2]
        delete_below(store.database, store.path, oldest)
    return oldest


def test_a_running_node_that_nobody_can_give_blocks_fetches_the_state_by_itself(
    devnet: LocalDevnet,
) -> None:
    others = ("v0", "v1", "v2")
    log = devnet.folder.data("v3").log_file
    begun = log.read_text().count("adopted the state of height")
    devnet.pause("v3")
    paused = max(devnet.finals(others))
    devnet.wait_final(paused + 4 * CHECKPOINT_INTERVAL + 40, others)
    devnet.kill(*others)
    assert min(prune(devnet, name) for name in others) > paused + 1
    devnet.start(*others)
    devnet.resume("v3")
    devnet.wait_final(paused + 4 * CHECKPOINT_INTERVAL + 40)
    assert "too far behind a certified state" in log.read_text()
    assert log.read_text().count("adopted the state of height") == begun + 1
    found = devnet.hashes("v3", paused + 1, devnet.final("v3"))  # as far as they are executed
    known = devnet.hashes("v0", min(found), max(found))
    assert found == known


def test_it_starts_again_from_what_it_adopted(devnet: LocalDevnet) -> None:
    devnet.kill("v3")
    devnet.start("v3")
    devnet.wait_final(max(devnet.finals(("v0", "v1", "v2"))) + 5)
