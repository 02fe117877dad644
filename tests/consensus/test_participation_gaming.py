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


def gain(
    what: dict[str, object],
    players: int,
    count: int = VALIDATORS,
    noise_percent: int = NOISE_PERCENT,
) -> int:
    return compute_gain(
        Behaviour(**what),  # type: ignore[arg-type]
        count,
        players,
        epoch_blocks=EPOCH_BLOCKS,
        noise_percent=noise_percent,
    )


@pytest.mark.parametrize("name", DEVIATIONS)
def test_gaming_does_not_pay(name: str):
    one, third = (gain(DEVIATIONS[name], players) for players in (1, VALIDATORS // 3))
    assert one <= 0
    assert third <= 0
    numbers = f"{one:,} | {third:,} |".replace("-", "−")
    row = f"| {name} | {numbers}"
    assert row in PAGE.read_text(encoding="utf-8"), f"the page lacks: {row}"


@pytest.mark.parametrize("late_percent", [5, 25, 40])
def test_withholding_votes_does_not_pay_a_third_of_a_large_committee(late_percent: int):
    assert gain({"votes_withheld": True}, 52 // 3, 52, late_percent) <= 0
