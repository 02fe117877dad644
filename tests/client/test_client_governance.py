"""A validator's word on a market, made and signed by the SDK, counts on the ledger."""

from __future__ import annotations

import pytest

from client.actions import ActionBuilder
from client.errors import ClientError
from client.governance import PHASES, make_market_vote
from client.keys import Credentials
from exchange.reasons import Reason
from tests.exchange.world import DOMAIN, World


def test_a_vote_signed_by_the_sdk_counts() -> None:
    world = World()
    votes = []
    for hot_key in world.validators[:3]:
        builder = ActionBuilder(
            domain=DOMAIN,
            credentials=Credentials.of_wallet(hot_key),
            clock=lambda: world.time_ms,
        )
        votes.append(builder.sign(make_market_vote(0, 0, "CANCEL_ONLY")).envelope)
    outcome = world.block(*votes)
    assert outcome.receipts[-1].statuses == [Reason.OK]
    assert PHASES[world.state.markets[0].status] == "CANCEL_ONLY"


def test_an_unknown_phase_is_refused_before_it_is_signed() -> None:
    with pytest.raises(ClientError):
        make_market_vote(0, 0, "HALTED")
