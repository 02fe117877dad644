"""What is written to and read from the chain store, as plain data.

Rule: these classes know nothing of consensus or exchange types; `node/` maps one onto the other.
Integers that may exceed 63 bits (amounts, client ids) are stored as described in `integers.py`.
Spec: docs/spec/storage.md#records
Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.candles import Candle

BUY = 0
SELL = 1
NO_SIDE = 2
"""Both orders were matched in one batch; nobody took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRecord:
    """One bundle of a block: `digest` is the sha2-256 of `data` (CIDv1 raw)."""

    digest: bytes
    size_bytes: int
    actions: int
    data: bytes | None = None
    """The bundle itself; None when the block store keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalRecord:
    """A finalized block with everything that came with it; written in one transaction."""

    height: int
    view: int
    epoch: int
    block_hash: bytes  # keccak256 of the header words
    cid: bytes  # binary CID of `node`
    time_ms: int
    proposer: int  # committee index
    executed_height: int  # as stated in the header
    encoded: bytes  # the block as the wire carries it
    node: bytes  # the block as DAG-CBOR; sha2-256 of it is the digest in `cid`
    certificate: bytes  # encoded finality certificate
    signers: int  # validators in the certificate
    actions: int  # in all bundles
    finality_ms: int = 0  # proposal seen to final, here; 0 = unknown
    bundles: tuple[BundleRecord, ...] = ()  # in block order
    seals: bytes = b""  # of a boundary block: the seal blocks up to the one that is certified
    boundary_proof: bytes = b""  # of a boundary block: what a vault needs; never pruned
    epoch_record: bytes = b""  # of the first block of an epoch: the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderRecord:
    """How an epoch ended that was over before the state this store began with."""

    epoch: int
    proof: bytes  # as `FinalRecord.boundary_proof`
    members: bytes  # its committee, encoded by `node/`


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRecord:
    """The final block whose state was fetched, and what else the chain goes on from."""

    block: FinalRecord
    epoch: tuple[int, bytes] | None  # number and record of the epoch in progress; None = the first
    borders: tuple[BorderRecord, ...] = ()  # those verified on the way here


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRecord:
    """What became of one action: its place in the block and one status code per operation."""

    action_id: bytes  # 32 bytes
    index: int  # position in the block
    statuses: bytes  # one byte per operation
    orders: tuple[int, ...] = ()  # per operation the order it made or concerned, 0 = none
    is_replay: bool = False
    """The nonce had been used: never shown in place of another receipt of the same action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolutionRecord:
    """The end of an operation that was pending when its block was executed."""

    action_id: bytes
    op: int  # index of the operation in its action
    status: int  # 0..255


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRecord:
    """One trade. Price in ticks, size in lots, fees in quote atoms (negative = rebate)."""

    market: int
    price: int
    size: int
    maker: bytes  # owner's address, 20 bytes
    maker_sub: int
    maker_order: int
    maker_fee: int
    taker: bytes
    taker_sub: int
    taker_order: int
    taker_fee: int
    taker_side: int  # BUY, SELL or NO_SIDE
    maker_left: int = 0  # lots of the maker's order still open after this fill
    taker_left: int = 0
    batch: int = 0  # height of the block whose batch cleared here
    sealed: bool = False  # the taker came through a commit
    maker_builder_fee: int = 0  # quote atoms that the maker paid to its builder
    taker_builder_fee: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEventsRecord:
    """What one height brought to one account: `count` events, numbered from `first`."""

    address: bytes  # 20 bytes
    first: int
    count: int
    body: bytes  # encoded by `node/`


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketEventRecord:
    """What happened to a market: a phase, an auction, a listing, other terms (codes of `node/`)."""

    market: int
    number: int  # per market from 1, without gaps
    kind: int
    phase: int = 0
    cause: int = 0
    auction_ms: int = 0  # block time of the auction to come, 0 for none
    price: int = 0  # of the auction in ticks, 0 for none
    size: int = 0  # lots
    surplus: int = 0  # lots demanded beyond those offered


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalRecord:
    """A leaf of the withdrawals tree, with whom it debited."""

    index: int
    account: bytes
    chain_id: int
    vault: bytes
    token: bytes
    amount: int  # atoms
    to: bytes
    leaf: bytes = b""  # 32-byte leaf hash


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedRecord:
    """The outcome of one executed height; written in one transaction.

    All numbers come with it: they are the same on every node.
    """

    height: int
    time_ms: int  # of the block
    state_root: bytes
    fees_root: bytes
    first_fill: int  # id of the first fill, the others follow; used up only if there is one
    roots: bytes = b""  # the words under the state root, concatenated
    actions: int = 0
    withdrawal_count: int = 0  # leaves in the withdrawals tree under this state root
    fee_totals: tuple[int, ...] = ()  # cumulative per asset; at checkpoint heights
    receipts: tuple[ReceiptRecord, ...] = ()
    resolutions: tuple[ResolutionRecord, ...] = ()
    fills: tuple[FillRecord, ...] = ()
    candles: tuple[Candle, ...] = ()  # those the fills changed, oldest first per interval
    events: tuple[AccountEventsRecord, ...] = ()
    withdrawals: tuple[WithdrawalRecord, ...] = ()
    market_events: tuple[MarketEventRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """How far the exchange is, and its roots there."""

    height: int
    time_ms: int
    state_root: bytes
    fees_root: bytes
    roots: bytes
    actions: int
    fills: int
    withdrawal_count: int
    fee_totals: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSummary:
    """A final block without its bytes; `fills` is None until the block is executed."""

    height: int
    view: int
    epoch: int
    block_hash: bytes
    cid: bytes
    time_ms: int
    proposer: int
    executed_height: int
    signers: int
    actions: int
    bundles: int
    finality_ms: int
    fills: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlock:
    """A final block with its bytes."""

    summary: BlockSummary
    encoded: bytes
    node: bytes
    certificate: bytes
    bundles: tuple[bytes, ...]  # digests in block order
    seals: bytes = b""  # of a boundary block, as in `FinalRecord`


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBundle:
    """Where a bundle was included, and its bytes if they are kept here."""

    digest: bytes
    height: int
    size_bytes: int
    actions: int
    data: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReceipt:
    action_id: bytes
    height: int
    index: int
    time_ms: int
    statuses: bytes
    orders: tuple[int, ...]
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFill:
    """A fill with its number and the block it happened in."""

    id: int  # from 1 at genesis, over all markets, without gaps
    fill: FillRecord
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMarketEvent:
    """An event of a market with the block it happened in."""

    event: MarketEventRecord
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAccountEvents:
    """One account's events of one height, numbered from `first`."""

    first: int
    count: int
    height: int
    time_ms: int
    body: bytes

    @property
    def last(self) -> int:
        """The number of the newest one."""
        return self.first + self.count - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWithdrawal:
    withdrawal: WithdrawalRecord
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRecord:
    """A checkpoint and what became of it on the EVM chain."""

    height: int
    executed_height: int
    state_root: bytes
    fees_root: bytes
    cid: bytes  # binary CID of the snapshot manifest; empty = none
    status: str  # decided by `node/`: made, submitted, settled, failed
    tx_hash: bytes = b""
    time_ms: int = 0
    fees: tuple[tuple[int, int], ...] = field(default=())  # (asset, cumulative atoms)
