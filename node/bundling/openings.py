"""Keep the openings of sealed orders until their commits are executed, and send them then.

Rule: an opening that would cost its owner the bond is refused before its commit leaves; a waiting
one leaves with the execution of its commit, and never if that was rejected: it would show orders
that nothing protects.
Spec: docs/reference/api.md (Actions); docs/spec/orders.md (Sealed orders). Deviations: openings are
kept in memory only; after a restart their owner has to send them.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

import trio
from msgspec.structs import replace

from exchange.actions import SignedAction, VerifiedAction
from exchange.commits import (
    NO_TIER,
    compute_commit_hash,
    compute_needs,
    compute_tier_atoms,
    split_tier,
)
from exchange.operations import POST_ONLY, Commit, Open
from exchange.outcome import Outcome, Receipt
from exchange.reasons import Reason, is_accepted
from exchange.state import State
from node.api.account_views import SubmitResult
from node.bundling.admission import BUSY, Admission, refuse
from node.bundling.verifier import Verifier
from node.clock import NodeClock
from node.limits import OPENING_WAIT_MS_MAX, OPENINGS_WAITING_MAX
from node.replica.ledger import Ledger
from primitives.errors import TransientError

RETRY_S: Final = 0.05  # pause after this node was too busy for an opening
TRIES_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class Opening:
    """A verified opening on its way."""

    verified: VerifiedAction
    signed: SignedAction
    until_ms: int


class Openings:
    """Openings by the id of their commit's action. Single-threaded."""

    def __init__(
        self, ledger: Ledger, verifier: Verifier, admission: Admission, clock: NodeClock
    ) -> None:
        self._ledger = ledger
        self._verifier = verifier
        self._admission = admission
        self._clock = clock
        self._waiting: OrderedDict[bytes, Opening] = OrderedDict()
        self._ready: deque[Opening] = deque()
        self._arrived = trio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._ready)

    async def submit(self, commit: SignedAction, opening: SignedAction) -> SubmitResult:
        """Send a commit now and its opening once it is executed; answers for the commit.

        Sent again after its commit was executed, the opening leaves at once. Raises TransientError
        when this node holds as many openings as it may.
        """
        committed, opened = await self._verifier.verify((commit, opening))
        reason = committed.error or self._admission.find_refusal(opened)
        reason = reason or find_fault(self._ledger.state, committed, opened)
        if reason:
            return refuse(committed.id, reason)
        if _is_live(self._ledger.state, committed):
            return replace(self._admission.admit(opened, opening), id=committed.id)
        if len(self) >= OPENINGS_WAITING_MAX:
            raise TransientError("this node holds as many openings as it may")
        result = self._admission.admit(committed, commit)
        if result.accepted:
            until_ms = self._clock.now_ms() + OPENING_WAIT_MS_MAX
            self._waiting.setdefault(committed.id, Opening(opened, opening, until_ms))
        return result

    def on_executed(self, outcome: Outcome) -> None:
        """Let those go whose commits a block has executed; forget what waited too long."""
        if not self._waiting:
            return
        for receipt in outcome.receipts:
            opening = self._waiting.pop(receipt.action_id, None)
            if opening is not None and _is_committed(receipt):
                self._ready.append(opening)
                self._arrived.set()
        now_ms = self._clock.now_ms()
        while self._waiting and next(iter(self._waiting.values())).until_ms < now_ms:
            self._waiting.popitem(last=False)

    async def run(self) -> None:
        """Submit what may go, one after the other."""
        while True:
            await self._arrived.wait()
            self._arrived = trio.Event()
            while self._ready:
                await self._submit(self._ready.popleft())

    async def _submit(self, opening: Opening) -> None:
        for _ in range(TRIES_MAX):
            result = self._admission.admit(opening.verified, opening.signed)
            if result.accepted or result.code not in BUSY:
                return
            await trio.sleep(RETRY_S)


def _is_live(state: State, commit: VerifiedAction) -> bool:
    """True when the ledger holds the first commit of an action already."""
    account = state.by_address.get(commit.account)
    op = next(op for op in commit.ops if isinstance(op, Commit))
    return account is not None and (account.number, op.commit_hash) in (
        state.markets[op.market].commits
    )


def _is_committed(receipt: Receipt) -> bool:
    return all(is_accepted(status) for status in receipt.statuses)


def find_fault(state: State, commit: VerifiedAction, opening: VerifiedAction) -> int:
    """Return why an opening would not show what the commits hide, or make them void; else 0."""
    hidden = {(op.market, op.commit_hash): op for op in commit.ops if isinstance(op, Commit)}
    shown = [op for op in opening.ops if isinstance(op, Open)]
    if not shown or (commit.account, commit.sub) != (opening.account, opening.sub):
        return int(Reason.OPENING_MISMATCH)
    for op in shown:
        found = hidden.pop((op.market, op.commit_hash), None)
        if found is None or op.market >= len(state.markets):
            return int(Reason.OPENING_MISMATCH)
        reason = _judge(state, commit, found, op)
        if reason:
            return reason
    return int(Reason.OPENING_MISMATCH) if hidden else 0


def _judge(state: State, action: VerifiedAction, commit: Commit, op: Open) -> int:
    market = state.markets[op.market]
    shown = compute_commit_hash(
        action.domain, action.account, op.market, action.nonce_ms, op.orders, op.salt
    )
    if shown != op.commit_hash:
        return int(Reason.OPENING_MISMATCH)
    if any(order.market != op.market or order.tif == POST_ONLY for order in op.orders):
        return int(Reason.OPENING_INVALID)
    quote, base = split_tier(commit.hold, commit.tier)
    if (quote, base) == (NO_TIER, NO_TIER):
        return int(Reason.BAD_TIER)
    needs = compute_needs(op.orders, market.tick, market.lot, market.hold_bps)
    room = compute_tier_atoms(quote, market.tick), compute_tier_atoms(base, market.lot)
    return int(Reason.OPENING_OVER_TIER) if needs[0] > room[0] or needs[1] > room[1] else 0
