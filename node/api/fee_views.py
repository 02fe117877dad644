"""Name what the API shows of an account's fees and allowances.

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


class Approval(View, frozen=True, kw_only=True):
    """A builder that may charge the account's orders."""

    builder: Address
    max_fee_ppm: int  # millionths of the notional: 100 are one basis point


class AccountBuilders(View, frozen=True, kw_only=True):
    """The builders an account has approved."""

    address: Address
    height: int
    network_max_ppm: int  # most that anybody may approve
    builders: tuple[Approval, ...]


class AccountAllowance(View, frozen=True, kw_only=True):
    """What the ledger lets an account send and leave standing; it grows with volume."""

    address: Address
    height: int
    volume: Amount  # counting units of the thirty days before
    actions_per_block: int
    orders_per_market: int  # live orders of one sub-account
    operations_per_hour: int  # 0 for no bound
    operations_used: int  # in the hour of the newest block
    operations_left: int | None  # null for no bound
    cancels_left: int | None  # where an action has nothing but cancels and openings
    hour_ends_ms: int
