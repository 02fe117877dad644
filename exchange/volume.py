"""What an account has traded in the last thirty days, and the fee tier that earns it.

Rule: volume is in counting units of the network, made from quote atoms by the fixed rates of the
genesis, so that no price anybody can move raises it. A tier follows from complete days only and
holds for a whole day: the fees of a day are known before it begins.
Spec: docs/spec/fees.md#volume
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from exchange.genesis import FeeTier, MarketConfig, VolumeTerms
from exchange.limits import BPS

if TYPE_CHECKING:
    from exchange.accounts import Account

DAY_MS: Final = 86_400_000
DAYS: Final = 30
"""Complete days that count."""


class Volume:
    """One account's trading by day (block time, UTC), all its sub-accounts together."""

    __slots__ = ("day", "days", "maker_share", "past", "taker_share", "today")

    def __init__(self, day: int) -> None:
        self.day: int = day
        """The day that `today` is of: that of the last trade."""
        self.today: int = 0
        self.days: list[tuple[int, int]] = []
        """(day, units) of the days before in which anything was traded, oldest first."""
        self.past: int = 0
        """Sum of `days`: the volume behind the tier of `day`."""
        self.maker_share: int = BPS
        """Part of a market's maker fee that the account pays, in ten-thousandths."""
        self.taker_share: int = BPS


def roll(volume: Volume, day: int, tiers: Sequence[FeeTier]) -> None:
    """Begin another day."""
    assert day > volume.day
    if volume.today:
        volume.days.append((volume.day, volume.today))
        volume.today = 0
    volume.day = day
    while volume.days and volume.days[0][0] < day - DAYS:
        del volume.days[0]
    volume.past = sum([units for _, units in volume.days])
    apply_tier(volume, tiers)


def apply_tier(volume: Volume, tiers: Sequence[FeeTier]) -> None:
    """Set the shares that the past volume earns."""
    tier = find_tier(volume.past, tiers)
    volume.maker_share = BPS if tier == 0 else tiers[tier - 1].maker_share_bps
    volume.taker_share = BPS if tier == 0 else tiers[tier - 1].taker_share_bps


def find_tier(past: int, tiers: Sequence[FeeTier]) -> int:
    """Return the number of the tier of a volume; 0 for none, so that tiers count from 1."""
    tier = 0
    while tier < len(tiers) and past >= tiers[tier].volume:
        tier += 1
    return tier


def compute_past(volume: Volume | None, day: int) -> int:
    """Compute the volume of the thirty days before a day, without changing anything."""
    if volume is None:
        return 0
    past = sum([units for one, units in volume.days if one >= day - DAYS])
    if day - DAYS <= volume.day < day:
        past += volume.today
    return past


def prune_volumes(accounts: Sequence[Account], day: int) -> None:
    """Forget accounts that have traded nothing lately; done at checkpoint heights."""
    for account in accounts:
        volume = account.volume
        if volume is None or compute_past(volume, day):
            continue
        if volume.day != day or volume.today == 0:
            account.volume = None


def compute_weight(terms: VolumeTerms, market: MarketConfig) -> tuple[int, int]:
    """Return (numerator, denominator) from quote atoms to counting units in a market.

    A market with lower fees than the full ones counts for less, so that a unit never costs less.
    """
    fees = min(market.maker_bps + market.taker_bps, terms.full_fees_bps)
    for rate in terms.rates:
        if rate.asset == market.quote and fees:
            return rate.numerator * fees, rate.denominator * terms.full_fees_bps
    return 0, 1
