"""Answer from the running node what accounts pay and may send.

Rule: reads memory only.
Spec: docs/reference/api.md; docs/spec/fees.md. Deviations: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.api.fee_views import AccountAllowance, AccountBuilders, AccountFees
from node.views.fee_views import make_allowance, make_builders, make_fees

if TYPE_CHECKING:
    from node.node import Node


class FeeService:
    """The part of `node.api.service.NodeService` that is about fees and allowances."""

    _node: Node

    def account_fees(self, address: bytes) -> AccountFees | None:
        """Return what an account pays on the day of the last block."""
        return make_fees(self._node.ledger.state, address)

    def account_allowance(self, address: bytes) -> AccountAllowance | None:
        """Return what an account may send and leave standing."""
        return make_allowance(self._node.ledger.state, address)

    def account_builders(self, address: bytes) -> AccountBuilders:
        """Return the builders an account has approved."""
        return make_builders(self._node.ledger.state, address)
