"""Check the signatures of actions once, in worker threads, and remember the answer.

Rule: the answer is a pure function of the envelope's bytes, so it is remembered by their hash and
never
asked of another node.
Spec: docs/spec/node.md (Verification); design "verify once, on receipt". Deviations: none.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import trio

from exchange.actions import SignedAction, VerifiedAction, verify
from node.limits import VERIFY_BATCH_MAX, VERIFY_CACHE_ACTIONS_MAX, VERIFY_THREADS


def _verify_all(actions: Sequence[SignedAction], domain: bytes) -> list[VerifiedAction]:
    return [verify(action, domain) for action in actions]


class Verifier:
    """Verifies against one network's domain; `verified_total` counts signatures really checked."""

    def __init__(self, domain: bytes) -> None:
        self._domain = domain
        self._cache: OrderedDict[bytes, VerifiedAction] = OrderedDict()
        self._limiter = trio.CapacityLimiter(VERIFY_THREADS)
        self.verified_total = 0

    async def verify(self, actions: Sequence[SignedAction]) -> tuple[VerifiedAction, ...]:
        """Return one answer per action, in order; invalid ones say why and are answers too."""
        keys = [hashlib.sha256(a.payload + a.signature).digest() for a in actions]
        answers = [self._cache.get(key) for key in keys]
        unknown = [i for i, answer in enumerate(answers) if answer is None]
        for start in range(0, len(unknown), VERIFY_BATCH_MAX):
            part = unknown[start : start + VERIFY_BATCH_MAX]
            found = await trio.to_thread.run_sync(
                _verify_all, [actions[i] for i in part], self._domain, limiter=self._limiter
            )
            self.verified_total += len(part)
            for i, answer in zip(part, found, strict=True):
                answers[i] = answer
                self._remember(keys[i], answer)
        return tuple(answer for answer in answers if answer is not None)

    def _remember(self, key: bytes, answer: VerifiedAction) -> None:
        self._cache[key] = answer
        if len(self._cache) > VERIFY_CACHE_ACTIONS_MAX:
            self._cache.popitem(last=False)
