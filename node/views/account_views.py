"""Show an account's stored events and fills as the API wants to see them.

Rule: pure mapping; a live event and the same event read later from the store look alike.
Spec: docs/spec/market-data.md#account-events; docs/reference/api.md (Market data)
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from exchange.outcome import CLOSED
from exchange.reasons import reason_name
from exchange.state import Asset
from node.api import account_views
from node.api.market_views import (
    AccountEvent,
    DepositView,
    IncomeView,
    ResolutionView,
    WithdrawalView,
)
from node.replica.account_events import (
    AnyEvent,
    BalanceNews,
    DepositNews,
    FillNews,
    IncomeNews,
    OrderNews,
    ReceiptNews,
    ResolutionNews,
    amount,
    decode_events,
)
from node.replica.tape import AccountBatch
from node.views.ledger_views import EVENT_STATUS, SIDES
from node.views.receipts import make_receipt
from storage.records import StoredAccountEvents, StoredFill

SOURCES: tuple[Literal["fees"], Literal["rewards"], Literal["orders"]] = (
    "fees",
    "rewards",
    "orders",
)


def make_account_events(
    assets: Sequence[Asset], rows: Iterable[StoredAccountEvents], after: int, limit: int
) -> tuple[AccountEvent, ...]:
    """Show at most `limit` stored events numbered above `after`."""
    found: list[AccountEvent] = []
    for row in rows:
        events = decode_events(row.body)
        found += show_events(assets, events, row.first, row.height, row.time_ms, after)
        if len(found) >= limit:
            break
    return tuple(found[:limit])


def make_live_events(
    assets: Sequence[Asset], batch: AccountBatch, height: int, time_ms: int
) -> tuple[AccountEvent, ...]:
    """Show an account's events of the block just executed."""
    return tuple(show_events(assets, batch.events, batch.first, height, time_ms, 0))


def show_events(
    assets: Sequence[Asset],
    events: Sequence[AnyEvent],
    first: int,
    height: int,
    time_ms: int,
    after: int,
) -> list[AccountEvent]:
    """Show one block's events of an account, those above `after`."""
    return [
        _show(assets, event, seq, height, time_ms)
        for seq, event in enumerate(events, first)
        if seq > after
    ]


def _show(
    assets: Sequence[Asset], event: AnyEvent, seq: int, height: int, time_ms: int
) -> AccountEvent:
    if isinstance(event, OrderNews):
        order = _order(event, height, time_ms)
        return AccountEvent(seq=seq, height=height, time_ms=time_ms, type="order", order=order)
    if isinstance(event, FillNews):
        fill = _fill(event, height, time_ms)
        return AccountEvent(seq=seq, height=height, time_ms=time_ms, type="fill", fill=fill)
    if isinstance(event, BalanceNews):
        balance = account_views.Balance(
            sub=event.sub,
            asset=event.asset,
            symbol=name_asset(assets, event.asset),
            free=amount(event.free),
            held=amount(event.held),
        )
        return AccountEvent(
            seq=seq, height=height, time_ms=time_ms, type="balance", balance=balance
        )
    if isinstance(event, DepositNews):
        deposit = DepositView(
            id=event.deposit,
            chain_id=amount(event.chain_id),
            vault=event.vault,
            asset=event.asset,
            amount=amount(event.amount),
        )
        return AccountEvent(
            seq=seq, height=height, time_ms=time_ms, type="deposit", deposit=deposit
        )
    if isinstance(event, ReceiptNews):
        statuses, orders = list(event.statuses), list(event.orders)
        receipt = make_receipt(event.action_id, statuses, orders, height, time_ms)
        return AccountEvent(
            seq=seq, height=height, time_ms=time_ms, type="receipt", receipt=receipt
        )
    if isinstance(event, ResolutionNews):
        end = ResolutionView(id=event.action_id, index=event.op, code=reason_name(event.status))
        return AccountEvent(
            seq=seq, height=height, time_ms=time_ms, type="resolution", resolution=end
        )
    if isinstance(event, IncomeNews):
        income = IncomeView(
            source=SOURCES[event.source], asset=event.asset, amount=amount(event.amount)
        )
        return AccountEvent(seq=seq, height=height, time_ms=time_ms, type="income", income=income)
    withdrawal = WithdrawalView(
        index=event.index,
        sub=event.sub,
        asset=event.asset,
        amount=amount(event.amount),
        to=event.to,
    )
    return AccountEvent(
        seq=seq, height=height, time_ms=time_ms, type="withdrawal", withdrawal=withdrawal
    )


def name_asset(assets: Sequence[Asset], asset: int) -> str:
    """Return an asset's symbol, empty for one that the ledger does not know."""
    return assets[asset].name if 0 <= asset < len(assets) else ""


def _order(event: OrderNews, height: int, time_ms: int) -> account_views.Order:
    return account_views.Order(
        id=event.order,
        market=event.market,
        sub=event.sub,
        side=SIDES[event.side],
        price=event.price,
        size=event.size,
        remaining=event.size,
        client_id=event.client_id,
        placed_height=height,
        placed_ms=time_ms,
        status=EVENT_STATUS[event.kind],
        reason=reason_name(event.reason) if event.kind == CLOSED else "",
    )


def _fill(event: FillNews, height: int, time_ms: int) -> account_views.Fill:
    return account_views.Fill(
        trade=event.trade,
        market=event.market,
        order=event.order,
        sub=event.sub,
        side=SIDES[event.side],
        price=event.price,
        size=event.size,
        fee=amount(event.fee),
        maker=event.is_maker,
        height=height,
        time_ms=time_ms,
        left=event.left,
        builder_fee=amount(event.builder_fee),
    )


def make_fill_side(row: StoredFill, owner: bytes) -> list[account_views.Fill]:
    """Show a stored fill from the side of an account, or from both if it traded with itself."""
    fill, found = row.fill, []
    if fill.maker == owner:
        side = 1 - fill.taker_side
        found.append(
            (
                True,
                fill.maker_order,
                fill.maker_sub,
                side,
                fill.maker_fee,
                fill.maker_left,
                fill.maker_builder_fee,
            )
        )
    if fill.taker == owner:
        side = fill.taker_side
        found.append(
            (
                False,
                fill.taker_order,
                fill.taker_sub,
                side,
                fill.taker_fee,
                fill.taker_left,
                fill.taker_builder_fee,
            )
        )
    return [
        account_views.Fill(
            trade=row.id,
            market=fill.market,
            order=order,
            sub=sub,
            side=SIDES[side],
            price=fill.price,
            size=fill.size,
            fee=fee,
            maker=is_maker,
            height=row.height,
            time_ms=row.time_ms,
            left=left,
            builder_fee=charge,
        )
        for is_maker, order, sub, side, fee, left, charge in found
    ]
