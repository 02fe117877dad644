"""Say what a validator wants listed, of a market, of the rules or of a vault.

Rule: the operation counts only signed by the hot key of a committee member, alone in its action;
`ActionBuilder` with that key as its wallet does so.
Spec: docs/spec/markets.md; docs/spec/upgrades.md;
docs/spec/exchange.md#vault-moves. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from client.errors import ClientError
from client.views import ListingProposal
from exchange.actions import ListAsset, ListMarket, MoveVault, SetMarket, SetProtocol, SetTerms
from exchange.genesis import AssetConfig, MarketConfig

PHASES: Final = ("OPEN", "POST_ONLY", "CANCEL_ONLY", "DELISTED", "AUCTION")
T = TypeVar("T")


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


def make_listing_vote(proposal: ListingProposal) -> ListAsset | ListMarket | SetTerms:
    """Say the same as a proposal that the node shows. Raises ClientError."""
    round_, height, terms = proposal.round, proposal.height, proposal.terms
    if proposal.kind == "asset":
        return ListAsset(round_, height, read_asset(terms))
    if proposal.kind == "market":
        return ListMarket(round_, height, proposal.opening_blocks, read_market(terms))
    if proposal.market is None:
        raise ClientError("new terms are those of a market")
    return SetTerms(proposal.market, round_, height, read_market(terms))


def read_asset(terms: Mapping[str, Any]) -> AssetConfig:
    """Read an asset's terms, named as in the network file. Raises ClientError."""
    return _read(terms, AssetConfig)


def read_market(terms: Mapping[str, Any]) -> MarketConfig:
    """Read a market's terms, named as in the network file; base and quote are asset ids.

    Raises ClientError.
    """
    return _read(terms, MarketConfig)


def _read(terms: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(terms, kind)
    except msgspec.ValidationError as error:
        raise ClientError(f"these are no such terms: {error}") from error


def make_move_vote(
    chain_id: int, vault: bytes, move_round: int, successor: bytes, at_ms: int
) -> MoveVault:
    """Vote for moving a vault's assets to another one, in the round that the node shows.

    The zero address with time 0 calls off what was decided.
    """
    return MoveVault(chain_id, vault, move_round, successor, at_ms)
