"""Answer what consensus asks of the ledger, the bundles and the inclusion watch.

Rule: every answer comes from memory; a missing bundle is wanted from the peers and the answer is
"not yet".
Spec: docs/spec/consensus.md (Application); docs/spec/node.md (Inclusion). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.application import Roots, Verdict
from consensus.block import Block
from node.bundling.bundle_fetch import BundleFetch
from node.bundling.bundle_pool import BundlePool
from node.bundling.inclusion import InclusionWatch
from node.limits import BLOCK_BYTES_MAX
from node.replica.ledger import Ledger


class ChainApplication:
    """The consensus room's view of this node (`consensus.application.Application`)."""

    def __init__(
        self,
        ledger: Ledger,
        pool: BundlePool,
        watch: InclusionWatch,
        bundles: BundleFetch,
        actions: BundleFetch,
    ) -> None:
        self._ledger = ledger
        self._pool = pool
        self._watch = watch
        self._bundles = bundles
        self._actions = actions

    def executed(self) -> tuple[int, Roots]:
        """Return the highest executed height and its roots."""
        return self._ledger.height, self._ledger.roots

    def roots_at(self, height: int) -> Roots | None:
        """Return the roots after a height that was executed not long ago."""
        return self._ledger.roots_at(height)

    def checkpoint_digest(self, height: int) -> bytes | None:
        """Return the digest of the snapshot after a checkpoint height."""
        return self._ledger.checkpoint_digest(height)

    def holds_bundles(self, digests: tuple[bytes, ...]) -> bool:
        """True when all are held; the others are wanted from now on."""
        missing = self._pool.missing(digests)
        self._bundles.want(missing)
        return not missing

    def propose_bundles(
        self, ancestors: tuple[Block, ...], required: tuple[bytes, ...], now: int
    ) -> tuple[bytes, ...] | None:
        """Choose the bundles that wait, those with required ids first."""
        carried = frozenset(d for block in ancestors for d in block.body.bundles)
        held = self._ids(carried)
        if held is None:
            return None
        owed = self._watch.unanswered(required, held, now)
        unknown = [action_id for action_id in owed if not self._watch.knows(action_id)]
        if unknown:
            self._actions.want(unknown)
            return None
        return self._pool.propose(carried, self._watch.bundles_with(owed))

    def check_inclusion(
        self, block: Block, ancestors: tuple[Block, ...], required: tuple[bytes, ...]
    ) -> Verdict:
        """Judge the block's bundles: none twice, not too large, every required id answered."""
        digests = block.body.bundles
        carried = [d for ancestor in ancestors for d in ancestor.body.bundles]
        if len(set(digests)) != len(digests) or not set(digests).isdisjoint(carried):
            return Verdict.INVALID
        size = 0
        for digest in digests:
            bundle = self._pool.get(digest)
            if bundle is None:
                self._bundles.want((digest,))
                return Verdict.NOT_YET
            if bundle.included_height:
                return Verdict.INVALID
            size += len(bundle.data)
        if size > BLOCK_BYTES_MAX:
            return Verdict.INVALID
        return self._check_required((*digests, *carried), required, block.header.time_ms)

    def _check_required(
        self, digests: tuple[bytes, ...], required: tuple[bytes, ...], time_ms: int
    ) -> Verdict:
        if not required:
            return Verdict.VALID
        held = self._ids(digests)
        if held is None:
            return Verdict.NOT_YET
        owed = self._watch.unanswered(required, held, time_ms)
        if not owed:
            return Verdict.VALID
        unknown = [action_id for action_id in owed if not self._watch.knows(action_id)]
        self._actions.want(unknown)
        return Verdict.NOT_YET if unknown else Verdict.INVALID

    def pending_ids(self, now: int) -> tuple[bytes, ...]:
        """Return ids that have waited for a block long enough."""
        return self._watch.pending_ids(now)

    def has_work(self) -> bool:
        """True when something waits for a block, or a sealed batch for its clearing."""
        return self._pool.has_waiting or self._ledger.has_pending_batches

    def _ids(self, digests: Iterable[bytes]) -> frozenset[bytes] | None:
        """Return the action ids inside bundles, None while one is not held or not checked yet."""
        ids: set[bytes] = set()
        for digest in digests:
            bundle = self._pool.get(digest)
            if bundle is None:
                self._bundles.want((digest,))
                return None
            if bundle.actions is None:
                return None
            ids.update(action.id for action in bundle.actions)
        return frozenset(ids)
