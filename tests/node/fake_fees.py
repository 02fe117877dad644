"""What the fake node says of fees."""

from __future__ import annotations

from node.api.fee_views import (
    AccountAllowance,
    AccountBuilders,
    AccountFees,
    Approval,
    FeeTierView,
    MarketFee,
)

ALICE = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")


class FakeFees:
    height: int

    def account_fees(self, address: bytes) -> AccountFees | None:
        if address != ALICE:
            return None
        return AccountFees(
            address=address,
            height=self.height,
            day=19_000,
            volume=10**20,
            volume_today=5,
            tier=1,
            maker_share_bps=9_000,
            taker_share_bps=9_500,
            tiers=(FeeTierView(volume=10**6, maker_share_bps=9_000, taker_share_bps=9_500),),
            markets=(MarketFee(market=0, maker_fee_e8=90_000, taker_fee_e8=190_000),),
        )

    def account_allowance(self, address: bytes) -> AccountAllowance | None:
        if address != ALICE:
            return None
        return AccountAllowance(
            address=address,
            height=self.height,
            volume=10**20,
            actions_per_block=1_024,
            orders_per_market=10_000,
            operations_per_hour=100,
            operations_used=30,
            operations_left=70,
            cancels_left=170,
            hour_ends_ms=1_700_000_000_000,
        )

    def account_builders(self, address: bytes) -> AccountBuilders:
        approvals = (Approval(builder=ALICE, max_fee_ppm=500),) if address == ALICE else ()
        return AccountBuilders(
            address=address, height=self.height, network_max_ppm=1_000, builders=approvals
        )
