"""Show what is listed, and what the committee wants listed or changed, from the state.

Rule: pure reading; an operation's id is the keccak of its MessagePack, the same on every node.
Spec: docs/reference/api.md (Listings). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from exchange.genesis import AssetConfig, MarketConfig
from exchange.operations import ListAsset, ListMarket, SetTerms
from exchange.state import State
from node.api.listing_views import Assets, Kind, ListingDecided, ListingProposal, Listings
from node.api.listing_views import MarketTerms as MarketTermsView
from node.views.ledger_views import make_asset
from primitives.keccak import keccak256

Wish = ListAsset | ListMarket | SetTerms


def make_assets(state: State) -> Assets:
    """Show all assets."""
    return Assets(assets=tuple(make_asset(state, asset.id) for asset in state.assets))


def make_terms(state: State, market: int) -> MarketTermsView:
    """Show all terms of a market."""
    live = state.markets[market]
    return MarketTermsView(market=market, round=live.round, terms=_show(live.terms))


def make_listings(state: State, weights: Mapping[bytes, int]) -> Listings:
    """Show wishes and decisions; `weights` are the committee's by hot key."""
    found: dict[bytes, tuple[Wish, list[bytes]]] = {}
    words: list[tuple[bytes, Wish]] = list(state.listings.words.items())
    for market in state.markets:
        words += market.change.words.items()
    for validator, wish in words:
        key = keccak256(msgspec.msgpack.encode(wish))
        found.setdefault(key, (wish, []))[1].append(validator)
    decided = [
        ListingDecided(kind=_kind(op), market=None, height=height, terms=_show(op.terms))
        for height, op in state.listings.decided
    ]
    for market in state.markets:
        change = market.change
        if change.terms is not None:
            terms = _show(change.terms)
            decided.append(
                ListingDecided(kind="terms", market=market.id, height=change.height, terms=terms)
            )
    return Listings(
        height=state.height,
        round=state.listings.round,
        weight=sum(weights.values()),
        proposals=tuple(
            ListingProposal(
                id=key,
                kind=_kind(wish),
                market=wish.market if isinstance(wish, SetTerms) else None,
                round=wish.round,
                height=wish.height,
                opening_blocks=wish.opening_blocks if isinstance(wish, ListMarket) else 0,
                terms=_show(wish.terms),
                voters=tuple(voters),
                weight=sum(weights.get(voter, 0) for voter in voters),
            )
            for key, (wish, voters) in found.items()
        ),
        decided=tuple(decided),
    )


def _kind(wish: Wish) -> Kind:
    if isinstance(wish, ListAsset):
        return "asset"
    return "market" if isinstance(wish, ListMarket) else "terms"


def _show(terms: AssetConfig | MarketConfig) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(terms)
    return plain
