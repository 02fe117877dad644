"""The whole replicated state of the exchange.

Rule: state changes only through `exchange.execute`; everything that can influence a later block is
here and is part of a snapshot.
Spec: docs/spec/exchange.md#state
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.accounts import Account, SessionKey
from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from exchange.market import BlockLog, Market
from exchange.outcome import Notes
from exchange.proposals import Listings
from exchange.protocol import Protocol
from exchange.timetable import Timetable
from exchange.vaults import NOWHERE, Retired, Vault
from primitives.merkle import AppendTree, DenseTree

INSURANCE: Final = 0
"""Account number of the insurance fund; its owner is the zero address, which nobody can sign for.
"""
ZERO32: Final = bytes(32)


class Asset:
    """One asset's identity on its chain."""

    __slots__ = ("chain_id", "id", "name", "terms", "token", "vault")

    def __init__(self, asset_id: int, config: AssetConfig) -> None:
        self.id: Final[int] = asset_id
        self.terms: Final[AssetConfig] = config
        self.name: Final[str] = config.name
        self.chain_id: Final[int] = config.chain_id
        self.vault: bytes = config.vault_bytes
        """Where it is now; a decision of the committee may move it."""
        self.token: Final[bytes] = config.token_bytes


class State:
    """The exchange after block `height`; height 0 is genesis."""

    __slots__ = (
        "accounts",
        "accounts_tree",
        "assets",
        "by_address",
        "deposited",
        "effects_word",
        "fees",
        "fees_shared",
        "fills_word",
        "genesis",
        "height",
        "keys",
        "listings",
        "log",
        "markets",
        "next_key",
        "next_order",
        "nonces",
        "notes",
        "participation",
        "protocol",
        "rest_dump",
        "rest_word",
        "retired",
        "switches",
        "time_ms",
        "treasury_left",
        "vaults",
        "withdrawals",
        "withdrawn",
    )

    def __init__(self, genesis: ExchangeGenesis) -> None:
        self.genesis: Final[ExchangeGenesis] = genesis
        self.height: int = 0
        self.time_ms: int = 0
        self.log: Final[BlockLog] = BlockLog()
        self.assets: Final[list[Asset]] = []
        """By id: those of genesis, then those listed since."""
        self.fees: Final[list[int]] = []
        """Cumulative fees charged per asset."""
        self.fees_shared: Final[list[int]] = []
        """Cumulative fees credited to validators per asset."""
        self.deposited: Final[list[int]] = []
        self.withdrawn: Final[list[int]] = []
        self.treasury_left: Final[list[int]] = []
        """Treasuries' shares per asset that are left to vaults which the asset has left."""
        self.retired: Final[list[Retired]] = []
        """Closed accounts of assets with vaults, in order of moves."""
        self.markets: Final[list[Market]] = []
        """By id: those of genesis, then those listed since."""
        self.accounts: Final[list[Account]] = []
        self.by_address: Final[dict[bytes, Account]] = {}
        self.keys: Final[dict[bytes, SessionKey]] = {}
        """Session keys by address, in order of their numbers; an ended one is known for a while."""
        self.next_key: int = 1
        self.nonces: Final[dict[bytes, list[int]]] = {}
        """The highest nonces used per signing key, ascending."""
        self.next_order: int = 1
        self.switches: Final[Timetable] = Timetable()
        """Cancel-after times by account number * 128 + sub-account."""
        self.vaults: Final[dict[tuple[int, bytes], Vault]] = {}
        self.notes: Notes = Notes()
        """What the last block told about validators, for the next one's participation."""
        self.protocol: Final[Protocol] = Protocol()
        """The version of the rules, and what was decided about the next one."""
        self.listings: Final[Listings] = Listings()
        """What is wanted and decided about new assets and markets."""
        self.participation: bytes = ZERO32
        """Digest of the participation state at this height; zero where there is none."""
        self.withdrawals: AppendTree = AppendTree()
        self.accounts_tree: DenseTree = DenseTree()
        self.fills_word: bytes = ZERO32
        self.effects_word: bytes = ZERO32
        self.rest_word: bytes = ZERO32
        self.rest_dump: tuple[int, bytes] = (-1, b"")
        """Height and bytes of the last dump behind the rest word, kept for the snapshot."""
        self.open_account(bytes(20))
        for asset_terms in genesis.assets:
            self.add_asset(asset_terms)
        for market_terms in genesis.markets:
            self.add_market(market_terms)

    def add_asset(self, terms: AssetConfig) -> Asset:
        """Give an asset the next id; nothing of it is owned, and its vault is known from now on."""
        asset = Asset(len(self.assets), terms)
        self.assets.append(asset)
        for totals in (
            self.fees,
            self.fees_shared,
            self.deposited,
            self.withdrawn,
            self.treasury_left,
        ):
            totals.append(0)
        self.vaults.setdefault((asset.chain_id, asset.vault), Vault())
        return asset

    def find_present(self, chain_id: int, vault: bytes) -> bytes:
        """Return the vault where the assets of a vault are by now: itself, or where they moved."""
        while (moved_to := self.vaults[(chain_id, vault)].moved_to) != NOWHERE:
            vault = moved_to
        return vault

    def is_frozen(self, asset_id: int) -> bool:
        """Tell whether the vault of an asset is frozen."""
        asset = self.assets[asset_id]
        return self.vaults[(asset.chain_id, asset.vault)].frozen != 0

    def add_market(self, terms: MarketConfig) -> Market:
        """Give a market the next id; its book is empty."""
        assert max(terms.base, terms.quote) < len(self.assets), "a market trades known assets"
        market = Market(
            len(self.markets),
            terms,
            self.genesis.open_window_ms,
            self.log,
            self.fees,
            self.genesis.volume,
        )
        market.is_frozen = self.is_frozen(market.base) or self.is_frozen(market.quote)
        self.markets.append(market)
        return market

    def renew_market(self, number: int, terms: MarketConfig) -> Market:
        """Put a market with other terms and no order in the place of one without orders."""
        old = self.markets[number]
        assert not old.book.orders, "only an empty market is made anew"
        fresh = Market(
            number,
            terms,
            self.genesis.open_window_ms,
            self.log,
            self.fees,
            self.genesis.volume,
        )
        if (old.tick, old.lot) == (fresh.tick, fresh.lot):
            fresh.last_price = old.last_price
        fresh.round = old.round + 1
        fresh.is_frozen = old.is_frozen
        self.markets[number] = fresh
        return fresh

    def open_account(self, owner: bytes) -> Account:
        """Return the account of an address, numbered now if it is new."""
        account = self.by_address.get(owner)
        if account is None:
            account = Account(len(self.accounts), owner)
            self.accounts.append(account)
            self.by_address[owner] = account
        return account

    def is_checkpoint(self, height: int) -> bool:
        """Tell whether fees are shared and the rest word is renewed at a height."""
        return height % self.genesis.checkpoint_interval == 0
