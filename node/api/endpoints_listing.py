"""Answer for what is listed: assets, whole terms, and what validators want listed or changed.

Rule: looking needs nothing; a word is an action like every other, signed by a validator's key.
Spec: docs/reference/api.md (Listings). Deviations: none.
"""

from __future__ import annotations

from node.api.endpoint import Call, Endpoint
from node.api.endpoints_market import MARKET
from node.api.listing_views import Assets, Listings, MarketTerms


async def get_assets(call: Call) -> Assets:
    """Return all assets."""
    return call.service.assets()


async def get_market_terms(call: Call) -> MarketTerms:
    """Return all terms of a market."""
    return call.service.terms(call.values["market"])


async def get_listings(call: Call) -> Listings:
    """Return wishes and decisions."""
    return call.service.listings()


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/assets",
        summary="All assets",
        handler=get_assets,
        answer=Assets,
    ),
    Endpoint(
        method="GET",
        path="/v1/markets/{market}/terms",
        summary="All terms of a market, as the network file has them",
        handler=get_market_terms,
        answer=MarketTerms,
        parameters=(MARKET,),
    ),
    Endpoint(
        method="GET",
        path="/v1/listings",
        summary="What validators want listed or changed, and what is decided",
        handler=get_listings,
        answer=Listings,
    ),
)
