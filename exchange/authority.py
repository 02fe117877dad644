"""Decide whether an action may act for its account now.

Rule: who signed, until when, with which nonce and how often: all of it is checked here, before any
operation is looked at. A refused action leaves no trace, except that its nonce is used once its
time, signer and nonce were right.

Spec: docs/spec/exchange.md#authority
Deviations: none.
"""

from __future__ import annotations

from exchange import limits
from exchange.accounts import Account, SessionKey, use_nonce
from exchange.actions import VerifiedAction
from exchange.reasons import Reason
from exchange.state import State

OK = int(Reason.OK)
UNKNOWN_KEY = int(Reason.UNKNOWN_KEY)
KEY_EXPIRED = int(Reason.KEY_EXPIRED)
KEY_REVOKED = int(Reason.KEY_REVOKED)
NONCE_OUT_OF_WINDOW = int(Reason.NONCE_OUT_OF_WINDOW)
DEADLINE_PASSED = int(Reason.DEADLINE_PASSED)
DEADLINE_TOO_FAR = int(Reason.DEADLINE_TOO_FAR)


def check_key(state: State, account: Account, key: SessionKey | None) -> int:
    """Check that a session key acts for the account and is alive. Returns a reason code."""
    if key is None or key.account != account.number:
        return UNKNOWN_KEY
    if key.revoked:
        return KEY_REVOKED
    if state.time_ms >= key.expiry_ms:
        return KEY_EXPIRED
    return OK


def check_time(state: State, action: VerifiedAction) -> int:
    """Check deadline and nonce against the block's time. Returns a reason code."""
    now = state.time_ms
    deadline = action.deadline_ms
    nonce = action.nonce_ms
    if deadline < now:
        return DEADLINE_PASSED
    if deadline > nonce + limits.DEADLINE_AFTER_NONCE_MS_MAX:
        return DEADLINE_TOO_FAR
    if not now - limits.NONCE_PAST_MS_MAX <= nonce <= now + limits.NONCE_FUTURE_MS_MAX:
        return NONCE_OUT_OF_WINDOW
    return OK


def spend_nonce(state: State, action: VerifiedAction) -> int:
    """Use the action's nonce up. Returns a reason code."""
    window = state.nonces.get(action.signer)
    if window is None:
        state.nonces[action.signer] = [action.nonce_ms]
        return OK
    return use_nonce(window, action.nonce_ms)


def prune_nonces(state: State) -> None:
    """Forget nonces too old to be accepted again; done at checkpoint heights."""
    oldest = state.time_ms - limits.NONCE_PAST_MS_MAX
    idle = []
    for signer, window in state.nonces.items():
        if window[-1] < oldest:
            idle.append(signer)
    for signer in idle:
        del state.nonces[signer]
