"""The tables of the chain store, as an ordered list of migrations.

Rule: a migration that has been released is never edited; a change is a new one at the end.
Spec: docs/spec/storage.md#chain-store
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from sqlite_utils import Database

from primitives.errors import OperatorError
from storage.database import SCHEMA_EXIT_CODE, Migration

CHAIN_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;

CREATE TABLE blocks (
    height INTEGER PRIMARY KEY,
    view INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    hash BLOB NOT NULL,
    cid BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    proposer INTEGER NOT NULL,
    executed_height INTEGER NOT NULL,
    signers INTEGER NOT NULL,
    actions INTEGER NOT NULL,
    bundles BLOB NOT NULL,
    finality_ms INTEGER NOT NULL,
    encoded BLOB NOT NULL,
    node BLOB NOT NULL,
    certificate BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX blocks_by_hash ON blocks (hash);
CREATE UNIQUE INDEX blocks_by_cid ON blocks (cid);

CREATE TABLE bundles (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,
    height INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    actions INTEGER NOT NULL,
    data BLOB
) STRICT;
CREATE UNIQUE INDEX bundles_by_digest ON bundles (digest);
CREATE INDEX bundles_by_height ON bundles (height);

CREATE TABLE executed (
    height INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    state_root BLOB NOT NULL,
    fees_root BLOB NOT NULL,
    roots BLOB NOT NULL,
    actions INTEGER NOT NULL,
    fills INTEGER NOT NULL,
    last_fill INTEGER NOT NULL,
    withdrawal_count INTEGER NOT NULL,
    fee_totals BLOB NOT NULL
) STRICT;

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    address BLOB NOT NULL,
    events INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX accounts_by_address ON accounts (address);

CREATE TABLE receipts (
    height INTEGER NOT NULL,
    position INTEGER NOT NULL,
    prefix INTEGER NOT NULL,
    id BLOB NOT NULL,
    statuses BLOB NOT NULL,
    orders BLOB NOT NULL,
    is_replay INTEGER NOT NULL,
    PRIMARY KEY (height, position)
) WITHOUT ROWID, STRICT;
CREATE INDEX receipts_by_prefix ON receipts (prefix);

CREATE TABLE fills (
    id INTEGER PRIMARY KEY,
    height INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    market INTEGER NOT NULL,
    price INTEGER NOT NULL,
    size INTEGER NOT NULL,
    maker INTEGER NOT NULL,
    maker_sub INTEGER NOT NULL,
    maker_order ANY NOT NULL,
    maker_fee ANY NOT NULL,
    taker INTEGER NOT NULL,
    taker_sub INTEGER NOT NULL,
    taker_order ANY NOT NULL,
    taker_fee ANY NOT NULL,
    taker_side INTEGER NOT NULL,
    maker_left INTEGER NOT NULL,
    taker_left INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    sealed INTEGER NOT NULL
) STRICT;
CREATE INDEX fills_by_market ON fills (market, id);
CREATE INDEX fills_by_maker ON fills (maker, id);
CREATE INDEX fills_by_taker ON fills (taker, id);

CREATE TABLE candles (
    market INTEGER NOT NULL,
    interval_ms INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    open INTEGER NOT NULL,
    high INTEGER NOT NULL,
    low INTEGER NOT NULL,
    close INTEGER NOT NULL,
    volume ANY NOT NULL,
    quote_volume ANY NOT NULL,
    trades INTEGER NOT NULL,
    PRIMARY KEY (market, interval_ms, start_ms)
) WITHOUT ROWID, STRICT;

CREATE TABLE account_events (
    account INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    height INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (account, last)
) WITHOUT ROWID, STRICT;
CREATE INDEX account_events_by_height ON account_events (height);

CREATE TABLE withdrawals (
    id INTEGER PRIMARY KEY,
    height INTEGER NOT NULL,
    account INTEGER NOT NULL,
    chain_id ANY NOT NULL,
    vault BLOB NOT NULL,
    token BLOB NOT NULL,
    amount ANY NOT NULL,
    recipient BLOB NOT NULL,
    leaf BLOB NOT NULL
) STRICT;
CREATE INDEX withdrawals_by_account ON withdrawals (account, id);

CREATE TABLE checkpoints (
    height INTEGER PRIMARY KEY,
    executed_height INTEGER NOT NULL,
    state_root BLOB NOT NULL,
    fees_root BLOB NOT NULL,
    cid BLOB NOT NULL,
    status TEXT NOT NULL,
    tx_hash BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    fees BLOB NOT NULL
) STRICT;
"""


EPOCH_TABLES: Final = """
CREATE TABLE epochs (
    number INTEGER PRIMARY KEY,
    record BLOB NOT NULL
) STRICT;

CREATE TABLE seals (
    height INTEGER PRIMARY KEY,
    encoded BLOB NOT NULL
) STRICT;

CREATE TABLE boundaries (
    epoch INTEGER PRIMARY KEY,
    proof BLOB NOT NULL
) STRICT;
"""

COMMITTEE_TABLES: Final = """
CREATE TABLE committees (
    epoch INTEGER PRIMARY KEY,
    members BLOB NOT NULL
) STRICT;
"""

MARKET_EVENT_TABLES: Final = """
CREATE TABLE market_events (
    market INTEGER NOT NULL,
    number INTEGER NOT NULL,
    height INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    phase INTEGER NOT NULL,
    cause INTEGER NOT NULL,
    auction_ms INTEGER NOT NULL,
    price INTEGER NOT NULL,
    size ANY NOT NULL,
    surplus ANY NOT NULL,
    PRIMARY KEY (market, number)
) WITHOUT ROWID, STRICT;
CREATE INDEX market_events_by_height ON market_events (height);
"""


def refuse_unnumbered(database: Database) -> None:
    """Let nothing but a new file pass: schema 1 lacks numbers that are the same on every node."""
    if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'blocks'").fetchone() is not None:
        raise OperatorError(
            "the chain store was made by a development version that numbered trades by itself",
            code="DSK006",
            fix="stop the node, move the file away and start again: it is rebuilt from the network",
            exit_code=SCHEMA_EXIT_CODE,
        )


def create_chain_tables(database: Database) -> None:
    """Create schema 2 of the chain store."""
    refuse_unnumbered(database)
    database.executescript(CHAIN_TABLES)


def begin(database: Database) -> None:
    """Schema 1 has never been released: a new file passes it by."""


def create_epoch_tables(database: Database) -> None:
    """Create what schema 3 adds: epochs, what proves their boundary blocks, and seal blocks."""
    database.executescript(EPOCH_TABLES)


def create_committee_tables(database: Database) -> None:
    """Create what schema 4 adds: who certified borders from before a state that was fetched."""
    database.executescript(COMMITTEE_TABLES)


def create_market_event_tables(database: Database) -> None:
    """Create what schema 5 adds: phases, auctions and listings of markets."""
    database.executescript(MARKET_EVENT_TABLES)


def add_builder_fees(database: Database) -> None:
    """Create what schema 6 adds: what each side of a fill paid to its builder."""
    for side in ("maker", "taker"):
        database.execute(f"ALTER TABLE fills ADD COLUMN {side}_builder_fee ANY NOT NULL DEFAULT 0")


CHAIN_MIGRATIONS: Final[tuple[Migration, ...]] = (
    begin,
    create_chain_tables,
    create_epoch_tables,
    create_committee_tables,
    create_market_event_tables,
    add_builder_fees,
)
