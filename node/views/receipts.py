"""Follow actions whose operations wait for a batch until the last of them has ended.

Rule: an update of an action repeats all its statuses, so a listener needs no history.
Spec: docs/reference/api.md (Account stream). Deviations: what was pending before a restart of the
node is
told by `/v1/actions/{id}` only.
"""

from __future__ import annotations

from collections import OrderedDict

from exchange.outcome import Outcome, Receipt
from exchange.reasons import Reason, reason_name
from node.api import account_views
from node.limits import PENDING_RECEIPTS_MAX

PENDING = int(Reason.PENDING)
NONCE_USED = int(Reason.NONCE_USED)


class PendingReceipts:
    """Receipts with a pending operation, oldest first."""

    def __init__(self) -> None:
        self._pending: OrderedDict[bytes, Receipt] = OrderedDict()

    def apply(self, outcome: Outcome) -> list[Receipt]:
        """Return the receipts of this block and the older ones that it has completed further."""
        changed: dict[bytes, Receipt] = {}
        for receipt in outcome.receipts:
            if NONCE_USED in receipt.statuses and receipt.action_id in self._pending:
                continue
            changed[receipt.action_id] = receipt
            if PENDING in receipt.statuses:
                self._pending[receipt.action_id] = receipt
        for resolution in outcome.resolutions:
            waiting = self._pending.get(resolution.action_id)
            if waiting is None:
                continue
            waiting.statuses[resolution.op] = resolution.status
            changed[resolution.action_id] = waiting
            if PENDING not in waiting.statuses:
                del self._pending[resolution.action_id]
        while len(self._pending) > PENDING_RECEIPTS_MAX:
            self._pending.popitem(last=False)
        return list(changed.values())


def make_receipt(
    action_id: bytes, statuses: list[int], orders: list[int], height: int, time_ms: int
) -> account_views.ActionReceipt:
    """Show an executed action."""
    return account_views.ActionReceipt(
        id=action_id,
        state="executed",
        height=height,
        time_ms=time_ms,
        statuses=tuple(
            account_views.OpStatus(index=i, code=reason_name(status), order_id=order or None)
            for i, (status, order) in enumerate(zip(statuses, orders, strict=True))
        ),
    )
