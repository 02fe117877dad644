"""What a session key may spend in its whole life: a number of orders and a sum of notionals.

Rule: what a key has spent only grows; a cancel, a fill or an expiry gives nothing back, so that the
most a lost key can do is what its grant says. Only an atomic action that is taken back spends
nothing. What is sold counts at the price of the last trade where its limit is lower: a limit says
the least that a sale brings, not what is given away.
Spec: docs/spec/exchange.md#session-keys
Deviations: none.
"""

from __future__ import annotations

from exchange.accounts import SessionKey
from exchange.market import Market
from exchange.reasons import Reason

OK = int(Reason.OK)
OVER_KEY_TOTAL = int(Reason.OVER_KEY_TOTAL)
OVER_KEY_ORDERS = int(Reason.OVER_KEY_ORDERS)


def compute_notional(market: Market, side: int, price: int, size: int) -> int:
    """Compute the quote atoms that an order counts with: what it may give away at most."""
    if side and price < market.last_price:
        price = market.last_price
    return price * size * market.tick


def check_budget(key: SessionKey, atoms: int, orders: int) -> int:
    """Check that so many quote atoms and orders are left to the key. Returns a reason code."""
    if key.total_cap and key.notional_used + atoms > key.total_cap:
        return OVER_KEY_TOTAL
    if key.orders_cap and key.orders_used + orders > key.orders_cap:
        return OVER_KEY_ORDERS
    return OK


def spend(key: SessionKey, atoms: int, orders: int) -> None:
    """Take notional in quote atoms, and orders, out of the key's budget."""
    key.notional_used += atoms
    key.orders_used += orders
    assert key.notional_used >= 0
    assert key.orders_used >= 0


def refund(key: SessionKey, atoms: int, orders: int) -> None:
    """Undo `spend` for an operation that an atomic action takes back."""
    spend(key, -atoms, -orders)
