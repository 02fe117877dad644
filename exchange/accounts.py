"""Accounts, their balances, their session keys and the nonces they have used.

Rule: these classes hold state and the invariants of one account; they know neither markets nor
blocks.
Spec: docs/spec/exchange.md#accounts
Deviations: none.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from exchange import limits
from exchange.reasons import Reason
from exchange.volume import Volume

if TYPE_CHECKING:
    from exchange.order_book import Order

NONCE_OK = int(Reason.OK)
NONCE_USED = int(Reason.NONCE_USED)
NONCE_TOO_OLD = int(Reason.NONCE_TOO_OLD)


class Balance:
    """Free and held atoms of one asset in one sub-account; both are never negative."""

    __slots__ = ("account", "asset", "free", "held", "position", "sub", "touched")

    def __init__(self, account: Account, position: int, sub: int, asset: int) -> None:
        self.account: Account = account
        self.position: int = position
        self.sub: int = sub
        self.asset: int = asset
        self.free: int = 0
        self.held: int = 0
        self.touched: bool = False


class Trader:
    """One sub-account in one market: its two balances and its live orders."""

    __slots__ = (
        "account",
        "base",
        "buying",
        "granted",
        "highest",
        "is_ascending",
        "market",
        "number",
        "orders",
        "place",
        "quote",
        "selling",
        "sub",
    )

    def __init__(
        self, account: Account, sub: int, market: int, quote: Balance, base: Balance
    ) -> None:
        self.account: Account = account
        self.number: int = account.number
        self.sub: int = sub
        self.market: int = market
        self.place: int = sub * limits.MARKETS_MAX + market
        """Its key among its account's."""
        self.quote: Balance = quote
        self.base: Balance = base
        self.orders: dict[int, Order] = {}
        """Live orders by id, resting and pending."""
        self.granted: dict[int, dict[int, Order]] = {}
        """Those that a session key has placed, by the key's number."""
        self.is_ascending: bool = True
        """Whether `orders` stand in order of their ids."""
        self.highest: int = 0
        """No id in `orders` is higher."""
        self.buying: int = 0
        """Lots of the resting bids, so that a fill-or-kill need not walk orders."""
        self.selling: int = 0

    def add(self, order: Order) -> None:
        """Take a new order in."""
        number = order.id
        self.orders[number] = order
        if number > self.highest:
            self.highest = number
        else:
            self.is_ascending = False  # hidden orders got their ids before they were shown
        grant = order.grant
        if grant:
            placed = self.granted.get(grant)
            if placed is None:
                placed = self.granted[grant] = {}
                self.account.placing.setdefault(grant, {})[self.place] = self
            placed[number] = order

    def remove(self, order: Order) -> None:
        """Forget an order."""
        del self.orders[order.id]
        if order.grant:
            placed = self.granted[order.grant]
            del placed[order.id]
            if not placed:
                del self.granted[order.grant]
                sides = self.account.placing[order.grant]
                del sides[self.place]
                if not sides:
                    del self.account.placing[order.grant]

    def make_client_key(self, client_id: int) -> int:
        """Make the key of a client id of this sub-account in this market."""
        return make_client_key(self.sub, self.market, client_id)

    def has_client_id(self, client_id: int) -> bool:
        """Tell whether a live order has this client id; 0 is none."""
        return client_id != 0 and self.make_client_key(client_id) in self.account.clients

    def list_below(self, before: int) -> list[int]:
        """List the ids of live orders below one, ascending, at a cost that follows their number."""
        if not self.is_ascending:
            self.orders = {number: self.orders[number] for number in sorted(self.orders)}
            self.is_ascending = True
        found = []
        for number in self.orders:
            if number >= before:
                break
            found.append(number)
        return found


class Account:
    """One owner. `number` is dense, in order of the first credit; number 0 is the insurance
    account.
    """

    __slots__ = (
        "action_count",
        "action_height",
        "builders",
        "by_key",
        "clients",
        "commits",
        "entries",
        "forfeit_count",
        "forfeit_ms",
        "granted",
        "leaves",
        "nodes",
        "number",
        "operations_hour",
        "operations_used",
        "owner",
        "placing",
        "traders",
        "volume",
    )

    def __init__(self, number: int, owner: bytes) -> None:
        self.number: int = number
        self.owner: bytes = owner
        self.entries: list[Balance] = []
        """Balances in order of creation: the positions of the balances tree."""
        self.by_key: dict[int, Balance] = {}
        self.leaves: list[bytes] = []
        self.nodes: list[bytes] = []
        """The balances tree of an account of many entries: its root at 1, node n above 2n and
        2n + 1."""
        self.traders: dict[int, Trader] = {}
        self.clients: dict[int, Order] = {}
        """Live orders by client id."""
        self.granted: list[bytes] = []
        """Its session keys that are known, oldest first."""
        self.placing: dict[int, dict[int, Trader]] = {}
        """The sides in markets where a session key has live orders, by the key's number and their
        places."""
        self.commits: int = 0
        self.forfeit_count: int = 0
        self.forfeit_ms: int = 0
        self.action_height: int = 0
        self.action_count: int = 0
        self.builders: dict[int, int] = {}
        """The most each approved builder may charge, in ppm, by the builder's account number."""
        self.operations_hour: int = 0
        """The hour that `operations_used` is of: hours since the Unix epoch, by block time."""
        self.operations_used: int = 0
        self.volume: Volume | None = None
        """What it has traded lately; None for nothing."""

    def get_balance(self, sub: int, asset: int) -> Balance | None:
        """Return the entry of an asset in a sub-account, or None if it was never credited."""
        return self.by_key.get(sub * limits.ASSETS_MAX + asset)

    def open_balance(self, sub: int, asset: int) -> Balance:
        """Return the entry of an asset, made if need be."""
        key = sub * limits.ASSETS_MAX + asset
        balance = self.by_key.get(key)
        if balance is None:
            balance = Balance(self, len(self.entries), sub, asset)
            self.by_key[key] = balance
            self.entries.append(balance)
            self.leaves.append(b"")
        return balance

    def get_trader(self, sub: int, market: int) -> Trader | None:
        """Return the sub-account's side in a market, or None if it never traded there."""
        return self.traders.get(sub * limits.MARKETS_MAX + market)

    def add_trader(self, sub: int, market: int, quote: Balance, base: Balance) -> Trader:
        """Make the sub-account's side in a market."""
        trader = Trader(self, sub, market, quote, base)
        self.traders[trader.place] = trader
        return trader

    def get_market_traders(self, market: int) -> list[Trader]:
        """List all sub-accounts' sides in a market, in ascending order of sub-account."""
        found = []
        for sub in range(limits.SUB_ACCOUNT_MAX + 1):
            trader = self.traders.get(sub * limits.MARKETS_MAX + market)
            if trader is not None:
                found.append(trader)
        return found


def make_client_key(sub: int, market: int, client_id: int) -> int:
    """Make the key of a client id within an account."""
    return (client_id * limits.MARKETS_MAX + market) * (limits.SUB_ACCOUNT_MAX + 1) + sub


class SessionKey:
    """What a granted key may do."""

    __slots__ = (
        "account",
        "actions",
        "cancel_on_revoke",
        "expiry_ms",
        "markets",
        "notional_cap",
        "notional_used",
        "number",
        "orders_cap",
        "orders_used",
        "revoked",
        "total_cap",
    )

    def __init__(
        self,
        number: int,
        account: int,
        expiry_ms: int,
        actions: int,
        markets: tuple[int, ...],
        notional_cap: int,
        cancel_on_revoke: bool,
        total_cap: int = 0,
        orders_cap: int = 0,
    ) -> None:
        self.number: int = number
        """Dense, from 1 in order of grant; orders name their key by it, 0 is the wallet."""
        self.account: int = account
        self.expiry_ms: int = expiry_ms
        self.actions: int = actions
        self.markets: tuple[int, ...] = markets
        self.notional_cap: int = notional_cap
        self.cancel_on_revoke: bool = cancel_on_revoke
        self.revoked: bool = False
        self.total_cap: int = total_cap
        self.orders_cap: int = orders_cap
        self.notional_used: int = 0
        """Quote atoms, summed over quotes of all markets."""
        self.orders_used: int = 0


def use_nonce(window: list[int], nonce_ms: int) -> int:
    """Record a nonce among the highest `NONCES_KEPT` of its key, in any order. Returns a reason
    code.
    """
    if not window or nonce_ms > window[-1]:
        window.append(nonce_ms)
    else:
        i = bisect_left(window, nonce_ms)
        if window[i] == nonce_ms:
            return NONCE_USED
        if i == 0 and len(window) >= limits.NONCES_KEPT:
            return NONCE_TOO_OLD
        window.insert(i, nonce_ms)
    if len(window) > limits.NONCES_KEPT:
        del window[0]
    return NONCE_OK
