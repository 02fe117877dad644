"""Show an account's fees and allowances as the API presents them.

Rule: pure reading of the state.
Spec: docs/reference/api.md; docs/spec/fees.md. Deviations: none.
"""

from __future__ import annotations

from exchange.allowance import CALMING_FACTOR
from exchange.queries import get_allowance, get_builders, get_fees
from exchange.state import State
from node.api.fee_views import (
    AccountAllowance,
    AccountBuilders,
    AccountFees,
    Approval,
    FeeTierView,
    MarketFee,
)


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


def make_allowance(state: State, address: bytes) -> AccountAllowance | None:
    """Show what an account may send; None for one the ledger has not."""
    found = get_allowance(state, address)
    if found is None:
        return None
    hourly, used = found.operations_per_hour, found.operations_used
    return AccountAllowance(
        address=address,
        height=state.height,
        volume=found.past,
        actions_per_block=found.actions_per_block,
        orders_per_market=found.orders_per_market,
        operations_per_hour=hourly,
        operations_used=used,
        operations_left=max(hourly - used, 0) if hourly else None,
        cancels_left=max(CALMING_FACTOR * hourly - used, 0) if hourly else None,
        hour_ends_ms=found.hour_ends_ms,
    )


def make_builders(state: State, address: bytes) -> AccountBuilders:
    """Show the builders an account has approved; none for an unknown one."""
    return AccountBuilders(
        address=address,
        height=state.height,
        network_max_ppm=state.genesis.builder_fee_ppm_max,
        builders=tuple(
            Approval(builder=builder, max_fee_ppm=ppm)
            for builder, ppm in get_builders(state, address)
        ),
    )
