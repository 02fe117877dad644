"""Trade for one account: place, replace, cancel, take, move funds, each call with a clear end.

Rule: a call returns what the ledger did, or raises: ActionRejected if it did nothing,
OutcomeUnknown if that is not known yet.
Spec: docs/reference/api.md; docs/how-to/trade.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import msgspec
import trio

from client.actions import ActionBuilder
from client.desk import Desk, verify_accepted
from client.errors import ClientError, ConnectionLost, OutcomeUnknown, RiskyRecipient
from client.groups import unwrap
from client.keys import Credentials, make_approval, make_grant, make_revoke
from client.limits import GRANT_MS_DEFAULT, OUTCOME_TIMEOUT_S, RECEIPT_POLL_S, SEAL_GRACE_S
from client.node_client import NodeClient, now_ms
from client.outcomes import is_ended
from client.sealed import SealedOrders, Taken
from client.subscription import Subscription
from client.views import AccountUpdate, ActionReceipt, Balance, Order
from exchange.actions import (
    BUY,
    IOC,
    POST_ONLY,
    SELL,
    STP_NEWEST,
    AnyOp,
    Cancel,
    CancelAfter,
    CancelAll,
    CancelClient,
    Place,
    PlaceBracket,
    PlaceIceberg,
    PlaceSchedule,
    PlaceTrailing,
    PlaceTrigger,
    PlaceUntil,
    Replace,
    ReplaceTrigger,
    Transfer,
    Withdraw,
    encode_amount,
)
from primitives.address import to_checksum

Waiting: TypeAlias = PlaceTrigger | PlaceTrailing | PlaceIceberg | PlaceSchedule | PlaceBracket


class Trader:
    """One sub-account of one account on one node. Made by `open_trader`."""

    def __init__(
        self, client: NodeClient, credentials: Credentials, sub: int, nursery: trio.Nursery
    ) -> None:
        self.client = client
        self.account = credentials.account
        self.sub = sub
        builder = ActionBuilder(
            domain=client.domain, credentials=credentials, clock=now_ms, sub=sub
        )
        self.desk = Desk(client, builder)
        self.sealed = SealedOrders(self.desk, nursery)
        self.orders: dict[int, Order] = {}  # resting now
        self.balances: dict[int, Balance] = {}  # of this sub-account, by asset id
        self.ready = trio.Event()  # set by the first snapshot
        self._changed = trio.Event()

    # Orders

    async def place(
        self,
        market: int | str,
        side: int,
        price: int,
        size: int,
        *,
        tif: int = POST_ONLY,
        client_id: int = 0,
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> int:
        """Place a maker order (ticks, lots) and return its id once it rests.

        Raises ActionRejected, for instance with `post_only_crosses`, or OutcomeUnknown.
        """
        number = (await self.client.resolve_market(market)).id
        op = Place(number, side, price, size, tif, client_id=client_id)
        receipt = await self.execute(op, timeout_s=timeout_s)
        return verify_accepted(receipt).statuses[0].order_id or 0

    async def place_waiting(self, order: Waiting, *, timeout_s: float = OUTCOME_TIMEOUT_S) -> int:
        """Place an order that waits (`client.waiting`) or trades in parts and return its id.

        Raises ActionRejected, for instance with `trigger_reached`, or OutcomeUnknown.
        """
        receipt = await self.execute(order, timeout_s=timeout_s)
        return verify_accepted(receipt).statuses[0].order_id or 0

    async def replace_waiting(
        self,
        market: int | str,
        order_id: int,
        size: int,
        *,
        above: tuple[int, int] = (0, 0),
        below: tuple[int, int] = (0, 0),
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> None:
        """Give an order that waits another size and other legs of (price, limit).

        Raises ActionRejected, for instance with `unknown_order` once it was reached.
        """
        number = (await self.client.resolve_market(market)).id
        op = ReplaceTrigger(number, order_id, size, *above, *below)
        verify_accepted(await self.execute(op, timeout_s=timeout_s))

    async def place_until(
        self,
        market: int | str,
        side: int,
        price: int,
        size: int,
        expiry_ms: int,
        *,
        post_only: bool = True,
        client_id: int = 0,
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> int:
        """Place an order that rests until a block time (Unix ms); return its id."""
        number = (await self.client.resolve_market(market)).id
        op = PlaceUntil(number, side, price, size, post_only, STP_NEWEST, client_id, expiry_ms)
        receipt = await self.execute(op, timeout_s=timeout_s)
        return verify_accepted(receipt).statuses[0].order_id or 0

    async def cancel_after(self, time_ms: int, *, timeout_s: float = OUTCOME_TIMEOUT_S) -> None:
        """Have every order of this sub-account cancelled at a block time unless this is called
        again; 0 takes it back. For programs that may die: call it in a loop."""
        verify_accepted(await self.execute(CancelAfter(time_ms), timeout_s=timeout_s))

    async def cancel(
        self, market: int | str, order_id: int, *, timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> None:
        """Cancel one order. Raises ActionRejected (`unknown_order`) if it is gone already."""
        op = Cancel((await self.client.resolve_market(market)).id, order_id)
        verify_accepted(await self.execute(op, timeout_s=timeout_s))

    async def cancel_client(
        self, market: int | str, client_id: int, *, timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> None:
        """Cancel the live order that has a client id. Raises ActionRejected."""
        op = CancelClient((await self.client.resolve_market(market)).id, client_id)
        verify_accepted(await self.execute(op, timeout_s=timeout_s))

    async def cancel_all(self, market: int | str, *, timeout_s: float = OUTCOME_TIMEOUT_S) -> None:
        """Cancel every order of this sub-account in a market."""
        op = CancelAll((await self.client.resolve_market(market)).id)
        verify_accepted(await self.execute(op, timeout_s=timeout_s))

    async def replace(
        self,
        market: int | str,
        order_id: int,
        price: int,
        size: int,
        *,
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> int:
        """Give an order a new price and remaining size; return its id. Raises ActionRejected."""
        op = Replace((await self.client.resolve_market(market)).id, order_id, price, size)
        receipt = await self.execute(op, timeout_s=timeout_s)
        return verify_accepted(receipt).statuses[0].order_id or order_id

    # Taking liquidity

    async def buy_sealed(
        self,
        market: int | str,
        price: int,
        size: int,
        *,
        tif: int = IOC,
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> Taken:
        """Buy up to `size` lots at `price` ticks or better, hidden until the block is final."""
        return await self.take(market, BUY, price, size, tif=tif, timeout_s=timeout_s)

    async def sell_sealed(
        self,
        market: int | str,
        price: int,
        size: int,
        *,
        tif: int = IOC,
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> Taken:
        """Sell up to `size` lots at `price` ticks or better, hidden until the block is final."""
        return await self.take(market, SELL, price, size, tif=tif, timeout_s=timeout_s)

    async def take(
        self,
        market: int | str,
        side: int,
        price: int,
        size: int,
        *,
        tif: int = IOC,
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> Taken:
        """Commit, wait until the commit is final, open, wait for the fill.

        A sealed order that finds nothing is no error: its `code` says so. Raises ActionRejected if
        commit or opening was refused, OutcomeUnknown after `timeout_s`; the order is then still
        followed, and opened if its commit comes through.
        """
        await self.client.resolve_market(market)
        terms = self.client.terms(market)
        return await self.sealed.take(terms, Place(terms.id, side, price, size, tif), timeout_s)

    # The account

    async def grant(
        self,
        key: bytes,
        *,
        lifetime_ms: int = GRANT_MS_DEFAULT,
        markets: Sequence[int] = (),
        notional_cap: int = 0,
        notional_total: int = 0,
        orders_cap: int = 0,
        cancel_on_revoke: bool = False,
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> int:
        """Let a session key trade for this account; the wallet signs. Raises ActionRejected.

        Returns when it ends, in Unix ms.

        `client.limits` has the usual lifetimes of a day and a week. Notionals are quote atoms: of
        one order, and of all orders that the key ever sends; zero means no cap.
        """
        expiry_ms = now_ms() + lifetime_ms
        op = make_grant(
            key,
            expiry_ms,
            markets=tuple(markets),
            notional_cap=notional_cap,
            notional_total=notional_total,
            orders_cap=orders_cap,
            cancel_on_revoke=cancel_on_revoke,
        )
        verify_accepted(await self.execute(op, timeout_s=timeout_s))
        return expiry_ms

    async def revoke(self, key: bytes, *, timeout_s: float = OUTCOME_TIMEOUT_S) -> None:
        """End a session key at once; the wallet signs. Raises ActionRejected."""
        verify_accepted(await self.execute(make_revoke(key), timeout_s=timeout_s))

    async def approve_builder(
        self, builder: bytes, max_fee_ppm: int, *, timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> None:
        """Let a builder charge this account's orders up to a fee (100 ppm are one basis point).

        0 takes it back at once, for resting orders too. Needs the wallet's key.
        """
        approval = make_approval(builder, max_fee_ppm)
        verify_accepted(await self.execute(approval, timeout_s=timeout_s))

    async def withdraw(
        self,
        asset: int,
        atoms: int,
        to: bytes,
        *,
        confirmed: bool = False,
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> ActionReceipt:
        """Move free funds to the vault's withdrawals; the wallet signs. Raises ActionRejected.

        Raises RiskyRecipient for a contract or nobody's address unless `confirmed`.
        """
        if to != self.account and not confirmed:
            await self._verify_recipient(asset, to)
        op = Withdraw(asset, encode_amount(atoms), to)
        return verify_accepted(await self.execute(op, timeout_s=timeout_s))

    async def _verify_recipient(self, asset: int, to: bytes) -> None:
        for one in await self.client.rest.assets():
            if one.id == asset:
                found = await self.client.rest.recipient(one.chain_id, to)
                if found.warning:
                    raise RiskyRecipient(f"{to_checksum(to)} is {found.warning}")

    async def transfer(
        self,
        asset: int,
        atoms: int,
        to: bytes,
        *,
        to_sub: int = 0,
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> None:
        """Move free funds to another account; the wallet signs. Raises ActionRejected."""
        op = Transfer(asset, encode_amount(atoms), to, to_sub)
        verify_accepted(await self.execute(op, timeout_s=timeout_s))

    # Actions

    async def execute(
        self, *ops: AnyOp, atomic: bool = False, timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> ActionReceipt:
        """Send one action and wait until none of its operations is pending.

        Raises ActionRejected when the node refuses it and OutcomeUnknown after `timeout_s`; what
        the exchange refused stands in the receipt.
        """
        deadline_ms = now_ms() + int(timeout_s * 1_000)
        signed = self.desk.builder.sign(*ops, atomic=atomic, deadline_ms=deadline_ms)
        deadline = trio.current_time() + timeout_s
        try:
            await self.desk.submit(signed, timeout_s)
        except ConnectionLost as error:
            raise OutcomeUnknown(signed.id, str(error)) from error
        receipt = await self.desk.wait(signed.id, is_ended, deadline)
        if receipt is None:
            raise OutcomeUnknown(signed.id, f"no receipt within {timeout_s:g} s")
        return receipt

    async def wait_until(
        self, condition: Callable[[Trader], bool], timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> None:
        """Wait until orders and balances meet a condition. Raises ClientError after `timeout_s`."""
        with trio.move_on_after(timeout_s):
            while not condition(self):
                await self._changed.wait()
            return
        raise ClientError(f"the account did not change as expected within {timeout_s:g} s")

    # The account stream

    async def _follow(self) -> None:
        while True:
            subscription = self.client.subscribe("account", self.account)
            try:
                await self._read(subscription)
            except ClientError:
                await trio.sleep(RECEIPT_POLL_S)
            finally:
                subscription.close()

    async def _read(self, subscription: Subscription) -> None:
        async for event in subscription:
            update: AccountUpdate = event.data
            if event.is_snapshot:
                self.orders.clear()
                self.balances.clear()
            self._follow_orders(update)
            for balance in update.balances:
                if balance.sub == self.sub:
                    self.balances[balance.asset] = balance
            self.desk.outcomes.on_update(update)
            self.ready.set()
            self._changed.set()
            self._changed = trio.Event()

    def _follow_orders(self, update: AccountUpdate) -> None:
        """Keep the list of resting orders: events tell all but fills, fills tell what is left."""
        for order in update.orders:
            if order.status == "open":
                self.orders[order.id] = order
            else:
                self.orders.pop(order.id, None)
        for fill in update.fills:
            resting = self.orders.get(fill.order)
            if resting is None:
                continue
            left = min(fill.left, resting.remaining)
            if left:
                self.orders[fill.order] = msgspec.structs.replace(resting, remaining=left)
            else:
                del self.orders[fill.order]


@asynccontextmanager
async def open_trader(
    client: NodeClient, credentials: Credentials, *, sub: int = 0
) -> AsyncIterator[Trader]:
    """Trade while inside; the account's balances and orders are known from the start.

    Leaving waits a moment for sealed orders that are not opened yet.
    """
    with unwrap():
        async with trio.open_nursery() as nursery:
            trader = Trader(client, credentials, sub, nursery)
            nursery.start_soon(trader._follow)
            await trader.ready.wait()
            try:
                yield trader
            finally:
                deadline = trio.current_time() + SEAL_GRACE_S
                with trio.CancelScope(deadline=deadline, shield=True):
                    await trader.sealed.wait()
                nursery.cancel_scope.cancel()
