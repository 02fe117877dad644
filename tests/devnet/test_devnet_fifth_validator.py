"""A fifth validator joins by the how-to alone, follows, earns its score, gets a seat and votes.

Rule: real processes; the commands are the page's, and nothing but the registry tells the others.
Spec: docs/how-to/join-as-a-validator.md; docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from devnet.limits import EPOCH_BLOCKS_MIN
from tests.devnet.fifth import FifthValidator, read_sections
from tests.devnet.local_devnet import LocalDevnet

pytestmark = pytest.mark.processes

EPOCH = EPOCH_BLOCKS_MIN
SEATED_S = 480  # a border must come


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--epoch", str(EPOCH), "--traders", "2")
    return devnet


@pytest.fixture(scope="module")
def fifth(devnet: LocalDevnet) -> Iterator[FifthValidator]:
    fifth = FifthValidator(devnet)
    yield fifth
    fifth.remove()


def seats(devnet: LocalDevnet) -> set[str]:
    return {row["address"] for row in devnet.read("v0", "/v1/validators")["validators"]}


def test_the_page_has_the_sections_that_are_followed_here() -> None:
    assert list(read_sections())[:5] == [
        "Folder and keys",
        "Settings",
        "Coins",
        "Register",
        "Run",
    ]


def test_an_unregistered_key_is_let_in_by_nobody_and_told_so(
    devnet: LocalDevnet, fifth: FifthValidator
) -> None:
    fifth.run_section("Folder and keys")
    fifth.run_section("Settings")
    fifth.start()
    status = devnet.until(fifth.status, "the newcomer answers")
    devnet.until(lambda: "VAL001" in fifth.problems(), "it says what is wrong")
    assert status["validator"]["index"] is None
    status = devnet.until(fifth.status, "it still answers")
    assert status["final"] == 0


def test_a_registered_one_follows_then_takes_a_seat_and_votes(
    devnet: LocalDevnet, fifth: FifthValidator
) -> None:
    fifth.run_section("Coins")
    said = "".join(fifth.run_section("Register"))
    assert said.count("done: ") == 2
    devnet.until(
        lambda: fifth.status().get("executed", 0) > max(devnet.finals()) - 10 > 0, "it follows"
    )
    devnet.until(lambda: "VAL001" not in fifth.problems(), "it knows that it is registered")
    devnet.until(fifth.votes, "it votes from a seat", SEATED_S)
    hot_key = fifth.address("validator")
    devnet.until(lambda: hot_key in seats(devnet), "a founder sees it in its seat")
    status, *_ = (fifth.run_line(line) for line in fifth.sections["Run"][1:])
    assert "25000 XOM  bonded" in status
    assert "seat " in status


def test_it_carries_the_chain_when_a_founder_is_gone(
    devnet: LocalDevnet, fifth: FifthValidator
) -> None:
    rows = devnet.read("v1", "/v1/validators")["validators"]
    seated = [name for name in devnet.names if name in {row["name"] for row in rows}]
    gone, others = seated[0], tuple(n for n in devnet.names if n != seated[0])
    devnet.kill(gone)
    reached = max(devnet.finals(others))
    devnet.wait_final(reached + 10, others)
    devnet.until(lambda: fifth.status().get("final", 0) > reached + 5, "it goes along")
    devnet.start(gone)
    devnet.wait_final(reached + 20)
