"""State what the API needs from a node; `node/service.py` is the real one.

Rule: the API touches the daemon through this Protocol and the `Hub` only; a method that is not
`async` answers from memory and never waits.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from node.api.account_views import Account, ActionReceipt, Order, SubmitResult
from node.api.chain_views import BlockDetail, BlockSummary
from node.api.chat_views import ChatPage, ChatReceipt, ChatRoom, DirectMessage, Prekey
from node.api.decision_views import DecisionView
from node.api.fee_views import AccountAllowance, AccountBuilders, AccountFees
from node.api.listing_views import Assets, Listings, MarketTerms
from node.api.market_views import (
    AccountEvents,
    AccountState,
    FillPage,
    L2Book,
    L3Book,
    LiveCandle,
    MarketEvent,
    MarketEventPage,
    Ticker,
)
from node.api.proof_views import BalanceProof
from node.api.relay_views import Recipient, RelayJob, RelayTerms
from node.api.score_views import Validator, ValidatorScore
from node.api.settlement_views import Settlement, Withdrawal, WithdrawalProof
from node.api.views import Book, Candles, Market, Peer, Status, TradePage
from primitives.vault_orders import ClaimFee, DepositOrder, Permit

if TYPE_CHECKING:
    from node.api.hub import Hub

Envelope = tuple[bytes, bytes]
"""(payload, signature of 65 bytes), exactly as the client signed it."""


class IpfsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the trustless gateway answers; the API only adds its own security headers."""

    status: int  # HTTP status
    headers: tuple[tuple[str, str], ...]
    body: bytes | AsyncIterator[bytes]


class MarketDataService(Protocol):
    """Market data; what is not on record here raises `ApiError` `pruned`."""

    def find_market(self, text: str) -> int | None:
        """Return the id of a market named by id or name; None if there is none."""
        ...

    def l2(self, market: int) -> L2Book: ...

    def l3(self, market: int) -> L3Book: ...

    def ticker(self, market: int) -> Ticker: ...

    def live_candles(self, market: int) -> tuple[LiveCandle, ...]: ...

    def account_state(self, address: bytes) -> AccountState: ...

    async def trades(
        self, market: int, limit: int, before: int | None, after: int | None
    ) -> TradePage:
        """Return trades below id `before`, newest first, or above `after`, oldest first."""
        ...

    async def market_events(
        self, market: int, limit: int, before: int | None, after: int | None
    ) -> MarketEventPage:
        """Return a market's events below `before`, newest first, or above `after`, oldest first."""
        ...

    async def newest_market_events(self, limit: int) -> tuple[MarketEvent, ...]:
        """Return the newest events of all markets, oldest first."""
        ...

    async def candles(
        self, market: int, interval_ms: int, limit: int, before_ms: int | None
    ) -> Candles:
        """Return the newest candles that begin before `before_ms`, oldest first."""
        ...

    async def account_fills(self, address: bytes, limit: int, before: int | None) -> FillPage:
        """Return an account's fills, newest first."""
        ...

    async def account_events(self, address: bytes, after: int, limit: int) -> AccountEvents:
        """Return an account's events above `after`, oldest first."""
        ...

    async def missed_events(self, address: bytes, after: int) -> AccountEvents:
        """Return all events above `after`, or refuse when they are too many."""
        ...


class DecisionService(Protocol):
    """Decisions about vaults. Raises PeerError for what makes no sense."""

    def all(self) -> tuple[DecisionView, ...]: ...

    async def propose(
        self, chain_id: int, vault: bytes, kind: int, subject: bytes, value: int, days: int
    ) -> DecisionView:
        """Sign a new decision with this validator's key and tell the others."""
        ...

    async def approve(self, name: bytes) -> DecisionView:
        """Sign another validator's decision, in every epoch until it is carried out."""
        ...

    def withdraw(self, name: bytes) -> DecisionView:
        """Sign a decision no more in the epochs to come."""
        ...


class RelayService(Protocol):
    """Jobs for traders without gas. Raises PeerError for what cannot be taken."""

    def terms(self) -> RelayTerms: ...

    def job(self, job_id: bytes) -> RelayJob | None: ...

    async def claim(self, fee: ClaimFee, signature: bytes) -> RelayJob:
        """Take a withdrawal to bring; its proof is this node's."""
        ...

    async def deposit(
        self, chain_id: int, order: DepositOrder, signature: bytes, permit: Permit
    ) -> RelayJob:
        """Take a signed deposit to bring."""
        ...

    async def recipient(self, chain_id: int, address: bytes) -> Recipient:
        """Return what speaks against paying an address."""
        ...


class NodeService(Protocol):
    """Everything the API shows and takes.

    None means "no such thing" and becomes 404. `PeerError` becomes 400, `TransientError` 503.
    Addresses are 20 bytes, hashes and ids 32, market ids are valid (the API has looked them up in
    `markets`).
    """

    @property
    def hub(self) -> Hub:
        """Where the daemon publishes what has changed."""
        ...

    # The node

    def status(self) -> Status: ...

    def peers(self) -> tuple[Peer, ...]: ...

    def validators(self) -> tuple[Validator, ...]: ...

    def score(self, address: bytes) -> ValidatorScore | None:
        """Return a validator's score, found by hot key or owner."""
        ...

    def metrics(self) -> bytes:
        """Return the Prometheus text, normally `metrics.render()`."""
        ...

    # Markets

    def markets(self) -> tuple[Market, ...]: ...

    def assets(self) -> Assets: ...

    def terms(self, market: int) -> MarketTerms: ...

    def listings(self) -> Listings: ...

    def book(self, market: int, depth: int) -> Book: ...

    @property
    def market_data(self) -> MarketDataService:
        """Whole books, figures, history and account events."""
        ...

    # Accounts

    def account(self, address: bytes) -> Account | None: ...

    def account_fees(self, address: bytes) -> AccountFees | None:
        """Return what an account pays on the day of the last block."""
        ...

    def account_allowance(self, address: bytes) -> AccountAllowance | None:
        """Return what an account may send and leave standing."""
        ...

    def account_builders(self, address: bytes) -> AccountBuilders:
        """Return the builders an account has approved."""
        ...

    def orders(self, address: bytes) -> tuple[Order, ...]:
        """Return the resting orders of all sub-accounts, oldest first."""
        ...

    async def withdrawals(
        self, address: bytes, limit: int, before: int | None
    ) -> tuple[Withdrawal, ...]:
        """Return the withdrawals an account has made, newest first, below index `before`."""
        ...

    async def action(self, action_id: bytes) -> ActionReceipt | None: ...

    async def submit(self, envelopes: Sequence[Envelope]) -> Sequence[SubmitResult]:
        """Verify each action and queue it for a bundle; one result per envelope, in order."""
        ...

    async def submit_sealed(self, commit: Envelope, opening: Envelope) -> SubmitResult:
        """Send the commit now and the opening as soon as the commit is final."""
        ...

    # Chain

    async def blocks(self, from_height: int | None, limit: int) -> tuple[BlockSummary, ...]:
        """Return final blocks downwards from `from_height` (None = newest)."""
        ...

    async def block(self, reference: int | bytes) -> BlockDetail | None:
        """Return a final block by height or by its 32-byte hash."""
        ...

    async def ipfs(self, cid: str, form: str, headers: Sequence[tuple[str, str]]) -> IpfsAnswer:
        """Answer for `/ipfs/{cid}`; `form` is the `format` query (raw, car or empty)."""
        ...

    # Settlement

    async def settlement(self) -> Settlement: ...

    async def withdrawal_proof(self, index: int) -> WithdrawalProof | None:
        """Return a proof against the newest checkpoint on chain; None until it covers `index`."""
        ...

    async def balance_proof(self, owner: bytes, sub: int, asset: int) -> BalanceProof | None:
        """Return a balance proven by a final header; None for no such balance, or none in time."""
        ...

    @property
    def decisions(self) -> DecisionService:
        """What the committee decides about vaults."""
        ...

    @property
    def relay(self) -> RelayService:
        """What this node brings to the vaults for traders without gas."""
        ...

    # Chat

    async def chat_rooms(self) -> tuple[ChatRoom, ...]: ...

    async def chat_messages(self, room: str, limit: int, cursor: str | None) -> ChatPage: ...

    async def chat_post(self, room: str, envelope: Envelope) -> ChatReceipt: ...

    async def direct_messages(
        self, address: bytes, limit: int, after_ms: int
    ) -> tuple[DirectMessage, ...]:
        """Return sealed messages to `address` newer than `after_ms`, oldest first."""
        ...

    async def direct_post(self, envelope: Envelope) -> ChatReceipt: ...

    async def prekeys(self, address: bytes) -> tuple[Prekey, ...]: ...

    async def prekey_post(self, envelope: Envelope) -> ChatReceipt: ...

    # Operator (the API has checked the token)

    async def add_peer(self, multiaddr: str) -> None:
        """Dial a peer and keep it. Raises InvalidMessage on a bad address."""
        ...

    async def ban_peer(self, reference: str, banned: bool) -> None:
        """Refuse, or accept again, a peer named by peer id or validator address."""
        ...

    async def isolate(self, addresses: Sequence[bytes]) -> None:
        """Exchange nothing with these validators until told otherwise."""
        ...

    def request_stop(self) -> None:
        """Begin the same clean stop as SIGTERM."""
        ...
