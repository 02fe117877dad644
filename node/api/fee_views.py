"""Name what the API shows of an account's fees.

Rule: fees are in hundred-millionths of the notional, so that no tier is ever rounded.
Spec: docs/reference/api.md; docs/spec/fees.md. Deviations: none.
"""

from __future__ import annotations

from node.api.views import Address, Amount, View


class MarketFee(View, frozen=True, kw_only=True):
    """What an account pays in one market on the day."""

    market: int
    maker_fee_e8: int  # hundred-millionths of the notional: 10,000 are one basis point
    taker_fee_e8: int


class FeeTierView(View, frozen=True, kw_only=True):
    """A step of the schedule."""

    volume: Amount  # counting units of thirty days from which it holds
    maker_share_bps: int  # part of a market's fee that is paid, in ten-thousandths
    taker_share_bps: int


class AccountFees(View, frozen=True, kw_only=True):
    """An account's fee tier on one day of block time (UTC), and what it follows from."""

    address: Address
    height: int
    day: int  # days since the Unix epoch
    volume: Amount  # counting units of the thirty days before
    volume_today: Amount  # of the day so far; it counts from the next day on
    tier: int  # place in `tiers`, from 1; 0 for none
    maker_share_bps: int
    taker_share_bps: int
    tiers: tuple[FeeTierView, ...]
    markets: tuple[MarketFee, ...]
