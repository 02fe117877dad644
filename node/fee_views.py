"""Show an account's fees as the API presents them.

Rule: pure reading of the state.
Spec: docs/reference/api.md; docs/spec/fees.md. Deviations: none.
"""

from __future__ import annotations

from exchange.queries import get_fees
from exchange.state import State
from node.api.fee_views import AccountFees, FeeTierView, MarketFee


def make_fees(state: State, address: bytes) -> AccountFees | None:
    """Show what an account pays on the day of the last block; None for one the ledger has not."""
    fees = get_fees(state, address)
    if fees is None:
        return None
    return AccountFees(
        address=address,
        height=state.height,
        day=fees.day,
        volume=fees.past,
        volume_today=fees.today,
        tier=fees.tier,
        maker_share_bps=fees.maker_share_bps,
        taker_share_bps=fees.taker_share_bps,
        tiers=tuple(
            FeeTierView(
                volume=tier.volume,
                maker_share_bps=tier.maker_share_bps,
                taker_share_bps=tier.taker_share_bps,
            )
            for tier in state.genesis.volume.tiers
        ),
        markets=tuple(
            MarketFee(market=one.market, maker_fee_e8=one.maker, taker_fee_e8=one.taker)
            for one in fees.markets
        ),
    )
