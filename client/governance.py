"""Say what a validator wants of a market or of the rules.

Rule: the operation counts only signed by the hot key of a committee member, alone in its action;
`ActionBuilder` with that key as its wallet does so.
Spec: docs/spec/markets.md; docs/spec/upgrades.md. Deviations: none.
"""

from __future__ import annotations

from typing import Final

from client.errors import ClientError
from exchange.actions import SetMarket, SetProtocol

PHASES: Final = ("OPEN", "POST_ONLY", "CANCEL_ONLY", "DELISTED")


def make_market_vote(market: int, phase_round: int, phase: str) -> SetMarket:
    """Vote for a phase of a market in the round that the node shows. Raises ClientError."""
    if phase not in PHASES:
        raise ClientError(f"a market's phase is one of {', '.join(PHASES)}")
    return SetMarket(market, phase_round, PHASES.index(phase))


def make_protocol_vote(decision_round: int, version: int, height: int) -> SetProtocol:
    """Vote for the rules of a version from a height on, in the round that the node shows.

    The version in force with height 0 calls off what was decided.
    """
    return SetProtocol(decision_round, version, height)
