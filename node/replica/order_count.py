"""Count orders the ledger has accepted: every place, cancel and replace, hidden ones included.

Rule: an operation counts once, when its end is known; a pending one waits for its batch, a rejected
one is counted apart. A commit is no order, the orders its opening shows are.
Spec: docs/reference/metrics.md. Deviations: what was pending before a restart is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from exchange.actions import (
    Cancel,
    CancelAll,
    CancelClient,
    Open,
    Place,
    PlaceBracket,
    PlaceIceberg,
    PlaceSchedule,
    PlaceTrailing,
    PlaceTrigger,
    PlaceUntil,
    Replace,
    ReplaceTrigger,
    VerifiedAction,
)
from exchange.outcome import Outcome
from exchange.reasons import REJECTED, Reason
from node.limits import PENDING_RECEIPTS_MAX

PENDING = int(Reason.PENDING)
_SINGLE = frozenset(
    (
        Place,
        PlaceBracket,
        PlaceIceberg,
        PlaceSchedule,
        PlaceTrailing,
        PlaceTrigger,
        PlaceUntil,
        Cancel,
        CancelClient,
        CancelAll,
        Replace,
        ReplaceTrigger,
    )
)


class OrderCount:
    """Accepted and rejected orders of the blocks this process has executed."""

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected = 0
        self._pending: dict[tuple[bytes, int], int] = {}  # (action id, op) → orders

    def apply(self, actions: Sequence[VerifiedAction], outcome: Outcome) -> tuple[int, int]:
        """Count one block; return how many orders it has (accepted, rejected)."""
        before = self.accepted, self.rejected
        pending, single = self._pending, _SINGLE
        accepted = rejected = 0
        for action, receipt in zip(actions, outcome.receipts, strict=True):
            for index, (op, status) in enumerate(zip(action.ops, receipt.statuses, strict=False)):
                kind = type(op)
                weight = 1 if kind in single else len(op.orders) if isinstance(op, Open) else 0
                if status == PENDING:
                    if weight:
                        pending[action.id, index] = weight
                elif status < REJECTED:
                    accepted += weight
                else:
                    rejected += weight
        self.accepted += accepted
        self.rejected += rejected
        for resolution in outcome.resolutions:
            weight = self._pending.pop((resolution.action_id, resolution.op), 0)
            if weight:
                self._settle(weight, resolution.status)
        while len(self._pending) > PENDING_RECEIPTS_MAX:
            del self._pending[next(iter(self._pending))]
        return self.accepted - before[0], self.rejected - before[1]

    def _settle(self, weight: int, status: int) -> None:
        if status < REJECTED:
            self.accepted += weight
        else:
            self.rejected += weight
