"""Send the signs of life that observers earn a seat by and that end a jail term.

Rule: a heartbeat says nothing but that the key's owner runs a node now; it is signed only when the
ledger's own scores ask for one.
Spec: docs/spec/participation.md (Counters, Jail). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from consensus.participation.accumulator import Participation
from consensus.participation.register import Validator
from exchange.actions import Action, Heartbeat, SignedAction, sign
from node.clock import NodeClock
from node.limits import ATTEST_LIFETIME_MS, ATTEST_RESEND_MS
from node.replica.ledger import Ledger
from primitives.secp256k1 import PrivateKey

log = logging.getLogger("omnibazaar.heartbeats")
POLL_S = 0.1  # a part of a short period is over in less than a second


def needs_heartbeat(
    state: Participation, validator: Validator, time_ms: int, *, is_new_part: bool = False
) -> bool:
    """True when a heartbeat now would free the validator or count in this part of the period."""
    if validator.jailed_until_ms and time_ms >= validator.jailed_until_ms:
        return True
    if any(seat.owner == validator.owner for seat in state.seats):
        return False
    if is_new_part:
        return True  # what counts here already may be the late one of the part before
    slot = state.rules.compute_heartbeat_slot(state.height + 1)
    return not validator.heartbeat_slots >> slot & 1


class Heart:
    """Watches this node's own validator."""

    def __init__(
        self,
        ledger: Ledger,
        key: PrivateKey,
        *,
        domain: bytes,
        clock: NodeClock,
        submit: Callable[[SignedAction], None],
    ) -> None:
        self._ledger = ledger
        self._key = key
        self._domain = domain
        self._clock = clock
        self._submit = submit
        self._sent_ms = 0
        self._sent_slot = -1

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            self.look()
            await trio.sleep(POLL_S)

    def look(self) -> None:
        """Send a heartbeat if one is due; one that did not arrive is sent again after a while."""
        keeper, now_ms = self._ledger.scorekeeper, self._clock.now_ms()
        own = None if keeper is None else keeper.find(self._key.address)
        if keeper is None or own is None:
            return
        state = keeper.participation
        slot = state.rules.compute_heartbeat_slot(state.height + 1)
        if slot == self._sent_slot and now_ms - self._sent_ms < ATTEST_RESEND_MS:
            return
        is_new_part = slot != self._sent_slot
        time_ms = self._ledger.state.time_ms
        if not needs_heartbeat(state, own, time_ms, is_new_part=is_new_part):
            return
        action = Action(
            domain=self._domain,
            account=self._key.address,
            sub=0,
            nonce_ms=now_ms,
            deadline_ms=now_ms + ATTEST_LIFETIME_MS,
            atomic=False,
            ops=(Heartbeat(),),
        )
        self._sent_ms, self._sent_slot = now_ms, slot
        self._submit(sign(action, self._key))
        log.info("sent a heartbeat at height %d", self._ledger.height)
