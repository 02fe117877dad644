"""Assets, terms and one proposal of a node that is none.

Rule: answers have the shape of a real node's.
Spec: docs/reference/api.md (Listings). Deviations: nothing is ever decided.
"""

from __future__ import annotations

from node.api.listing_views import Assets, ListingProposal, Listings, MarketTerms
from node.api.views import Market


class FakeListings:
    """What a fake service lists."""

    height: int

    def markets(self) -> tuple[Market, ...]:
        raise NotImplementedError

    def assets(self) -> Assets:
        found = {asset.id: asset for m in self.markets() for asset in (m.base, m.quote)}
        return Assets(assets=tuple(found[number] for number in sorted(found)))

    def terms(self, market: int) -> MarketTerms:
        name = self.markets()[market].name
        return MarketTerms(market=market, round=0, terms={"name": name})

    def listings(self) -> Listings:
        wish = ListingProposal(
            id=b"\x07" * 32,
            kind="market",
            market=None,
            round=0,
            height=9,
            opening_blocks=3,
            terms={"name": "NEW-USDX"},
            voters=(b"\x08" * 20,),
            weight=1,
        )
        return Listings(height=self.height, round=0, weight=4, proposals=(wish,), decided=())
