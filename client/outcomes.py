"""Remember what became of actions, from the account stream, and let others wait for it.

Rule: an operation's status only moves from pending to its end; a word that contradicts an earlier
end is ignored (an action may stand in several blocks, and only the first counts).
Spec: docs/reference/api.md (Channel account). Deviations: none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import trio

from client.limits import OUTCOMES_REMEMBERED_MAX
from client.views import AccountUpdate, ActionReceipt, Fill
from exchange.reasons import Reason, is_accepted

PENDING: Final = "pending"
_ENDLESS: Final = 1 << 62


def get_reason(code: str) -> Reason | None:
    """Return the reason a code names; None for one this program does not know."""
    return Reason.__members__.get(code.upper())


def is_accepted_code(code: str) -> bool:
    """Tell whether a code is no rejection; an unknown one counts as a rejection."""
    reason = get_reason(code)
    return reason is not None and is_accepted(reason)


def is_executed(receipt: ActionReceipt) -> bool:
    """Tell whether a final block has executed the action."""
    return receipt.state == "executed"


def is_ended(receipt: ActionReceipt) -> bool:
    """Tell whether no operation of the action waits for its batch any more."""
    if not is_executed(receipt):
        return False
    return all(status.code.lower() != PENDING for status in receipt.statuses)


class Outcomes:
    """Receipts and fills of one account, the newest ones. Single-threaded."""

    def __init__(self) -> None:
        self._receipts: OrderedDict[bytes, ActionReceipt] = OrderedDict()
        self._fills: OrderedDict[int, list[Fill]] = OrderedDict()
        self._changed: dict[bytes, trio.Event] = {}

    def on_update(self, update: AccountUpdate) -> None:
        """Take one event of the account channel."""
        for fill in update.fills:
            self._fills.setdefault(fill.order, []).append(fill)
        while len(self._fills) > OUTCOMES_REMEMBERED_MAX:
            self._fills.popitem(last=False)
        for receipt in update.receipts:
            self.on_receipt(receipt)

    def on_receipt(self, receipt: ActionReceipt) -> None:
        """Take a receipt from the stream or from an answer."""
        known = self._receipts.get(receipt.id)
        if known is not None and not _is_progress(known, receipt):
            return
        self._receipts[receipt.id] = receipt
        while len(self._receipts) > OUTCOMES_REMEMBERED_MAX:
            self._receipts.popitem(last=False)
        changed = self._changed.pop(receipt.id, None)
        if changed is not None:
            changed.set()

    def get(self, action_id: bytes) -> ActionReceipt | None:
        """Return the newest receipt of an action."""
        return self._receipts.get(action_id)

    def get_fills(self, order_id: int) -> tuple[Fill, ...]:
        """Return the fills of an order seen so far."""
        return tuple(self._fills.get(order_id, ()))

    async def wait(
        self, action_id: bytes, condition: Callable[[ActionReceipt], bool], timeout_s: float
    ) -> ActionReceipt | None:
        """Wait for a receipt that meets a condition; None if none came in time."""
        with trio.move_on_after(timeout_s):
            while True:
                receipt = self._receipts.get(action_id)
                if receipt is not None and condition(receipt):
                    return receipt
                await self._changed.setdefault(action_id, trio.Event()).wait()
        return None


def _is_progress(known: ActionReceipt, new: ActionReceipt) -> bool:
    """Tell whether `new` says more than `known`."""
    if not is_executed(new):
        return not is_executed(known) and known.state != new.state
    if not is_executed(known):
        return True
    if is_ended(known) or (new.height or _ENDLESS) < (known.height or 0):
        return False
    # A pending action that comes up again in a later block is told that its nonce is used.
    return all(status.code.upper() != Reason.NONCE_USED.name for status in new.statuses)
