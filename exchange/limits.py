"""Bounds of everything the exchange admits, each with its unit.

Rule: no other file of this room states a maximum; a quantity from outside is compared with one of
these.
Spec: docs/spec/exchange.md#limits
Deviations: none.
"""

from typing import Final

PRICE_TICKS_MAX: Final = (1 << 40) - 1
SIZE_LOTS_MAX: Final = (1 << 40) - 1
AMOUNT_ATOMS_MAX: Final = (1 << 128) - 1
AMOUNT_BYTES: Final = 16
ASSETS_MAX: Final = 256
MARKETS_MAX: Final = 1024
FEE_TIERS_MAX: Final = 32
BUILDERS_PER_ACCOUNT_MAX: Final = 16
BUILDER_FEE_PPM_MAX: Final = 10_000
"""No network lets a builder charge more, in millionths of the notional."""
SUB_ACCOUNT_MAX: Final = 127

OPS_PER_ACTION_MAX: Final = 64
ORDERS_PER_OPENING_MAX: Final = 8
PAYLOAD_BYTES_MAX: Final = 64 * 1024
SIGNATURE_BYTES: Final = 65
ACTIONS_PER_BUNDLE_MAX: Final = 4_096
BUNDLE_BYTES_MAX: Final = 256 * 1024
MARKETS_PER_GRANT_MAX: Final = 64
GRANT_LIFETIME_MS_MAX: Final = 366 * 86_400_000
GRANTS_PER_ACCOUNT_MAX: Final = 64
"""Session keys of one account that the state knows, ended ones among them."""
GRANT_KEPT_MS: Final = 8 * 86_400_000
"""For so long an ended session key stays known: longer than a nonce or a chat message counts."""
DEPOSITS_PER_ATTESTATION_MAX: Final = 512
REGISTRY_EVENTS_MAX: Final = 64
"""Registry events in one attestation."""
ATTESTATION_GRACE_BLOCKS: Final = 64
"""Heights after a window was applied in which an attestation of it still counts as given."""

NONCES_KEPT: Final = 100
NONCE_PAST_MS_MAX: Final = 2 * 86_400_000
NONCE_FUTURE_MS_MAX: Final = 86_400_000
DEADLINE_AFTER_NONCE_MS_MAX: Final = 86_400_000
TIME_MS_MAX: Final = (1 << 48) - 1

BASE_TIER_MAX: Final = 12
"""A base tier holds 10**tier lots."""
QUOTE_TIER_MAX: Final = 24
"""A quote tier holds 10**tier price-size units, each worth `tick` quote atoms."""
BASE_TIERS: Final = 32
"""A commit that hides its side packs both tiers as quote_tier * BASE_TIERS + base_tier."""

COMMITS_PER_ACCOUNT_MAX: Final = 64
"""Live commits of one account over all markets."""
COMMITS_PER_BATCH_MAX: Final = 4_096
FOK_LEVELS_MAX: Final = 256
"""Price levels over which a fill-or-kill may fill; what would need more is killed unlooked at."""
PRICE_SLOTS: Final = 32
"""Slots of block time into which a market's window of recent prices is cut."""
PRICE_WINDOW_MS_MIN: Final = 3_200
PRICE_WINDOW_MS_MAX: Final = 86_400_000
PPM: Final = 1_000_000
BPS: Final = 10_000
BOND_DOUBLINGS_MAX: Final = 12
"""A bond is quadrupled at most six times (two doublings each) and never exceeds its tier."""
FORFEIT_MEMORY_MS: Final = 86_400_000
TRIGGERS_PER_TRADER_MAX: Final = 256
"""Waiting triggers of one sub-account in one market."""
PLANS_PER_TRADER_MAX: Final = 64
"""Icebergs and schedules of one sub-account in one market."""
PLANS_PER_MARKET_MAX: Final = 4_096
ICEBERG_PARTS_MAX: Final = 256
SLOTS_MAX: Final = 1_024
"""Parts of a schedule."""
SLOT_MS_MIN: Final = 1_000
SLOT_MS_MAX: Final = 86_400_000
SLICES_PER_BLOCK_MAX: Final = 64
"""Parts of schedules that one market makes in one block; the rest come in the next ones."""
TRAILING_PER_MARKET_MAX: Final = 1_024
"""Waiting trailing stops of one market: every clearing with a trade looks at each."""
TRIGGERS_PER_MARKET_MAX: Final = 16_384
ACTIVATIONS_PER_BLOCK_MAX: Final = 256
"""Reached triggers that join a market's batch in one block; the rest join the next ones."""
EXPIRIES_PER_BLOCK_MAX: Final = 1_024
"""Orders of one market that expire in one block; the rest expire in the next ones."""
SWITCHES_PER_BLOCK_MAX: Final = 64
"""Sub-accounts whose orders a passed cancel-after time cancels in one block."""
CANCEL_AFTER_MS_MAX: Final = 86_400_000
AUCTION_STEPS_PER_BLOCK: Final = 4_096
"""Trades, and orders ended, that one call auction does in one block; the rest come in the next."""
AUCTION_WAIT_MS_MAX: Final = 86_400_000
INDICATION_LEVELS_MAX: Final = 2_048
"""Levels that are read to tell what an auction would give; beyond that it is not told."""
AUCTION_ROUNDS_MAX: Final = 8
"""Rounds in which a uniform auction may drop orders (fill-or-kill, self-trade) and start again."""

BALANCE_TREE_DEPTH: Final = 16
ENTRIES_WITHOUT_NODES_MAX: Final = 8
"""An account of more entries keeps the inner nodes of its balances tree."""
ORDERS_PER_GROUP: Final = 16
"""Places of a book whose resting orders are hashed together."""
BOOK_TREE_DEPTH: Final = 44
"""Room for 2**48 orders that ever rest in one market."""
GROUPS_PER_PAGE: Final = 256
"""A snapshot chunk of orders ends where a page of so many groups does."""
SNAPSHOT_CHUNK_BYTES: Final = 256 * 1024
LISTING_NOTICE_HEIGHTS: Final = 8
"""Least blocks between the decision to list something, or to change terms, and its effect."""
OPENING_BLOCKS_MAX: Final = 1 << 20
"""Blocks for which a new market may take only orders that rest before it opens by itself."""
SWEPT_PER_BLOCK_MAX: Final = 1_024
"""Orders of delisted or changing markets that end in one block; the rest end in the next ones."""
VAULTS_MAX: Final = 64
"""Vaults that the ledger knows, those that assets have left included."""
PROTOCOL_NOTICE_HEIGHTS: Final = 64
"""Least blocks between the word for another protocol version and its first height."""
