"""Trade: place, cancel, and take liquidity through sealed commits, each with a clear end.

Rule: a commit that may have reached a block is followed to its end even if nobody waits for it any
more, because a commit that is not opened costs its bond.
Spec: docs/spec/exchange.md#sealed-batches; docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import msgspec
import trio

from client.actions import ActionBuilder, SealedOrder, Signed
from client.errors import ActionRejected, ClientError, ConnectionLost, OutcomeUnknown
from client.groups import unwrap
from client.keys import Credentials, make_grant, make_revoke
from client.limits import (
    GRANT_MS_DEFAULT,
    OPENINGS_MAX,
    OUTCOME_TIMEOUT_S,
    RECEIPT_POLL_S,
    SEAL_DEADLINE_MS,
    SEAL_GRACE_S,
)
from client.node_client import NodeClient, now_ms
from client.outcomes import Outcomes, is_accepted_code, is_ended, is_executed
from client.stream import Subscription
from client.views import AccountUpdate, ActionReceipt, Balance, Fill, Order
from exchange.actions import (
    BUY,
    IOC,
    POST_ONLY,
    SELL,
    AnyOp,
    Cancel,
    CancelAll,
    CancelClient,
    Place,
    Replace,
    Transfer,
    Withdraw,
    encode_amount,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a sealed order brought."""

    order_id: int  # of the first hidden order
    code: str  # filled, partly_filled, ioc_unfilled, ok (the rest is resting), ...
    fills: tuple[Fill, ...]
    commit_height: int
    height: int  # of the block that cleared it
    elapsed_ms: int  # from sending the commit to knowing the fill

    @property
    def filled(self) -> int:
        """Lots that traded."""
        return sum(fill.size for fill in self.fills)

    @property
    def fee(self) -> int:
        """Quote atoms paid as taker fee."""
        return sum(fill.fee for fill in self.fills)

    @property
    def notional(self) -> int:
        """Sum of price × size; times the market's tick it is quote atoms."""
        return sum(fill.price * fill.size for fill in self.fills)


class _Life:
    """A sealed order on its way, and whoever waits for it."""

    __slots__ = ("done", "error", "sealed", "taken")

    def __init__(self, sealed: SealedOrder) -> None:
        self.sealed = sealed
        self.done = trio.Event()
        self.taken: Taken | None = None
        self.error: ClientError | ConnectionLost | None = None


class Trader:
    """One sub-account of one account on one node. Made by `open_trader`."""

    def __init__(
        self, client: NodeClient, credentials: Credentials, sub: int, nursery: trio.Nursery
    ) -> None:
        self.client = client
        self.account = credentials.account
        self.sub = sub
        self.builder = ActionBuilder(
            domain=client.domain, credentials=credentials, clock=now_ms, sub=sub
        )
        self.outcomes = Outcomes()
        self.orders: dict[int, Order] = {}  # resting now
        self.balances: dict[int, Balance] = {}  # of this sub-account, by asset id
        self.ready = trio.Event()  # set by the first snapshot
        self._nursery = nursery
        self._lives: dict[bytes, _Life] = {}
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
        number = self.client.find_market(market).id
        op = Place(number, side, price, size, tif, client_id=client_id)
        receipt = await self.execute(op, timeout_s=timeout_s)
        return _verify(receipt).statuses[0].order_id or 0

    async def cancel(
        self, market: int | str, order_id: int, *, timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> None:
        """Cancel one order. Raises ActionRejected (`unknown_order`) if it is gone already."""
        op = Cancel(self.client.find_market(market).id, order_id)
        _verify(await self.execute(op, timeout_s=timeout_s))

    async def cancel_client(
        self, market: int | str, client_id: int, *, timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> None:
        """Cancel the live order that has a client id. Raises ActionRejected."""
        op = CancelClient(self.client.find_market(market).id, client_id)
        _verify(await self.execute(op, timeout_s=timeout_s))

    async def cancel_all(self, market: int | str, *, timeout_s: float = OUTCOME_TIMEOUT_S) -> None:
        """Cancel every order of this sub-account in a market."""
        op = CancelAll(self.client.find_market(market).id)
        _verify(await self.execute(op, timeout_s=timeout_s))

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
        op = Replace(self.client.find_market(market).id, order_id, price, size)
        receipt = await self.execute(op, timeout_s=timeout_s)
        return _verify(receipt).statuses[0].order_id or order_id

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
        followed, opened if its commit comes through, and `outcomes` tells its end.
        """
        terms = self.client.terms(market)
        order = Place(terms.id, side, price, size, tif)
        sealed = self.builder.seal(terms, order, deadline_ms=now_ms() + SEAL_DEADLINE_MS)
        life = self._lives[sealed.commit.id] = _Life(sealed)
        self._nursery.start_soon(self._live, life)
        with trio.move_on_after(timeout_s):
            await life.done.wait()
        if life.error is not None:
            raise life.error
        if life.taken is None:
            raise OutcomeUnknown(sealed.commit.id, f"no fill within {timeout_s:g} s")
        return life.taken

    async def wait_sealed(self) -> None:
        """Wait until every sealed order has come to its end."""
        for life in tuple(self._lives.values()):
            await life.done.wait()

    # The account

    async def grant(
        self,
        key: bytes,
        *,
        lifetime_ms: int = GRANT_MS_DEFAULT,
        markets: Sequence[int] = (),
        notional_cap: int = 0,
        timeout_s: float = OUTCOME_TIMEOUT_S,
    ) -> None:
        """Let a session key trade for this account; the wallet signs. Raises ActionRejected."""
        op = make_grant(
            key, now_ms() + lifetime_ms, markets=tuple(markets), notional_cap=notional_cap
        )
        _verify(await self.execute(op, timeout_s=timeout_s))

    async def revoke(self, key: bytes, *, timeout_s: float = OUTCOME_TIMEOUT_S) -> None:
        """End a session key at once; the wallet signs. Raises ActionRejected."""
        _verify(await self.execute(make_revoke(key), timeout_s=timeout_s))

    async def withdraw(
        self, asset: int, atoms: int, to: bytes, *, timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> ActionReceipt:
        """Move free funds to the vault's withdrawals; the wallet signs. Raises ActionRejected."""
        op = Withdraw(asset, encode_amount(atoms), to)
        return _verify(await self.execute(op, timeout_s=timeout_s))

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
        _verify(await self.execute(op, timeout_s=timeout_s))

    # Actions

    async def execute(
        self, *ops: AnyOp, atomic: bool = False, timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> ActionReceipt:
        """Send one action and wait until none of its operations is pending.

        Raises ActionRejected when the node refuses it and OutcomeUnknown after `timeout_s`; what
        the exchange refused stands in the receipt.
        """
        deadline_ms = now_ms() + int(timeout_s * 1_000)
        signed = self.builder.sign(*ops, atomic=atomic, deadline_ms=deadline_ms)
        deadline = trio.current_time() + timeout_s
        try:
            await self._submit(signed, timeout_s)
        except ConnectionLost as error:
            raise OutcomeUnknown(signed.id, str(error)) from error
        receipt = await self._wait(signed.id, is_ended, deadline)
        if receipt is None:
            raise OutcomeUnknown(signed.id, f"no receipt within {timeout_s:g} s")
        return receipt

    async def _submit(self, signed: Signed, timeout_s: float) -> None:
        (result,) = await self.client.submit([signed.pair], timeout_s)
        if not result.accepted:
            raise ActionRejected(result.code.lower(), result.error, action_id=signed.id)

    async def _wait(
        self, action_id: bytes, condition: Callable[[ActionReceipt], bool], deadline: float
    ) -> ActionReceipt | None:
        """Wait for a receipt from the stream; ask for it now and then in case it was missed."""
        while True:
            left_s = deadline - trio.current_time()
            if left_s <= 0:
                return None
            receipt = await self.outcomes.wait(action_id, condition, min(left_s, RECEIPT_POLL_S))
            if receipt is not None:
                return receipt
            try:
                asked = await self.client.rest.action(action_id)
            except (ConnectionLost, ClientError):
                continue
            if asked is not None:
                self.outcomes.on_receipt(asked)

    async def wait_until(
        self, condition: Callable[[Trader], bool], timeout_s: float = OUTCOME_TIMEOUT_S
    ) -> None:
        """Wait until orders and balances meet a condition. Raises ClientError after `timeout_s`."""
        with trio.move_on_after(timeout_s):
            while not condition(self):
                await self._changed.wait()
            return
        raise ClientError(f"the account did not change as expected within {timeout_s:g} s")

    # The life of a sealed order

    async def _live(self, life: _Life) -> None:
        started = trio.current_time()
        try:
            commit = await self._commit(life.sealed)
            receipt = await self._open(life.sealed)
            status = receipt.statuses[0]
            life.taken = Taken(
                order_id=status.order_id or 0,
                code=status.code.lower(),
                fills=self.outcomes.get_fills(status.order_id or 0),
                commit_height=commit.height or 0,
                height=receipt.height or 0,
                elapsed_ms=int((trio.current_time() - started) * 1_000),
            )
        except (ClientError, ConnectionLost) as error:
            life.error = error
        finally:
            life.done.set()
            self._lives.pop(life.sealed.commit.id, None)

    async def _commit(self, sealed: SealedOrder) -> ActionReceipt:
        """Bring the commit into a final block. Raises ActionRejected, OutcomeUnknown."""
        commit = sealed.commit
        deadline = trio.current_time() + SEAL_DEADLINE_MS / 1_000 + OUTCOME_TIMEOUT_S
        with suppress(ConnectionLost):  # it may have arrived; the receipt tells
            await self._submit(commit, SEAL_DEADLINE_MS / 1_000)
        receipt = await self._wait(commit.id, is_executed, deadline)
        if receipt is None:
            raise OutcomeUnknown(commit.id, "the commit was not executed in time")
        return _verify(receipt)

    async def _open(self, sealed: SealedOrder) -> ActionReceipt:
        """Open a final commit and wait for its batch. Raises ActionRejected, OutcomeUnknown."""
        for _ in range(OPENINGS_MAX):
            opening = self.builder.sign(sealed.opening)
            deadline = trio.current_time() + OUTCOME_TIMEOUT_S
            try:
                await self._submit(opening, OUTCOME_TIMEOUT_S)
            except ConnectionLost:
                continue
            receipt = await self._wait(opening.id, is_ended, deadline)
            if receipt is None:
                raise OutcomeUnknown(opening.id, "the opening was not executed in time")
            if receipt.statuses[0].code.lower() != "opened_too_early":
                return receipt
        raise ActionRejected("not_opened", "the node could not be reached to open the commit")

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
            self.outcomes.on_update(update)
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


def _verify(receipt: ActionReceipt) -> ActionReceipt:
    """Raise ActionRejected for the first operation that was refused."""
    for status in receipt.statuses:
        if not is_accepted_code(status.code):
            raise ActionRejected(status.code.lower(), action_id=receipt.id, op=status.index)
    return receipt


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
                    await trader.wait_sealed()
                nursery.cancel_scope.cancel()
