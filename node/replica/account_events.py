"""List what a block did to each account, in the order in which it happened.

Rule: a pure function of the outcome: receipts, then order events and fills as they took turns, then
deposits, withdrawals and a validator's income, then the ends of operations that had been pending,
then every balance that changed, as it is after the block. Each counts as one event of its account.
Spec: docs/spec/market-data.md#account-events
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from msgspec import Struct

from exchange.outcome import FROM_ORDERS, Fill, OrderEvent, Outcome, Resolution
from primitives import codec
from storage.integers import decode_integer, encode_integer
from storage.limits import ACCOUNT_BATCH_BYTES_MAX

Big: TypeAlias = int | bytes
"""An amount: an integer, or beyond 63 bits its signed big-endian bytes."""


class Event(Struct, frozen=True, array_like=True, gc=False):
    """Root of all events; the tag is the kind."""


class OrderNews(Event, frozen=True, tag=1):
    """An order came to rest or to wait, changed, was reached or ended; `kind` as in `outcome`."""

    kind: int
    market: int
    order: int
    sub: int
    side: int
    price: int
    size: int
    reason: int
    client_id: int


class FillNews(Event, frozen=True, tag=2):
    """One side of a trade."""

    trade: int
    market: int
    order: int
    sub: int
    side: int
    price: int
    size: int
    fee: Big
    is_maker: bool
    left: int
    builder_fee: Big


class BalanceNews(Event, frozen=True, tag=3):
    """A balance after the block."""

    sub: int
    asset: int
    free: Big
    held: Big


class DepositNews(Event, frozen=True, tag=4):
    """A vault's deposit became ledger credit."""

    chain_id: Big
    vault: bytes
    deposit: int
    asset: int
    amount: Big


class WithdrawalNews(Event, frozen=True, tag=5):
    """A withdrawal entered the tree."""

    index: int
    sub: int
    asset: int
    amount: Big
    to: bytes


class ReceiptNews(Event, frozen=True, tag=6):
    """What became of an action: per operation its status and the order it made or concerned."""

    action_id: bytes
    statuses: tuple[int, ...]
    orders: tuple[int, ...]


class ResolutionNews(Event, frozen=True, tag=7):
    """The end of an operation that had been pending."""

    action_id: bytes
    op: int
    status: int


class IncomeNews(Event, frozen=True, tag=8):
    """A validator's part of fees or rewards, or a builder's fee; `source` as in `Share`."""

    source: int
    asset: int
    amount: Big


AnyEvent: TypeAlias = (
    OrderNews
    | FillNews
    | BalanceNews
    | DepositNews
    | WithdrawalNews
    | ReceiptNews
    | ResolutionNews
    | IncomeNews
)


def collect_events(
    outcome: Outcome, first_fill: int, resolved: Iterable[tuple[int, Resolution]]
) -> dict[int, list[AnyEvent]]:
    """Return every account's events by account number.

    `first_fill` numbers the block's fills, `resolved` are its resolutions with their accounts.
    """
    found: dict[int, list[AnyEvent]] = {}
    charges = list_builder_fees(outcome)
    for receipt in outcome.receipts:
        if receipt.account >= 0:
            statuses, orders = tuple(receipt.statuses), tuple(receipt.orders)
            news = ReceiptNews(receipt.action_id, statuses, orders)
            found.setdefault(receipt.account, []).append(news)
    for item in merge_orders(outcome.orders, enumerate(outcome.fills, first_fill)):
        if isinstance(item, OrderEvent):
            found.setdefault(item.account, []).append(_order(item))
        else:
            number, fill = item
            index = number - first_fill
            charge = charges.get((index, fill.maker_order), 0)
            found.setdefault(fill.maker_account, []).append(_maker(number, fill, charge))
            charge = charges.get((index, fill.taker_order), 0)
            found.setdefault(fill.taker_account, []).append(_taker(number, fill, charge))
    _add_transfers(found, outcome)
    for account, end in resolved:
        found.setdefault(account, []).append(ResolutionNews(end.action_id, end.op, end.status))
    for balance in outcome.balances:
        free, held = encode_integer(balance.free), encode_integer(balance.held)
        now = BalanceNews(balance.sub, balance.asset, free, held)
        found.setdefault(balance.account, []).append(now)
    return found


def list_builder_fees(outcome: Outcome) -> dict[tuple[int, int], int]:
    """Return what fills paid to builders in quote atoms, by (fill of the block, paying order)."""
    return {
        (share.fill, share.order): share.amount
        for share in outcome.shares
        if share.source == FROM_ORDERS
    }


def _add_transfers(found: dict[int, list[AnyEvent]], outcome: Outcome) -> None:
    """Add what came from vaults, what goes to them, and what validators earned."""
    for deposit in outcome.deposits:
        if deposit.asset >= 0:
            news = DepositNews(
                encode_integer(deposit.chain_id),
                deposit.vault,
                deposit.id,
                deposit.asset,
                encode_integer(deposit.amount),
            )
            found.setdefault(deposit.account, []).append(news)
    for out in outcome.withdrawals:
        amount = encode_integer(out.amount)
        left = WithdrawalNews(out.index, out.sub, out.asset, amount, out.to)
        found.setdefault(out.account, []).append(left)
    for share in outcome.shares:
        income = IncomeNews(share.source, share.asset, encode_integer(share.amount))
        found.setdefault(share.account, []).append(income)


def merge_orders(
    orders: Iterable[OrderEvent], fills: Iterable[tuple[int, Fill]]
) -> Iterator[OrderEvent | tuple[int, Fill]]:
    """Merge a block's order events and numbered fills into the order in which they happened."""
    waiting, taken = iter(fills), 0
    for event in orders:
        while taken < event.fills_before:
            taken += 1
            yield next(waiting)
        yield event
    yield from waiting


def _order(event: OrderEvent) -> OrderNews:
    return OrderNews(
        event.kind,
        event.market,
        event.order_id,
        event.sub,
        event.side,
        event.price,
        event.size,
        event.reason,
        event.client_id,
    )


def _maker(number: int, fill: Fill, charge: int) -> FillNews:
    return FillNews(
        number,
        fill.market,
        fill.maker_order,
        fill.maker_sub,
        1 - fill.taker_side,
        fill.price,
        fill.size,
        encode_integer(fill.maker_fee),
        True,
        fill.maker_left,
        encode_integer(charge),
    )


def _taker(number: int, fill: Fill, charge: int) -> FillNews:
    return FillNews(
        number,
        fill.market,
        fill.taker_order,
        fill.taker_sub,
        fill.taker_side,
        fill.price,
        fill.size,
        encode_integer(fill.taker_fee),
        False,
        fill.taker_left,
        encode_integer(charge),
    )


def encode_events(events: list[AnyEvent]) -> bytes:
    """Encode one account's events of one block for the store."""
    return codec.encode(events)


def decode_events(body: bytes) -> list[AnyEvent]:
    """Read what `encode_events` wrote. Raises PeerError when the store is damaged."""
    events: list[AnyEvent] = codec.decode(body, list[AnyEvent], max_bytes=ACCOUNT_BATCH_BYTES_MAX)
    return events


def amount(stored: Big) -> int:
    """Return an event's amount."""
    return decode_integer(stored)
