"""Send signs of life: observers earn a seat by them, jail ends by them, storage is shown in them.

Rule: a heartbeat is signed only when the ledger's own scores ask for one. An answer is shown only
after the part in which it was committed to is over in executed blocks, so nobody can copy it.
Spec: docs/spec/participation.md (Counters, Storage, Jail). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from consensus.participation.accumulator import Participation
from consensus.participation.parameters import STORAGE
from consensus.participation.register import Validator
from consensus.participation.storage_part import compute_commitment
from exchange.actions import Action, Heartbeat, SignedAction, sign
from node.clock import NodeClock
from node.committee.storage_answers import NO_ANSWER, StorageAnswers
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


def make_heartbeat(
    state: Participation, validator: Validator, answers: StorageAnswers
) -> Heartbeat:
    """Return what a heartbeat would say now: the words about storage that the ledger lacks."""
    part = state.rules.compute_part(state.height + 1)
    if not validator.offers(STORAGE):
        return Heartbeat(part=part)
    commitment, answer = answers.get(state.draw), answers.get(state.draw_before)
    if commitment != NO_ANSWER:
        commitment = compute_commitment(commitment, validator.owner)
    if commitment == validator.commitment:
        commitment = NO_ANSWER
    is_committed = compute_commitment(answer, validator.owner) == validator.commitment_before
    if not is_committed or answer == validator.answer:
        answer = NO_ANSWER
    return Heartbeat(part=part, commitment=commitment, answer=answer)


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
        answers: StorageAnswers,
    ) -> None:
        self._ledger = ledger
        self._key = key
        self._domain = domain
        self._clock = clock
        self._submit = submit
        self._answers = answers
        self._sent_ms = 0
        self._sent = Heartbeat()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            keeper = self._ledger.scorekeeper
            if keeper is not None:
                state = keeper.participation
                await self._answers.prepare((state.draw_before, state.draw))
            self.look()
            await trio.sleep(POLL_S)

    def look(self) -> None:
        """Send a heartbeat if one is due; one that did not arrive is sent again after a while."""
        keeper, now_ms = self._ledger.scorekeeper, self._clock.now_ms()
        own = None if keeper is None else keeper.find(self._key.address)
        if keeper is None or own is None:
            return
        state = keeper.participation
        beat = make_heartbeat(state, own, self._answers)
        if beat == self._sent and now_ms - self._sent_ms < ATTEST_RESEND_MS:
            return
        is_new_part = beat.part != self._sent.part
        time_ms = self._ledger.state.time_ms
        says = beat.commitment != NO_ANSWER or beat.answer != NO_ANSWER
        if not says and not needs_heartbeat(state, own, time_ms, is_new_part=is_new_part):
            return
        action = Action(
            domain=self._domain,
            account=self._key.address,
            sub=0,
            nonce_ms=now_ms,
            deadline_ms=now_ms + ATTEST_LIFETIME_MS,
            atomic=False,
            ops=(beat,),
        )
        self._sent_ms, self._sent = now_ms, beat
        self._submit(sign(action, self._key))
        log.info("sent a heartbeat at height %d", self._ledger.height)
