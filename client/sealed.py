"""Take liquidity through sealed commits: commit, wait until it is final, open, learn the fill.

Rule: a commit that may have reached a block is followed to its end even if nobody waits for it any
more, because a commit that is not opened costs its bond.
Spec: docs/spec/exchange.md#sealed-batches. Deviations: none.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import trio

from client.actions import MarketTerms, SealedOrder, Signed
from client.desk import Desk, verify_accepted
from client.errors import (
    ActionRejected,
    ClientError,
    ConnectionLost,
    OutcomeUnknown,
    RequestRefused,
)
from client.limits import (
    OPENING_RETRY_S,
    OPENINGS_MAX,
    OUTCOME_TIMEOUT_S,
    RECEIPT_POLL_S,
    SEAL_DEADLINE_MS,
)
from client.node_client import now_ms
from client.outcomes import get_reason, is_ended, is_executed
from client.views import ActionReceipt, Fill
from exchange.actions import Place
from exchange.reasons import Reason

WITHOUT_EFFECT = frozenset(
    (
        Reason.NONCE_USED,
        Reason.NONCE_TOO_OLD,
        Reason.NONCE_OUT_OF_WINDOW,
        Reason.DEADLINE_PASSED,
        Reason.RATE_LIMITED,
        Reason.OVER_ALLOWANCE,
        Reason.OPENED_TOO_EARLY,
    )
)
"""Reasons for which an opening may be signed anew: the commit is still waiting."""
BUSY = frozenset(("account_too_fast", "node_busy", "too_many_requests", "unavailable"))
"""Refusals of a node that pass by themselves."""
SEALED_REASONS = frozenset(
    reason for reason in Reason if Reason.NOT_SEALED <= reason <= Reason.NOT_OPENED
) - {Reason.OPENED_TOO_EARLY}
"""Reasons that speak of the commit or its opening, not of what the hidden order met."""


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
    def builder_fee(self) -> int:
        """Quote atoms paid to the builder of the order, beside the taker fee."""
        return sum(fill.builder_fee for fill in self.fills)

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


class SealedOrders:
    """The sealed orders of one account that have not come to their end."""

    def __init__(self, desk: Desk, nursery: trio.Nursery) -> None:
        self._desk = desk
        self._nursery = nursery
        self._lives: dict[bytes, _Life] = {}

    async def take(self, terms: MarketTerms, order: Place, timeout_s: float) -> Taken:
        """Send one sealed order and wait for its end. Raises ActionRejected, OutcomeUnknown.

        After OutcomeUnknown the order is still followed, and opened if its commit comes through.
        """
        sealed = self._desk.builder.seal(terms, order, deadline_ms=now_ms() + SEAL_DEADLINE_MS)
        life = self._lives[sealed.commit.id] = _Life(sealed)
        self._nursery.start_soon(self._live, life)
        with trio.move_on_after(timeout_s):
            await life.done.wait()
        if life.error is not None:
            raise life.error
        if life.taken is None:
            raise OutcomeUnknown(sealed.commit.id, f"no fill within {timeout_s:g} s")
        return life.taken

    async def wait(self) -> None:
        """Wait until every sealed order has come to its end."""
        for life in tuple(self._lives.values()):
            await life.done.wait()

    async def _live(self, life: _Life) -> None:
        started = trio.current_time()
        try:
            commit = await self._commit(life.sealed)
            receipt = await self._open(life.sealed)
            status = receipt.statuses[0]
            life.taken = Taken(
                order_id=status.order_id or 0,
                code=status.code.lower(),
                fills=self._desk.outcomes.get_fills(status.order_id or 0),
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
            await self._desk.submit(commit, SEAL_DEADLINE_MS / 1_000)
        receipt = await self._desk.wait(commit.id, is_executed, deadline)
        if receipt is None:
            raise OutcomeUnknown(commit.id, "the commit was not executed in time")
        return verify_accepted(receipt)

    async def _open(self, sealed: SealedOrder) -> ActionReceipt:
        """Open a final commit and wait for its batch. Raises ActionRejected, OutcomeUnknown.

        The same bytes are sent again after a broken connection, so that the commit is opened once;
        a new opening is signed only when the ledger says that the last one had no effect.
        """
        for _ in range(OPENINGS_MAX):
            opening = self._desk.builder.sign(sealed.opening)
            receipt = await self._bring(opening)
            reason = get_reason(receipt.statuses[0].code)
            if reason is None or reason in SEALED_REASONS:
                break
            if reason not in WITHOUT_EFFECT:
                return receipt
        verify_accepted(receipt)
        raise ActionRejected(receipt.statuses[0].code, action_id=opening.id)

    async def _bring(self, opening: Signed) -> ActionReceipt:
        """Send an opening until it has come to its end. Raises ActionRejected, OutcomeUnknown."""
        deadline = trio.current_time() + OUTCOME_TIMEOUT_S
        with suppress(ConnectionLost):  # it may have arrived; the receipt tells
            await self._press(opening, deadline)
        receipt = await self._desk.wait(opening.id, is_ended, deadline + RECEIPT_POLL_S)
        if receipt is None:
            raise OutcomeUnknown(opening.id, "the opening was not executed in time")
        return receipt

    async def _press(self, opening: Signed, deadline: float) -> None:
        """Hand an opening to a node that may be too busy for it now: not to try costs the bond."""
        while True:
            try:
                await self._desk.submit(opening, deadline - trio.current_time())
            except (ActionRejected, RequestRefused) as error:
                if error.code not in BUSY or trio.current_time() + OPENING_RETRY_S >= deadline:
                    raise
                await trio.sleep(OPENING_RETRY_S)
            else:
                return
