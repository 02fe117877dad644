"""A refused order opens no balance and no side in a market: what is refused has changed nothing."""

from __future__ import annotations

import pytest

from exchange.actions import (
    AnyOp,
    Place,
    PlaceIceberg,
    PlaceSchedule,
    PlaceTrailing,
    PlaceTrigger,
)
from exchange.reasons import Reason
from tests.exchange.world import World, make_genesis, make_key

ORDERS: tuple[AnyOp, ...] = (
    Place(0, 0, 1_001, 7),
    PlaceIceberg(0, 0, 1_000, 7, 2, 0, 0, 0),
    PlaceSchedule(0, 0, 1_000, 7, 2, 1_000, 0, 0, 0),
    PlaceTrigger(0, 0, 7, 2_000, 1_001, 0, 0, 0, 0, 0, 0),
    PlaceTrailing(0, 0, 7, 1_001, 50, False, 0, 0, 0, 0, 0),
)


POOR = 7_014  # the notional and fees of 7 lots at 1,000, and no cushion of a plan


@pytest.mark.parametrize("op", ORDERS, ids=lambda op: type(op).__name__)
def test_who_cannot_pay_opens_nothing(op: AnyOp) -> None:
    world = World(make_genesis(markets=1))
    world.fund("a")
    world.fund("poor", quote=POOR, base=0)
    outcome = world.block(world.act("poor", op), world.act("a", op))
    poor, rich = (receipt.statuses[0] for receipt in outcome.receipts)
    assert poor == Reason.INSUFFICIENT_FUNDS
    assert rich < 16, "the same order of somebody who can pay"
    account = world.state.by_address[make_key("poor").address]
    assert [(entry.asset, entry.free) for entry in account.entries] == [(0, POOR)]
    assert not account.traders
