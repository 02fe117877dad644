"""Ask a node over REST.

Rule: one request, one typed answer or one typed error; nothing is retried here.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from client.errors import ConnectionLost, RequestRefused
from client.limits import ANSWER_BYTES_MAX, CONNECT_TIMEOUT_S, REQUEST_TIMEOUT_S
from client.market_views import (
    AccountAllowance,
    AccountBuilders,
    AccountEvents,
    AccountFees,
    AccountState,
    Candles,
    FillPage,
    L2Book,
    L3Book,
    MarketEventPage,
    Ticker,
)
from client.views import (
    Account,
    ActionReceipt,
    Asset,
    BlockSummary,
    Book,
    ChatPage,
    ChatReceipt,
    DirectMessage,
    Listings,
    Market,
    MarketTerms,
    Order,
    Prekey,
    ProvenBalance,
    Recipient,
    Status,
    SubmitResult,
    TradePage,
    View,
    WithdrawalProof,
    decode_view,
)
from primitives.address import to_checksum

T = TypeVar("T")
Pair = tuple[bytes, bytes]
"""(payload, signature of 65 bytes)"""
MSGPACK = "application/msgpack"


class _Markets(View, frozen=True, kw_only=True):
    markets: tuple[Market, ...]


class _Assets(View, frozen=True, kw_only=True):
    assets: tuple[Asset, ...]


class _Orders(View, frozen=True, kw_only=True):
    orders: tuple[Order, ...]


class _Blocks(View, frozen=True, kw_only=True):
    blocks: tuple[BlockSummary, ...]


class _Results(View, frozen=True, kw_only=True):
    results: tuple[SubmitResult, ...]


class _Messages(View, frozen=True, kw_only=True):
    messages: tuple[DirectMessage, ...]


class _Prekeys(View, frozen=True, kw_only=True):
    prekeys: tuple[Prekey, ...]


class Refusal(Struct, frozen=True, kw_only=True):
    """The four parts of an error."""

    code: str
    message: str
    risk: str = ""
    fix: str = ""
    oldest_height: int | None = None


class _RefusalBody(Struct, frozen=True, kw_only=True):
    error: Refusal


class RestClient:
    """One node's REST API. Use it as an async context manager."""

    def __init__(self, url: str) -> None:
        """Take a node's base URL, e.g. `http://127.0.0.1:8640`."""
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"accept": MSGPACK},
            timeout=httpx.Timeout(REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            trust_env=False,
        )

    async def __aenter__(self) -> RestClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    # The node and its markets

    async def status(self) -> Status:
        """Return where the node is."""
        return await self.get("/v1/status", Status)

    async def markets(self) -> tuple[Market, ...]:
        """Return all markets in id order."""
        return (await self.get("/v1/markets", _Markets)).markets

    async def assets(self) -> tuple[Asset, ...]:
        """Return all assets in id order."""
        return (await self.get("/v1/assets", _Assets)).assets

    async def terms(self, market: int | str) -> MarketTerms:
        """Return all terms of a market."""
        return await self.get(f"/v1/markets/{market}/terms", MarketTerms)

    async def listings(self) -> Listings:
        """Return what validators want listed or changed, and what is decided."""
        return await self.get("/v1/listings", Listings)

    async def book(self, market: int | str, depth: int = 20) -> Book:
        """Return the top of a book."""
        return await self.get(f"/v1/markets/{market}/book", Book, {"depth": depth})

    async def l2(self, market: int | str) -> L2Book:
        """Return all levels of a market."""
        return await self.get(f"/v1/markets/{market}/l2", L2Book)

    async def l3(self, market: int | str) -> L3Book:
        """Return the resting orders of a market."""
        return await self.get(f"/v1/markets/{market}/l3", L3Book)

    async def ticker(self, market: int | str) -> Ticker:
        """Return a market's figures."""
        return await self.get(f"/v1/markets/{market}/ticker", Ticker)

    async def trades(
        self,
        market: int | str,
        limit: int = 50,
        cursor: int | None = None,
        after: int | None = None,
    ) -> TradePage:
        """Return trades below `cursor`, newest first, or above `after`, oldest first."""
        query = _drop_none(limit=limit, cursor=cursor, after=after)
        return await self.get(f"/v1/markets/{market}/trades", TradePage, query)

    async def market_events(
        self,
        market: int | str,
        limit: int = 50,
        cursor: int | None = None,
        after: int | None = None,
    ) -> MarketEventPage:
        """Return phases, halts and auctions below `cursor`, newest first, or above `after`."""
        query = _drop_none(limit=limit, cursor=cursor, after=after)
        return await self.get(f"/v1/markets/{market}/events", MarketEventPage, query)

    async def candles(
        self, market: int | str, interval: str = "1m", limit: int = 200, before: int | None = None
    ) -> Candles:
        """Return the newest candles that begin before a time, oldest first; `interval` as `5m`."""
        query = _drop_none(interval=interval, limit=limit, before=before)
        return await self.get(f"/v1/markets/{market}/candles", Candles, query)

    # Accounts and actions

    async def account_state(self, address: bytes) -> AccountState:
        """Return balances and live orders with the number of the event behind them."""
        return await self.get(f"/v1/accounts/{to_checksum(address)}/state", AccountState)

    async def account_fees(self, address: bytes) -> AccountFees:
        """Return what a wallet pays and why. Raises RequestRefused `not_found`."""
        return await self.get(f"/v1/accounts/{to_checksum(address)}/fees", AccountFees)

    async def account_allowance(self, address: bytes) -> AccountAllowance:
        """Return what a wallet may send, and what is left. Raises RequestRefused `not_found`."""
        path = f"/v1/accounts/{to_checksum(address)}/allowance"
        return await self.get(path, AccountAllowance)

    async def account_builders(self, address: bytes) -> AccountBuilders:
        """Return the builders that may charge a wallet's orders."""
        return await self.get(f"/v1/accounts/{to_checksum(address)}/builders", AccountBuilders)

    async def account_events(
        self, address: bytes, after: int = 0, limit: int = 500
    ) -> AccountEvents:
        """Return events above `after`, oldest first. Raises RequestRefused `pruned`."""
        path = f"/v1/accounts/{to_checksum(address)}/events"
        return await self.get(path, AccountEvents, {"after": after, "limit": limit})

    async def account_fills(
        self, address: bytes, limit: int = 50, cursor: int | None = None
    ) -> FillPage:
        """Return an account's fills, newest first."""
        path = f"/v1/accounts/{to_checksum(address)}/fills"
        return await self.get(path, FillPage, _drop_none(limit=limit, cursor=cursor))

    async def account(self, address: bytes) -> Account | None:
        """Return what the ledger holds for a wallet; None before its first deposit."""
        try:
            return await self.get(f"/v1/accounts/{to_checksum(address)}", Account)
        except RequestRefused as error:
            if error.status == 404:
                return None
            raise

    async def orders(self, account: bytes) -> tuple[Order, ...]:
        """Return the resting orders of a wallet, oldest first."""
        query = {"account": to_checksum(account)}
        return (await self.get("/v1/orders", _Orders, query)).orders

    async def action(self, action_id: bytes) -> ActionReceipt | None:
        """Return where an action is; None if the node has not heard of it."""
        try:
            return await self.get(f"/v1/actions/0x{action_id.hex()}", ActionReceipt)
        except RequestRefused as error:
            if error.status == 404:
                return None
            raise

    async def submit(self, pairs: Sequence[Pair]) -> tuple[SubmitResult, ...]:
        """Send up to 100 signed actions; sending the same bytes again is harmless."""
        content = msgspec.msgpack.encode([list(pair) for pair in pairs])
        return (await self._post("/v1/actions", content, MSGPACK, _Results)).results

    # Chain and settlement

    async def blocks(
        self, from_height: int | None = None, limit: int = 50
    ) -> tuple[BlockSummary, ...]:
        """Return final blocks downwards from a height, or from the newest."""
        query = {"limit": limit} if from_height is None else {"limit": limit, "from": from_height}
        return (await self.get("/v1/blocks", _Blocks, query)).blocks

    async def balance_proof(self, owner: bytes, asset: int, sub: int = 0) -> ProvenBalance | None:
        """Return a balance proven by a final header; None when the ledger has no such balance."""
        query = {"asset": asset, "sub": sub}
        try:
            path = f"/v1/accounts/{to_checksum(owner)}/proof"
            return await self.get(path, ProvenBalance, query)
        except RequestRefused as error:
            if error.status == 404:
                return None
            raise

    async def recipient(self, chain_id: int, address: bytes) -> Recipient:
        """Return what speaks against a withdrawal to an address."""
        path = f"/v1/recipients/{to_checksum(address)}"
        return await self.get(path, Recipient, {"chain": chain_id})

    async def withdrawal_proof(self, index: int) -> WithdrawalProof | None:
        """Return the proof for the vault; None until a checkpoint on chain covers the index."""
        try:
            return await self.get(f"/v1/settlement/withdrawals/{index}/proof", WithdrawalProof)
        except RequestRefused as error:
            if error.status == 404:
                return None
            raise

    # Chat

    async def chat_messages(
        self, room: str, limit: int = 50, cursor: str | None = None
    ) -> ChatPage:
        """Return the last messages of a room, oldest first."""
        query: dict[str, Any] = {"limit": limit}
        if cursor is not None:
            query["cursor"] = cursor
        return await self.get(f"/v1/chat/rooms/{quote(room, safe='')}/messages", ChatPage, query)

    async def chat_post(self, room: str, pair: Pair) -> ChatReceipt:
        """Send a signed message to a room."""
        return await self.post_signed(
            f"/v1/chat/rooms/{quote(room, safe='')}/messages", pair, ChatReceipt
        )

    async def direct_messages(
        self, address: bytes, limit: int = 50, after_ms: int = 0
    ) -> tuple[DirectMessage, ...]:
        """Return sealed messages to an address newer than `after_ms`, oldest first."""
        query = {"limit": limit, "after_ms": after_ms}
        path = f"/v1/chat/direct/{to_checksum(address)}"
        return (await self.get(path, _Messages, query)).messages

    async def direct_post(self, pair: Pair) -> ChatReceipt:
        """Send a sealed message."""
        return await self.post_signed("/v1/chat/direct", pair, ChatReceipt)

    async def prekeys(self, address: bytes) -> tuple[Prekey, ...]:
        """Return the keys under which an address can be written to."""
        return (await self.get(f"/v1/chat/prekeys/{to_checksum(address)}", _Prekeys)).prekeys

    async def prekey_post(self, pair: Pair) -> ChatReceipt:
        """Publish a signed prekey bundle."""
        return await self.post_signed("/v1/chat/prekeys", pair, ChatReceipt)

    # Requests

    async def get(self, path: str, view: type[T], query: Mapping[str, Any] | None = None) -> T:
        """Ask for any view. Raises RequestRefused or ConnectionLost."""
        request = self._http.build_request("GET", path, params=query)
        return decode_view(await self._send(request), view)

    async def post_signed(self, path: str, pair: Pair, view: type[T]) -> T:
        """Post signed bytes as JSON. Raises RequestRefused or ConnectionLost."""
        payload, signature = pair
        body = {"payload": "0x" + payload.hex(), "signature": "0x" + signature.hex()}
        return await self.post_json(path, body, view)

    async def post_json(self, path: str, body: Mapping[str, Any], view: type[T]) -> T:
        """Post a JSON object. Raises RequestRefused or ConnectionLost."""
        return await self._post(path, msgspec.json.encode(body), "application/json", view)

    async def _post(self, path: str, content: bytes, kind: str, view: type[T]) -> T:
        request = self._http.build_request(
            "POST", path, content=content, headers={"content-type": kind}
        )
        return decode_view(await self._send(request), view)

    async def _send(self, request: httpx.Request) -> bytes:
        try:
            response = await self._http.send(request, stream=True)
            try:
                data = await _read(response)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise ConnectionLost(f"no answer from {self.url}: {why}") from error
        if response.status_code >= 400:
            raise _refusal(response.status_code, data)
        return data


def _drop_none(**query: int | str | None) -> dict[str, int | str]:
    return {name: value for name, value in query.items() if value is not None}


async def _read(response: httpx.Response) -> bytes:
    """Read a body that may not grow beyond all bounds."""
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > ANSWER_BYTES_MAX:
            raise RequestRefused("bad_answer", "the node's answer is too long")
        chunks.append(chunk)
    return b"".join(chunks)


def _refusal(status: int, data: bytes) -> RequestRefused:
    try:
        parts = msgspec.json.decode(data, type=_RefusalBody).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return RequestRefused("bad_answer", f"HTTP {status} without an explanation", status=status)
    return RequestRefused(
        parts.code,
        parts.message,
        risk=parts.risk,
        fix=parts.fix,
        status=status,
        oldest_height=parts.oldest_height,
    )
