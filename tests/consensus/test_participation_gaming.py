"""Facts about gaming: what a deviation adds to the income of one validator and of a third."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.participation.parameters import CHAT, STORAGE, TRADING
from tests.consensus.payoff import Behaviour, compute_gain

PAGE = Path(__file__).parents[2] / "docs/explanation/participation.md"
VALIDATORS = 10
EPOCH_BLOCKS = 160
NOISE_PERCENT = 5

DEVIATIONS: dict[str, dict[str, object]] = {
    "empty bundles, 2 % of their fees lost": {"empty_loss_percent": 2},
    "empty bundles against the inclusion duty, half of the time": {"leaves_slots": True},
    "self-trading, a tenth of all fees": {"self_traded": 100_000},
    "votes of others withheld beyond a quorum": {"votes_withheld": True},
    "every third vote too late": {"late_every": 3},
    "every second vote too late": {"late_every": 2},
    "silent to proposers outside the coalition": {"silent_to_others": True},
    "copied attestations": {},
    "attestations left out": {"services_ignored": (TRADING,)},
    "chat switched off": {"services_off": (CHAT,)},
    "storage switched off": {"services_off": (STORAGE,)},
    "storage offered, but no answers": {"services_ignored": (STORAGE,)},
    "storage answers copied from others": {"storage": "copied"},
    "storage answers made up together": {"storage": "made up"},
    "half of the chunks kept": {"storage": "half"},
    "storage answers told by a friend": {"storage": "friend"},
    "all services switched off": {"services_off": (TRADING, CHAT, STORAGE)},
}


def gain(what: dict[str, object], players: int, count: int = VALIDATORS, blocks: int = 0) -> int:
    return compute_gain(
        Behaviour(**what),  # type: ignore[arg-type]
        count,
        players,
        epoch_blocks=blocks or EPOCH_BLOCKS,
        noise_percent=NOISE_PERCENT,
    )


@pytest.mark.parametrize("name", DEVIATIONS)
def test_gaming_does_not_pay(name: str):
    one, third = (gain(DEVIATIONS[name], players) for players in (1, VALIDATORS // 3))
    assert one <= 0
    assert third <= 0
    numbers = f"{one:,} | {third:,} |".replace("-", "−")
    row = f"| {name} | {numbers}"
    assert row in PAGE.read_text(encoding="utf-8"), f"the page lacks: {row}"


def test_withholding_votes_does_not_pay_in_a_large_committee_either():
    what: dict[str, object] = {"votes_withheld": True}
    assert gain(what, 52 // 3, count=52, blocks=480) <= 0
