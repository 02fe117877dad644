"""A newcomer registers on the EVM chain, follows, earns its score, gets a seat and votes.

Rule: real processes; nothing but the registry tells the others of the newcomer.
Spec: docs/spec/consensus.md (Epochs); docs/spec/node.md (Directory). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from devnet.limits import EPOCH_BLOCKS_MIN
from tests.devnet.local_devnet import LocalDevnet
from tests.devnet.newcomer import Newcomer

pytestmark = pytest.mark.processes

EPOCH = EPOCH_BLOCKS_MIN
SEATED_S = 240


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--epoch", str(EPOCH), "--traders", "2")
    return devnet


@pytest.fixture(scope="module")
def newcomer(devnet: LocalDevnet) -> Iterator[Newcomer]:
    newcomer = Newcomer(devnet, 4)
    yield newcomer
    newcomer.remove()


def test_an_unregistered_key_is_let_in_by_nobody_and_told_so(
    devnet: LocalDevnet, newcomer: Newcomer
) -> None:
    newcomer.start()
    status = devnet.until(newcomer.status, 45, "the newcomer answers")
    codes = devnet.until(
        lambda: [p["code"] for p in newcomer.status()["problems"]], 20, "it says what is wrong"
    )
    assert "VAL001" in codes
    assert status["validator"]["index"] is None
    assert newcomer.status()["final"] == 0


def test_a_registered_one_follows_then_takes_a_seat_and_votes(
    devnet: LocalDevnet, newcomer: Newcomer
) -> None:
    newcomer.register()
    devnet.until(
        lambda: newcomer.status().get("executed", 0) > max(devnet.finals()) - 10 > 0,
        90,
        "it follows",
    )
    devnet.until(
        lambda: not any(p["code"] == "VAL001" for p in newcomer.status()["problems"]),
        20,
        "it knows that it is registered",
    )
    devnet.until(
        lambda: newcomer.status().get("validator", {}).get("votes_sent"),
        SEATED_S,
        "it votes from a seat",
    )
    seated = devnet.ask("v0", "/v1/validators")["validators"]
    assert newcomer.plan.key.address.hex() in {row["address"][2:].lower() for row in seated}


def test_it_carries_the_chain_when_a_founder_is_gone(
    devnet: LocalDevnet, newcomer: Newcomer
) -> None:
    rows = devnet.ask("v1", "/v1/validators")["validators"]
    seated = [name for name in devnet.names if name in {row["name"] for row in rows}]
    gone, others = seated[0], tuple(n for n in devnet.names if n != seated[0])
    devnet.kill(gone)
    reached = max(devnet.finals(others))
    devnet.wait_final(reached + 10, others, limit_s=90)
    devnet.until(lambda: newcomer.status().get("final", 0) > reached + 5, 60, "it goes along")
    devnet.start(gone)
    devnet.wait_final(reached + 20, limit_s=90)
