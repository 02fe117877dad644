"""Show assets, markets' whole terms, and what the committee wants listed or changed.

Rule: terms have the names and units of the network file; what is shown is what is voted on.
Spec: docs/reference/api.md (Listings); docs/spec/markets.md. Deviations: none.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from node.api.views import Address, Asset, Hex, View

Terms = Annotated[dict[str, Any], msgspec.Meta(extra={"json": "terms"})]
"""An entry of the network file: of `exchange.assets` or of `exchange.markets`."""
Kind = Literal["asset", "market", "terms"]


class Assets(View, frozen=True, kw_only=True):
    """All assets, in id order."""

    assets: tuple[Asset, ...]


class MarketTerms(View, frozen=True, kw_only=True):
    """All terms of one market."""

    market: int
    round: int  # changes of phase and terms so far
    terms: Terms


class ListingProposal(View, frozen=True, kw_only=True):
    """What at least one validator wants in the present round."""

    id: Hex  # keccak of the operation; equal wishes have equal ids
    kind: Kind
    market: int | None  # the market whose terms change
    round: int
    height: int  # first height, unless the decision comes too late
    opening_blocks: int
    terms: Terms
    voters: tuple[Address, ...]
    weight: int  # of those voters who are in the committee


class ListingDecided(View, frozen=True, kw_only=True):
    """What begins at a height."""

    kind: Kind
    market: int | None
    height: int
    terms: Terms


class Listings(View, frozen=True, kw_only=True):
    """What is wanted and what is decided."""

    height: int  # executed so far
    round: int  # decisions on listings so far
    weight: int  # of the whole committee; more than two thirds decide
    proposals: tuple[ListingProposal, ...]
    decided: tuple[ListingDecided, ...]
