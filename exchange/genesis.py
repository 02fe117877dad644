"""What a network agrees on before its first block, as far as the exchange needs it.

Rule: every parameter that can change a state root is here; nothing is read from anywhere else.
Spec: docs/spec/exchange.md#genesis
Deviations: none.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from exchange import limits
from primitives.errors import ConfigError

HexAddress = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]
Hex32 = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{64}\Z")]
Name = Annotated[str, Meta(pattern=r"^[A-Z0-9][A-Z0-9._-]{0,31}\Z")]
Wait = Annotated[int, Meta(ge=1_000, le=limits.AUCTION_WAIT_MS_MAX)]
FeeBps = Annotated[int, Meta(ge=0, le=1_000)]


class AssetConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One asset: a claim on exactly one token in exactly one vault. Its id is its place in the
    list.
    """

    name: Name
    decimals: Annotated[int, Meta(ge=0, le=36)]
    chain_id: Annotated[int, Meta(ge=1, lt=1 << 62)]
    vault: HexAddress
    token: HexAddress
    transfer_minimum: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    """Smallest transfer to another owner, in atoms; between own sub-accounts there is none."""
    withdrawal_minimum: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    """Smallest withdrawal, in atoms."""

    @property
    def vault_bytes(self) -> bytes:
        """The vault's address, 20 bytes."""
        return bytes.fromhex(self.vault[2:])

    @property
    def token_bytes(self) -> bytes:
        """The token's address, 20 bytes."""
        return bytes.fromhex(self.token[2:])


class MarketConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One spot market. Its id is its place in the list."""

    name: Name
    base: Annotated[int, Meta(ge=0, lt=limits.ASSETS_MAX)]
    quote: Annotated[int, Meta(ge=0, lt=limits.ASSETS_MAX)]
    tick: Annotated[int, Meta(ge=1, lt=1 << 62)]
    """Quote atoms that one lot costs per unit of price."""
    lot: Annotated[int, Meta(ge=1, lt=1 << 62)]
    """Base atoms in one lot."""
    mode: Literal["sealed", "fair", "auction"] = "sealed"
    matching: Literal["uniform", "shuffle"] = "uniform"
    """How a sealed batch clears."""
    maker_bps: FeeBps = 10
    taker_bps: FeeBps = 20
    reference_price: Annotated[int, Meta(ge=1, le=limits.PRICE_TICKS_MAX)] = 1
    """Ticks; the reference of the uniform auction until the first trade."""
    bond_ppm: Annotated[int, Meta(ge=0, le=limits.PPM)] = 1_000
    """Least bond of a commit, in millionths of its tier (1,000 = 10 basis points)."""
    commit_fee_ppm: Annotated[int, Meta(ge=0, le=limits.PPM)] = 10
    """Fee of a commit that is always kept, in millionths of its tier (10 = 0.1 basis point)."""
    sigma_ppm: Annotated[int, Meta(ge=0, le=limits.PPM)] = 110
    """Standard deviation of the price over one second, in millionths (110 = 62 % a year)."""
    band_bps: Annotated[int, Meta(ge=0, le=limits.BPS)] = 0
    """Furthest that a new order's limit may be beyond the reference price; 0 for no band."""
    price_window_ms: Annotated[
        int, Meta(ge=limits.PRICE_WINDOW_MS_MIN, le=limits.PRICE_WINDOW_MS_MAX)
    ] = 300_000
    """Block time over which the reference price is the mean."""
    breaker_bps: Annotated[int, Meta(ge=0, le=limits.BPS)] = 0
    """Widest range of prices within the window, against the reference price; 0 for no breaker."""
    halt_ms: Wait = 60_000
    """Block time for which orders are collected before the auction that ends a halt."""
    opening_ms: Annotated[int, Meta(ge=0, le=limits.AUCTION_WAIT_MS_MAX)] = 0
    """Block time before the opening auction of a new market; 0 opens it without one."""
    auction_interval_ms: Wait = 60_000
    """Block time between the auctions of a market of mode `auction`."""


class VolumeRate(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a quote atom counts: `numerator / denominator` counting units."""

    asset: Annotated[int, Meta(ge=0, lt=limits.ASSETS_MAX)]
    numerator: Annotated[int, Meta(ge=1, lt=1 << 62)]
    denominator: Annotated[int, Meta(ge=1, lt=1 << 62)]


class FeeTier(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an account pays that has traded so much in thirty days."""

    volume: Annotated[int, Meta(ge=1, lt=1 << 62)]
    """Counting units from which the tier holds."""
    maker_share_bps: Annotated[int, Meta(ge=0, le=limits.BPS)]
    """Part of each market's maker fee, in ten-thousandths."""
    taker_share_bps: Annotated[int, Meta(ge=0, le=limits.BPS)]


class VolumeTerms(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How volume is counted and what it earns; by default nothing is."""

    rates: Annotated[tuple[VolumeRate, ...], Meta(max_length=limits.ASSETS_MAX)] = ()
    """A quote asset that is not here counts for nothing."""
    full_fees_bps: Annotated[int, Meta(ge=1, le=2_000)] = 30
    """Maker and taker fee together from which a market's volume counts in full."""
    tiers: Annotated[tuple[FeeTier, ...], Meta(max_length=limits.FEE_TIERS_MAX)] = ()
    """By rising volume; no fee rises with it."""


class AllowanceTerms(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How allowances grow with volume; by default they do not, and an hour has no bound."""

    operations_per_hour: Annotated[int, Meta(ge=0, lt=1 << 40)] = 0
    """Operations of one account in an hour of block time without any volume; 0 for no bound."""
    growth_units: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    """Volume of thirty days that adds the base of each allowance once more; 0 for no growth."""
    growth_max: Annotated[int, Meta(ge=1, le=1_000)] = 10
    """Most times the base that an allowance can be."""


class ExchangeGenesis(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The exchange's part of the network file."""

    assets: Annotated[tuple[AssetConfig, ...], Meta(min_length=1, max_length=limits.ASSETS_MAX)]
    markets: Annotated[tuple[MarketConfig, ...], Meta(max_length=limits.MARKETS_MAX)]
    open_window_ms: Annotated[int, Meta(ge=0, le=600_000)] = 2_000
    """Least block time between the first opening block of a batch and the end of its window."""
    checkpoint_interval: Annotated[int, Meta(ge=1, le=1 << 32)] = 64
    """Heights between checkpoints; fees are shared and the rest word is renewed there."""
    actions_per_account_block: Annotated[int, Meta(ge=1, le=1 << 20)] = 1_024
    orders_per_account_market: Annotated[int, Meta(ge=1, le=1 << 20)] = 10_000
    """Live orders (resting and pending) of one sub-account in one market."""
    builder_fee_ppm_max: Annotated[int, Meta(ge=0, le=limits.BUILDER_FEE_PPM_MAX)] = 1_000
    """Most that an account may approve for a builder, in millionths of the notional; 0 for none."""
    volume: VolumeTerms = VolumeTerms()
    allowance: AllowanceTerms = AllowanceTerms()
    freeze_after_ms: Annotated[int, Meta(ge=0, le=366 * 86_400_000)] = 4 * 86_400_000
    """Block time without a settled checkpoint after which a vault's assets freeze; 0: never."""
    vault_notice_ms: Annotated[int, Meta(ge=0, le=366 * 86_400_000)] = 14 * 86_400_000
    """Least block time between the decision to move to another vault and the move."""


def load_genesis(data: dict[str, Any]) -> ExchangeGenesis:
    """Read the exchange's genesis from plain JSON data. Raises ConfigError."""
    try:
        genesis = msgspec.convert(data, ExchangeGenesis)
    except msgspec.ValidationError as error:
        raise _bad(str(error)) from error
    _check_names(genesis)
    vaults = {
        (asset.chain_id, asset.vault.lower(), asset.token.lower()) for asset in genesis.assets
    }
    if len(vaults) != len(genesis.assets):
        raise _bad("two assets name the same token in the same vault")
    for market in genesis.markets:
        if max(market.base, market.quote) >= len(genesis.assets):
            raise _bad(f"market {market.name} names an asset that does not exist")
        problem = find_contradiction(market)
        if problem:
            raise _bad(f"market {market.name} {problem}")
    _check_volume(genesis)
    return genesis


def find_contradiction(terms: MarketConfig) -> str:
    """Return what in a market's terms contradicts itself, empty for nothing."""
    if terms.base == terms.quote:
        return "trades an asset against itself"
    if terms.maker_bps > terms.taker_bps:
        return "has a maker fee above its taker fee"
    return ""


def dump_genesis(genesis: ExchangeGenesis) -> dict[str, Any]:
    """Return the plain JSON data from which `load_genesis` makes an equal genesis."""
    plain: dict[str, Any] = msgspec.to_builtins(genesis)
    return plain


def _check_volume(genesis: ExchangeGenesis) -> None:
    assets = [rate.asset for rate in genesis.volume.rates]
    if len(set(assets)) != len(assets) or any(a >= len(genesis.assets) for a in assets):
        raise _bad("a volume rate names an asset twice, or one that does not exist")
    for low, high in pairwise(genesis.volume.tiers):
        if high.volume <= low.volume:
            raise _bad("fee tiers must be listed by rising volume")
        if high.maker_share_bps > low.maker_share_bps or high.taker_share_bps > low.taker_share_bps:
            raise _bad("a fee rises with volume")


def _check_names(genesis: ExchangeGenesis) -> None:
    for names in ([a.name for a in genesis.assets], [m.name for m in genesis.markets]):
        if len(set(names)) != len(names):
            raise _bad("names of assets and of markets must be unique")


def _bad(message: str) -> ConfigError:
    return ConfigError(
        f"exchange genesis: {message}", code="BAD_GENESIS", fix="correct the network file"
    )
