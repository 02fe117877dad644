"""Resolve what a client subscribes to and build the snapshot it gets first.

Rule: the snapshot of a topic has the same form as its events, so a client needs one reader for
both; only whole books and account states differ from their changes, and carry the number from which
these go on.
Spec: docs/reference/api.md (Subscriptions). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.api.account_views import AccountUpdate
from node.api.endpoint import parse_account, parse_market
from node.api.errors import ApiError
from node.api.frames import Subscribe
from node.api.hub import KEY_FIELD, Channel, Key, Topic
from node.api.limits import BOOK_PUSH_LEVELS, PAGE_DEFAULT
from node.api.market_views import AccountState, L2Book, L3Book
from node.api.service import MarketDataService, NodeService

MARKET_SNAPSHOTS: Final[dict[Channel, Callable[[MarketDataService, int], object]]] = {
    "l2": lambda data, market: data.l2(market),
    "l3": lambda data, market: data.l3(market),
    "ticker": lambda data, market: data.ticker(market),
    "candles": lambda data, market: data.live_candles(market),
}


def resolve_topic(service: NodeService, frame: Subscribe) -> Topic:
    """Return the topic a frame names. Raises ApiError."""
    given = {"market": frame.market, "account": frame.account, "room": frame.room}
    wanted = KEY_FIELD.get(frame.channel)
    if frame.after is not None and frame.channel != "events":
        raise ApiError("bad_request", f"the channel {frame.channel!r} takes no 'after'")
    for name, value in given.items():
        if value is not None and name != wanted:
            raise ApiError("bad_request", f"the channel {frame.channel!r} takes no {name!r}")
    if wanted is None:
        return frame.channel, None
    value = given[wanted]
    if value is None:
        raise ApiError("bad_request", f"the channel {frame.channel!r} needs {wanted!r}")
    key: Key = str(value)
    if wanted == "market":
        key = parse_market(service, str(value))
    elif wanted == "account":
        key = parse_account(str(value))
    return frame.channel, key


def own_number(snapshot: object, default: int) -> int:
    """Return the number all nodes give to a snapshot, or else this node's own."""
    if isinstance(snapshot, L2Book | L3Book):
        return snapshot.update
    return snapshot.seq if isinstance(snapshot, AccountState) else default


async def build_snapshot(service: NodeService, topic: Topic) -> object:
    """Return what a topic's events have led to so far, newest last."""
    channel, key = topic
    if channel in MARKET_SNAPSHOTS:
        assert isinstance(key, int)
        return MARKET_SNAPSHOTS[channel](service.market_data, key)
    if channel == "events":
        assert isinstance(key, bytes)
        return service.market_data.account_state(key)
    if channel == "book":
        assert isinstance(key, int)
        return service.book(key, BOOK_PUSH_LEVELS)
    if channel == "trades":
        assert isinstance(key, int)
        page = await service.market_data.trades(key, PAGE_DEFAULT, None, None)
        return tuple(reversed(page.trades))
    if channel == "market_events":
        return await service.market_data.newest_market_events(PAGE_DEFAULT)
    if channel == "blocks":
        return tuple(reversed(await service.blocks(None, PAGE_DEFAULT)))
    if channel == "account":
        assert isinstance(key, bytes)
        return account_snapshot(service, key)
    if channel == "chat":
        assert isinstance(key, str)
        return (await service.chat_messages(key, PAGE_DEFAULT, None)).messages
    if channel == "settlement":
        return await service.settlement()
    if channel == "markets":
        return service.markets()
    if channel == "validators":
        return service.validators()
    assert channel == "status"
    return service.status()


def account_snapshot(service: NodeService, address: bytes) -> AccountUpdate:
    """Return all balances and resting orders; an account that does not exist yet has none."""
    account = service.account(address)
    status = service.status()
    return AccountUpdate(
        address=address,
        height=account.height if account else status.executed,
        time_ms=status.now_ms,
        orders=service.orders(address) if account else (),
        fills=(),
        balances=account.balances if account else (),
    )
