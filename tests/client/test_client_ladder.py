"""A ladder covers its range evenly, adds up to its size, and rests in one action."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import ClientError
from client.ladder import make_ladder
from exchange.actions import BUY, SELL
from exchange.queries import get_depth
from exchange.reasons import Reason
from tests.exchange.world import World, make_genesis


def test_a_ladder_rests_as_one_action() -> None:
    world = World(make_genesis())
    world.fund("maker")
    outcome = world.block(world.act("maker", *make_ladder(0, SELL, 10, 1_001, 1_009, 4)))
    assert outcome.receipts[0].statuses == [Reason.OK] * 4
    assert get_depth(world.state, 0, 9)[1] == [(1_001, 3), (1_003, 3), (1_006, 2), (1_009, 2)]


@given(
    st.integers(0, 1), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(2, 64), st.data()
)
def test_it_adds_up_and_stays_in_range(
    side: int, low: int, width: int, steps: int, data: st.DataObject
) -> None:
    high = low + width + steps
    size = data.draw(st.integers(steps, 10**9))
    orders = make_ladder(0, side, size, low, high, steps)
    prices = [order.price for order in orders]
    assert sum(order.size for order in orders) == size
    assert max(order.size for order in orders) - min(order.size for order in orders) <= 1
    assert sorted(set(prices), reverse=side == BUY) == prices
    assert {min(prices), max(prices)} == {low, high}


@pytest.mark.parametrize(
    ("size", "low", "high", "steps"),
    [(10, 5, 9, 1), (100, 5, 900, 65), (10, 9, 5, 3), (10, 5, 6, 3), (2, 5, 50, 3), (9, 0, 9, 3)],
)
def test_what_makes_no_ladder_is_refused(size: int, low: int, high: int, steps: int) -> None:
    with pytest.raises(ClientError):
        make_ladder(0, SELL, size, low, high, steps)
