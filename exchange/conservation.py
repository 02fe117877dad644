"""Check that no atom was made or lost.

Rule: per asset, what was deposited equals what accounts have (free and held), what left as
withdrawals, the fees not yet credited to validators, and the treasuries' shares left to vaults
that the asset has left; the insurance fund is an account like any other.
Spec: docs/spec/exchange.md#conservation
Deviations: none.
"""

from __future__ import annotations

from exchange.batch import Replacement
from exchange.market import OPEN
from exchange.order_book import Order
from exchange.settlement import compute_hold
from exchange.state import State


def verify_conservation(state: State) -> None:
    """Assert conservation of every asset to the atom; a failure is our bug and stops the node."""
    count = len(state.assets)
    owned = [0] * count
    for account in state.accounts:
        for balance in account.entries:
            assert balance.free >= 0, "a free balance is never negative"
            assert balance.held >= 0, "a held balance is never negative"
            owned[balance.asset] += balance.free + balance.held
    for asset in range(count):
        unpaid = state.fees[asset] - state.fees_shared[asset]
        total = owned[asset] + state.withdrawn[asset] + unpaid + state.treasury_left[asset]
        assert total == state.deposited[asset], (
            f"asset {asset}: {total} != {state.deposited[asset]}"
        )


def verify_holds(state: State) -> None:
    """Assert that every balance holds exactly what live orders and commits need; for tests and
    dumps.
    """
    needed: dict[int, int] = {}
    for market in state.markets:
        for order in market.book.orders.values():
            need = compute_hold(market, order, order.price, order.size)
            assert order.held == need, "an order holds exactly what it may cost"
            trader = order.trader
            balance = trader.base if order.side else trader.quote
            needed[id(balance)] = needed.get(id(balance), 0) + need
        for plan in market.plans.by_id.values():
            quote = plan.order.trader.quote
            needed[id(quote)] = needed.get(id(quote), 0) + plan.cushion
        for commit in market.commits.values():
            for balance, atoms in (
                (commit.trader.quote, commit.quote_tier + commit.quote_bond),
                (commit.trader.base, commit.base_tier + commit.base_bond),
            ):
                needed[id(balance)] = needed.get(id(balance), 0) + atoms
        for batch in market.batches:
            for group in batch.groups:
                for entry in group.entries:
                    if isinstance(entry, Replacement):
                        trader = entry.order.trader
                        balance = trader.base if entry.order.side else trader.quote
                        needed[id(balance)] = needed.get(id(balance), 0) + entry.extra
    for account in state.accounts:
        for balance in account.entries:
            assert balance.held == needed.get(id(balance), 0), "held is what is needed, no more"


def verify_books(state: State) -> None:
    """Assert that no book is crossed and that level totals are the sums of their orders."""
    for market in state.markets:
        book = market.book
        bid = book.get_best(0)
        ask = book.get_best(1)
        if market.status == OPEN and not market.collecting:
            assert not (bid and ask) or bid < ask, "no open book is locked or crossed"
        for side in (book.bids, book.asks):
            assert side.keys == sorted(side.levels)
            for level in side.levels.values():
                total = 0
                order: Order | None = level.head
                while order is not None:
                    total += order.size
                    order = order.next
                assert total == level.size > 0
