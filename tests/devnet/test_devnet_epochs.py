"""Real validators hand over from epoch to epoch, killed or far behind or not.

Rule: short epochs, so that every test crosses borders; the chain of blocks is compared by hash.
Spec: docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contracts.rpc import HttpRpc
from contracts.settlement_client import SettlementClient
from devnet.limits import EPOCH_BLOCKS_MIN
from node.network_file import load_network
from tests.devnet.local_devnet import LocalDevnet

pytestmark = pytest.mark.processes

EPOCH = EPOCH_BLOCKS_MIN
KILLS = 2  # of all validators; times the soak factor


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--epoch", str(EPOCH), "--traders", "1")
    return devnet


def epochs_of(devnet: LocalDevnet) -> dict[int, int]:
    """Return the epoch of every final height as v0 tells it."""
    page = devnet.read("v0", "/v1/blocks?limit=500")
    return {block["height"]: block["epoch"] for block in page["blocks"]}


def test_a_node_that_slept_through_borders_takes_its_seat_again(devnet: LocalDevnet) -> None:
    devnet.wait_final(EPOCH // 2)
    devnet.kill("v3")
    devnet.wait_final(2 * EPOCH + 5, ("v0", "v1", "v2"))
    devnet.start("v3")
    devnet.wait_final(2 * EPOCH + 10)
    votes = devnet.read("v3", "/v1/status")["validator"]["votes_sent"]
    devnet.until(
        lambda: devnet.read("v3", "/v1/status")["validator"]["votes_sent"] > votes, "v3 votes"
    )
    for height, epoch in epochs_of(devnet).items():
        assert epoch == (height - 1) // EPOCH + 1


def test_the_vault_follows_and_takes_checkpoints_of_later_epochs(devnet: LocalDevnet) -> None:
    deployment = devnet.plan.deployment
    network = load_network(devnet.folder.network_file)
    rpc = HttpRpc(devnet.record.rpc)
    client = SettlementClient(
        rpc,
        chain_id=devnet.record.chain_id,
        vault=deployment.vault,
        network_id=network.network_id,
    )

    def has_followed() -> bool:
        status = client.status()
        return status.epoch >= 3 and status.block_height > 2 * EPOCH

    try:
        devnet.until(has_followed, "the vault is in the third epoch, with a checkpoint of it")
    finally:
        rpc.close()


def test_all_killed_near_a_border_come_back_on_one_chain(devnet: LocalDevnet, soak: int) -> None:
    for _ in range(KILLS * soak):
        border = (max(devnet.finals()) // EPOCH + 1) * EPOCH
        devnet.wait_final(border - 2, ("v0",))
        devnet.kill(*devnet.names)
        devnet.start(*devnet.names)
        devnet.wait_final(border + 3)
    top = min(devnet.finals())
    chains = [devnet.hashes(name, max(1, top - 3 * EPOCH), top) for name in devnet.names]
    assert all(chain == chains[0] for chain in chains)


def read_in_one_epoch(devnet: LocalDevnet) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
    """Return the committee and the status that v1 shows in one epoch."""
    before = devnet.read("v1", "/v1/status")
    rows = devnet.read("v1", "/v1/validators")["validators"]
    after = devnet.read("v1", "/v1/status")
    return (rows, after) if before["epoch"] == after["epoch"] else None


def test_the_committee_of_the_epoch_is_shown_with_selected_weights(devnet: LocalDevnet) -> None:
    devnet.wait_final(EPOCH + 5)
    rows = devnet.read("v1", "/v1/validators")["validators"]
    assert {row["name"] for row in rows} == set(devnet.names)
    assert len({row["weight"] for row in rows}) == 1, "four equal shares, whatever the scores"
    assert rows[0]["weight"] > 1, "weights come from selection, not from the network file"
    rows, status = devnet.until(lambda: read_in_one_epoch(devnet), "an epoch lasts two questions")
    assert rows[status["validator"]["index"]]["is_self"]


def test_all_of_them_earn_points_for_storage_after_kills_and_sleep(devnet: LocalDevnet) -> None:
    def earn() -> bool:
        for row in devnet.read("v0", "/v1/validators")["validators"]:
            parts = devnet.read("v0", f"/v1/validators/{row['address']}/score")["parts"]
            storage = next(part for part in parts if part["name"] == "storage")
            if not storage["credits"] and not storage["ratio"]:
                return False
        return True

    devnet.until(earn, "the ledger holds answers of all four")
