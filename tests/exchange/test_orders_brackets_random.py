"""Random flow around brackets: exits cover what entries traded, lot for lot."""

from __future__ import annotations

import random

import pytest

from exchange import brackets, clearing, conditional
from exchange.actions import BUY, GTC, IOC, AnyOp, Cancel, Place, PlaceBracket
from exchange.outcome import CLOSED, WAITING
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.conftest import soak_factor
from tests.exchange.world import World, make_genesis

SEQUENCES = 200 * soak_factor()


def make_op(rng: random.Random, name: str, orders: int) -> AnyOp:
    side, price = rng.randrange(2), 1_000 + rng.randrange(-6, 7)
    if rng.random() < 0.1:
        return Cancel(0, rng.randrange(1, orders + 1))
    if name != "owner":
        return Place(0, side, price, rng.choice((1, 4, 9)), rng.choice((GTC, IOC)))
    low = 1_000 - rng.randrange(1, 6)
    if side == BUY:
        legs = (1_000 + rng.randrange(2, 6), 1_001, low, 900)
    else:
        legs = (1_000 + rng.randrange(2, 6), 1_100, low, 999)
    return PlaceBracket(0, side, price, rng.choice((3, 8)), GTC, 1, 0, *legs)


def run(seed: int) -> None:
    """Every balance is checked in every block by the world; here the lots are."""
    rng = random.Random(seed)
    mode = rng.choice(("fair", "sealed"))
    world = World(make_genesis(mode=mode, taker_bps=17))
    world.fund("maker", "taker")
    world.fund("owner", quote=rng.choice((30_000, 10**9)), base=rng.choice((0, 10**6)))
    owner, filled = world.number("owner"), 0
    armed: dict[int, int] = {}
    entries: set[int] = set()
    for _ in range(25):
        if rng.random() < 0.1:
            world.state = restore(world.genesis, snapshot(world.state))
        names = [rng.choice(("maker", "taker", "owner")) for _ in range(rng.randrange(5))]
        sent = [(name, make_op(rng, name, world.state.next_order)) for name in names]
        outcome = world.block(*[world.quick(name, op) for name, op in sent])
        for (_, op), receipt in zip(sent, outcome.receipts, strict=True):
            if isinstance(op, PlaceBracket) and receipt.orders[0]:
                entries.add(receipt.orders[0])
        for fill in outcome.fills:
            filled += fill.size * len({fill.maker_order, fill.taker_order} & entries)
        for event in outcome.orders:
            if (event.account == owner and event.kind == WAITING) or (
                event.kind == CLOSED and event.reason == Reason.INSUFFICIENT_FUNDS
            ):
                armed[event.order_id] = event.size
            if event.kind == CLOSED and event.reason == Reason.EXIT_REACHED:
                assert event.order_id in entries
        assert sum(armed.values()) == filled
    assert all(fill.maker_account != fill.taker_account for o in world.outcomes for fill in o.fills)


def run_many(count: int) -> None:
    for seed in range(count):
        run(seed)


def test_exits_cover_what_entries_traded() -> None:
    run_many(SEQUENCES)


def arm_twice(state, market, first_fill):  # type: ignore[no-untyped-def]
    closing = dict(market.plans.closing)
    right_arm(state, market, first_fill)
    market.plans.closing.update(closing)
    right_arm(state, market, first_fill)


def forget_filled_entries(state, market, first_fill):  # type: ignore[no-untyped-def]
    market.plans.closing.clear()
    right_arm(state, market, first_fill)


right_arm = brackets.arm_exits


@pytest.mark.parametrize("wrong", [arm_twice, forget_filled_entries])
def test_wrong_arming_is_caught(wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "arm_exits", wrong)
    with pytest.raises(AssertionError):
        run_many(60)


def test_an_entry_that_goes_on_after_its_exit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow reaches the rule: without it no entry ends for its exit."""
    seen: list[int] = []
    right = conditional.CancelRequest

    def note(trader, order_id, before, grant, reason, ticket):  # type: ignore[no-untyped-def]
        seen.append(reason)
        return right(trader, order_id, before, grant, reason, ticket)

    monkeypatch.setattr(conditional, "CancelRequest", note)
    run_many(60)
    assert Reason.EXIT_REACHED in seen
