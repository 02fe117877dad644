"""Take actions from this node's own clients into the mempool, or say why not.

Rule: what is refused here would be refused by execution as well, or is more than this node carries;
nothing that was accepted is dropped later.
Spec: docs/reference/api.md (Actions, Limits). Deviations: none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from exchange.actions import SignedAction, VerifiedAction
from exchange.limits import DEADLINE_AFTER_NONCE_MS_MAX, NONCE_FUTURE_MS_MAX, NONCE_PAST_MS_MAX
from exchange.reasons import Reason, reason_name
from exchange.state import State
from node.api.account_views import SubmitResult
from node.bundling.account_limits import AccountLimits
from node.bundling.bundles import BundleExchange
from node.bundling.verifier import Verifier
from node.clock import NodeClock
from node.metrics import Metrics
from node.replica.ledger import Ledger

NONCE_USED: Final = reason_name(Reason.NONCE_USED)
BUSY: Final = ("account_too_fast", "node_busy")  # codes of refusals that pass by themselves


class Admission:
    """The door between clients and the mempool. Single-threaded."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        verifier: Verifier,
        bundles: BundleExchange,
        metrics: Metrics,
        clock: NodeClock,
        account_ops_per_s: int,
        is_on_record: Callable[[bytes], Awaitable[bool]],
    ) -> None:
        """`is_on_record` tells whether the ledger has executed an action, by its id."""
        self._ledger = ledger
        self._verifier = verifier
        self._bundles = bundles
        self._metrics = metrics
        self._clock = clock
        self._limits = AccountLimits(account_ops_per_s)
        self._is_on_record = is_on_record

    async def submit(self, signed: Sequence[SignedAction]) -> list[SubmitResult]:
        """Verify each action and queue it; one answer per action, in order.

        An action that was executed already is accepted once more and does nothing: whoever sends it
        again after a broken connection must not hear that it had no effect.
        """
        verified = await self._verifier.verify(signed)
        answers = [self.admit(v, s) for v, s in zip(verified, signed, strict=True)]
        for place, answer in enumerate(answers):
            if answer.code == NONCE_USED and await self._is_on_record(answer.id):
                answers[place] = SubmitResult(id=answer.id, accepted=True)
        return answers

    def admit(self, action: VerifiedAction, signed: SignedAction) -> SubmitResult:
        """Queue a verified action."""
        reason = self.find_refusal(action)
        if reason:
            self._metrics.actions_rejected.inc()
            return refuse(action.id, reason)
        if not self._limits.take(action, self._clock.now_ms()):
            return SubmitResult(
                id=action.id,
                accepted=False,
                code="account_too_fast",
                error="this account sends more operations than this node takes of one",
            )
        if not self._bundles.submit(action.id, signed):
            return SubmitResult(
                id=action.id,
                accepted=False,
                code="node_busy",
                error="this node holds as many waiting actions as it may; try again",
            )
        self._metrics.actions_accepted.inc()
        return SubmitResult(id=action.id, accepted=True)

    def find_refusal(self, action: VerifiedAction) -> int:
        """Return why execution would certainly refuse an action as things stand, or 0."""
        if action.error:
            return action.error
        state, now_ms = self._ledger.state, self._clock.now_ms()
        if not now_ms - NONCE_PAST_MS_MAX <= action.nonce_ms <= now_ms + NONCE_FUTURE_MS_MAX:
            return int(Reason.NONCE_OUT_OF_WINDOW)
        if action.deadline_ms > action.nonce_ms + DEADLINE_AFTER_NONCE_MS_MAX:
            return int(Reason.DEADLINE_TOO_FAR)
        if action.deadline_ms < now_ms:
            return int(Reason.DEADLINE_PASSED)
        if action.account not in state.by_address:
            return 0 if self._is_validator(action.signer) else int(Reason.UNKNOWN_ACCOUNT)
        reason = _judge_key(state, action, now_ms)
        if reason:
            return reason
        if is_nonce_used(state.nonces.get(action.signer, []), action.nonce_ms):
            return int(Reason.NONCE_USED)
        return 0

    def _is_validator(self, key: bytes) -> bool:
        """True for a key that the registry names: it may speak without an account."""
        keeper = self._ledger.scorekeeper
        return keeper is not None and key in keeper.registered


def _judge_key(state: State, action: VerifiedAction, now_ms: int) -> int:
    """Return why a session key cannot act for the account, or 0."""
    if action.signer == action.account:
        return 0
    key = state.keys.get(action.signer)
    if key is None or key.account != state.by_address[action.account].number:
        return int(Reason.UNKNOWN_KEY)
    if key.revoked:
        return int(Reason.KEY_REVOKED)
    return int(Reason.KEY_EXPIRED) if key.expiry_ms <= now_ms else 0


def refuse(action_id: bytes, reason: int) -> SubmitResult:
    """Answer that an action cannot be executed."""
    return SubmitResult(
        id=action_id,
        accepted=False,
        code=reason_name(reason),
        error=REFUSALS.get(reason, "the action cannot be executed"),
    )


REFUSALS: Final[dict[int, str]] = {
    int(Reason.MALFORMED): "the bytes are not an action (docs/spec/actions.md)",
    int(Reason.WRONG_DOMAIN): "the action is signed for another network",
    int(Reason.BAD_SIGNATURE): "the signature fits no key",
    int(Reason.MIXED_OPERATIONS): "a wallet operation must be the only one in its action",
    int(Reason.NEEDS_WALLET): "this operation needs the account's own key",
    int(Reason.UNKNOWN_ACCOUNT): "the account has no deposit yet",
    int(Reason.UNKNOWN_KEY): "the signing key is not a session key of the account",
    int(Reason.KEY_EXPIRED): "the session key has expired",
    int(Reason.KEY_REVOKED): "the session key was revoked",
    int(Reason.NONCE_USED): "the nonce was used before",
    int(Reason.NONCE_OUT_OF_WINDOW): "the nonce is not a time of these days; check your clock",
    int(Reason.DEADLINE_PASSED): "the deadline has passed",
    int(Reason.DEADLINE_TOO_FAR): "the deadline is more than a day after the nonce",
    int(Reason.OPENING_MISMATCH): "the opening does not show what the commit hides",
    int(Reason.OPENING_INVALID): "sealed orders take: of the commit's market, never post-only",
    int(Reason.OPENING_OVER_TIER): "the sealed orders may cost more than the commit holds",
}


def is_nonce_used(window: list[int], nonce_ms: int) -> bool:
    """Tell whether a key's ascending window holds a nonce."""
    place = bisect_left(window, nonce_ms)
    return place < len(window) and window[place] == nonce_ms
