"""The generated chain is one that a node accepts, by state and block by block."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from bench.catch_up import KEYS, fetch_state, make_file
from bench.catch_up_replay import replay
from bench.long_chain import LongChain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory):
    chain = LongChain(make_file(), KEYS, tmp_path_factory.mktemp("peer"))
    chain.grow(400)
    yield chain
    chain.close()


async def test_an_empty_node_has_the_state_over_libp2p(chain: LongChain, tmp_path: Path) -> None:
    with trio.fail_after(60):
        found = await fetch_state(chain, tmp_path)
    assert found["equal"]
    assert found["state_height"] == 320


def test_a_replica_accepts_every_block(chain: LongChain, tmp_path: Path) -> None:
    found = replay(chain, tmp_path / "replay", 200)
    assert found["replay_equal"]
    assert found["replayed"] >= 200
