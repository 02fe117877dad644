"""Watch that commits, openings, cancels and withdrawals get into a block, and judge a block by it.

Rule: an action is listed as pending once it has waited long enough here without being in the chain;
whether
a block answers a listed id is decided from the chain and the bundles alone, never from a peer's
word.
Spec: docs/spec/consensus.md (Inclusion duty); docs/spec/node.md (Inclusion). Deviations: none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable

from exchange.actions import (
    Cancel,
    CancelAll,
    CancelClient,
    Commit,
    Open,
    VerifiedAction,
    Withdraw,
)
from node.limits import (
    INCLUSION_IDS_MAX,
    INCLUSION_PENDING_IDS_MAX,
    INCLUSION_RECENT_IDS_MAX,
)

_DUTY_OPS = (Commit, Open, Cancel, CancelClient, CancelAll, Withdraw)


def needs_inclusion(action: VerifiedAction) -> bool:
    """True for a well-signed action with an operation that a proposer must not hold back."""
    return not action.error and any(isinstance(op, _DUTY_OPS) for op in action.ops)


class InclusionWatch:
    """Pending ids by age and the ids the chain has taken. Single-threaded."""

    def __init__(self, patience_ms: int) -> None:
        self._patience_ms = patience_ms
        self._pending: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # id → (seen, deadline)
        self._recent: OrderedDict[bytes, int] = OrderedDict()  # id → height
        self._bundle_of: dict[bytes, bytes] = {}  # pending id → digest of a bundle that has it

    def restore(self, ids: Iterable[bytes], height: int) -> None:
        """Note again, after a restart, what a final block carries. Blocks come oldest first."""
        for action_id in ids:
            self._recent[action_id] = height
        self._cap_recent()

    def saw(self, actions: Iterable[VerifiedAction], bundle: bytes, now_ms: int) -> None:
        """Note the actions of a bundle that has just been checked."""
        for action in actions:
            if not needs_inclusion(action) or action.id in self._recent:
                continue
            if len(self._pending) >= INCLUSION_PENDING_IDS_MAX:
                return
            self._pending.setdefault(action.id, (now_ms, action.deadline_ms))
            self._bundle_of.setdefault(action.id, bundle)

    def included(self, actions: Iterable[VerifiedAction], height: int, time_ms: int) -> None:
        """Note what the final block at `height` carries, and drop what is past its deadline."""
        for action in actions:
            if needs_inclusion(action):
                self._recent[action.id] = height
                self._forget(action.id)
        self._cap_recent()
        while self._pending:
            oldest, (_, deadline_ms) = next(iter(self._pending.items()))
            if deadline_ms >= time_ms:
                return
            self._forget(oldest)

    def pending_ids(self, now_ms: int) -> tuple[bytes, ...]:
        """Return the longest-waiting ids, sorted, at most what one vote may list."""
        ids: list[bytes] = []
        for action_id, (seen_ms, deadline_ms) in self._pending.items():
            if now_ms - seen_ms < self._patience_ms or len(ids) >= INCLUSION_IDS_MAX:
                break
            if deadline_ms > now_ms:
                ids.append(action_id)
        return tuple(sorted(ids))

    def bundles_with(self, ids: Iterable[bytes]) -> tuple[bytes, ...]:
        """Return digests of held bundles that carry the ids, each once."""
        found = (self._bundle_of.get(action_id) for action_id in ids)
        return tuple(dict.fromkeys(digest for digest in found if digest is not None))

    def knows(self, action_id: bytes) -> bool:
        """True when a bundle with the action has been here."""
        return action_id in self._pending or action_id in self._recent

    def unanswered(
        self, required: Collection[bytes], held: Collection[bytes], time_ms: int
    ) -> tuple[bytes, ...]:
        """Return the required ids that are neither in the chain, nor in `held`, nor too late."""
        missing = []
        for action_id in required:
            if action_id in held or action_id in self._recent:
                continue
            entry = self._pending.get(action_id)
            if entry is not None and entry[1] < time_ms:
                continue
            missing.append(action_id)
        return tuple(missing)

    def _cap_recent(self) -> None:
        while len(self._recent) > INCLUSION_RECENT_IDS_MAX:
            self._recent.popitem(last=False)

    def _forget(self, action_id: bytes) -> None:
        self._pending.pop(action_id, None)
        self._bundle_of.pop(action_id, None)
