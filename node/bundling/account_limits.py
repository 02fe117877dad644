"""Keep one account from taking what this node can carry of all.

Rule: only operations of verified signers count, so that nobody can use up another's allowance. What
lowers risk or saves a bond (cancels, openings) has an allowance of its own and is never held up by
placements.
Spec: docs/reference/api.md (Limits). Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.actions import VerifiedAction
from exchange.operations import Cancel, CancelAll, CancelClient, Open, UseBuilder
from node.api.rates import RateLimit

CALMING: Final = (Cancel, CancelAll, CancelClient, Open, UseBuilder)
BURST_S: Final = 2  # seconds of the allowance that may be used at once


class AccountLimits:
    """Two buckets per account. Single-threaded."""

    def __init__(self, ops_per_s: int) -> None:
        burst = ops_per_s * BURST_S
        self._orders = RateLimit(per_s=ops_per_s, burst=burst)
        self._cancels = RateLimit(per_s=ops_per_s, burst=burst)

    def take(self, action: VerifiedAction, now_ms: int) -> bool:
        """Count a verified action's operations; False when its account sends too many."""
        is_calming = all(isinstance(op, CALMING) for op in action.ops)
        bucket = self._cancels if is_calming else self._orders
        return bucket.take(action.account, len(action.ops), now_ms)
