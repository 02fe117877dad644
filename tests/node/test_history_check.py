"""Facts about a node whose chain is not the one that the vault knows.

Spec: docs/spec/consensus.md (Old keys). Deviations: none.
"""

from __future__ import annotations

import pytest
import trio

from contracts.settlement_types import VaultStatus
from node.problems import Problems
from node.settlement.history_check import HistoryCheck

MINE = {7: b"\x07" * 32, 8: b"\x08" * 32, 40: b"\x28" * 32}
CODE = "EVM012-31337"


def status_at(height: int, block_hash: bytes) -> VaultStatus:
    return VaultStatus(
        evm_block=1,
        epoch=1,
        committee_hash=bytes(32),
        executed_height=height - 1,
        block_height=height,
        accepted_at_s=0,
        checkpoints=1,
        state_root=bytes(32),
        block_hash=block_hash,
        snapshot_height=0,
        snapshot_digest=bytes(32),
        deposits=0,
    )


class Node:
    """A chain of three blocks beside a vault."""

    def __init__(self) -> None:
        self.problems = Problems()
        self.asked: list[int] = []
        self.check = HistoryCheck(
            31337, epoch_heights=40, read_hash=self.read, problems=self.problems
        )

    async def read(self, height: int) -> bytes | None:
        self.asked.append(height)
        return MINE.get(height)

    def hear(self, height: int, block_hash: bytes) -> bool:
        """Tell what the vault accepted; True while the node may do its duties."""
        trio.run(self.check.compare, status_at(height, block_hash))
        return not self.problems.stops_duties


@pytest.fixture
def node() -> Node:
    return Node()


def test_a_made_up_history_is_noticed_and_ends_the_readiness(node: Node) -> None:
    assert node.hear(7, MINE[7])
    assert not node.hear(8, b"\xff" * 32)
    assert [one.code for one in node.problems.conditions()] == [CODE]
    assert node.hear(8, MINE[8]), "an endpoint that lied is answered for by another"


def test_what_is_not_here_yet_or_stands_beside_a_seal_contradicts_nothing(node: Node) -> None:
    assert node.hear(9, b"\xff" * 32)
    assert node.hear(40, b"\xff" * 32)


def test_an_agreed_block_is_read_once(node: Node) -> None:
    for _ in range(3):
        node.hear(7, MINE[7])
    assert node.asked == [7]
