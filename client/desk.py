"""Send the actions of one account and learn what became of them.

Rule: this file alone knows how a signed action reaches its end; it changes no order and no balance.
Spec: docs/reference/api.md (Channel account). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from client.actions import ActionBuilder, Signed
from client.errors import ActionRejected, ClientError, ConnectionLost
from client.limits import RECEIPT_POLL_S
from client.node_client import NodeClient
from client.outcomes import Outcomes, is_accepted_code
from client.views import ActionReceipt


class Desk:
    """A builder of actions, a node to send them to, and the outcomes so far."""

    def __init__(self, client: NodeClient, builder: ActionBuilder) -> None:
        self.client = client
        self.builder = builder
        self.outcomes = Outcomes()

    async def submit(self, signed: Signed, timeout_s: float) -> None:
        """Hand an action to the node. Raises ActionRejected, RequestRefused or ConnectionLost."""
        (result,) = await self.client.submit([signed.pair], timeout_s)
        if not result.accepted:
            raise ActionRejected(result.code.lower(), result.error, action_id=signed.id)

    async def wait(
        self, action_id: bytes, condition: Callable[[ActionReceipt], bool], deadline: float
    ) -> ActionReceipt | None:
        """Wait for a receipt from the stream; ask for it now and then in case it was missed.

        Returns None when trio's clock has passed `deadline`.
        """
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


def verify_accepted(receipt: ActionReceipt) -> ActionReceipt:
    """Return the receipt. Raises ActionRejected for the first operation that was refused."""
    for status in receipt.statuses:
        if not is_accepted_code(status.code):
            raise ActionRejected(status.code.lower(), action_id=receipt.id, op=status.index)
    return receipt
