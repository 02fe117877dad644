"""Keep the bundles that may still be proposed, and those that stragglers may still ask for.

Rule: one entry per digest, bounded per origin, proposed in order of arrival; what a final block
carries is
never proposed again.
Spec: docs/spec/node.md (Bundles). Deviations: none.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from exchange.actions import VerifiedAction
from node.limits import (
    BLOCK_BUNDLES_MAX,
    BLOCK_BYTES_MAX,
    BUNDLE_BYTES_MAX,
    POOL_BUNDLES_PER_ORIGIN_MAX,
    POOL_BYTES_OF_OUTSIDERS_MAX,
    POOL_BYTES_PER_ORIGIN_MAX,
    POOL_KEPT_BUNDLES_MAX,
    POOL_KEPT_BYTES_MAX,
)
from primitives.errors import LimitExceeded


@dataclass(slots=True, kw_only=True, eq=False)
class Bundle:
    """One bundle and what this node has learned about it."""

    digest: bytes  # 32 bytes, sha2-256 of `data`
    data: bytes
    origin: bytes  # address of the validator that made or first sent it
    arrived_ms: int
    actions: tuple[VerifiedAction, ...] | None = None  # None until its signatures are checked
    included_height: int = 0  # height of the final block that carries it, 0 = none yet
    is_outsiders: bool = False  # it came from a validator without a seat


@dataclass(slots=True)
class _Quota:
    bundles: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the pool one origin may fill with bundles that wait."""

    size_bytes: int
    is_outsiders: bool = False  # it also counts against what all outsiders share


MEMBER = Share(size_bytes=POOL_BYTES_PER_ORIGIN_MAX)


@dataclass(slots=True)
class BundlePool:
    """All bundles held in memory. Single-threaded."""

    _waiting: OrderedDict[bytes, Bundle] = field(default_factory=OrderedDict)
    _included: OrderedDict[bytes, Bundle] = field(default_factory=OrderedDict)
    _quotas: dict[bytes, _Quota] = field(default_factory=dict)
    _outsiders_bytes: int = 0
    included_bytes: int = 0  # of what final blocks carry and is still in memory
    _awaited: dict[bytes, int] = field(default_factory=dict)  # final, not held → height

    def add(
        self,
        data: bytes,
        origin: bytes,
        now_ms: int,
        *,
        is_asked_for: bool,
        share: Share | None = None,
    ) -> Bundle | None:
        """Take a bundle in; None when it is held already. What we asked for ourselves is not
        counted against its sender. Raises LimitExceeded when the origin is over its share."""
        if not 0 < len(data) <= BUNDLE_BYTES_MAX:
            raise LimitExceeded(f"a bundle of {len(data)} bytes, the limit is {BUNDLE_BYTES_MAX}")
        digest = hashlib.sha256(data).digest()
        if digest in self._waiting or digest in self._included:
            return None
        share = share or MEMBER
        height = self._awaited.pop(digest, 0)
        if height:
            late = Bundle(digest=digest, data=data, origin=origin, arrived_ms=now_ms)
            late.included_height = height
            self._keep_included(late)
            return late
        if self._is_over(origin, len(data), share) and not is_asked_for:
            raise LimitExceeded("too many bundles of one validator wait for a block")
        bundle = Bundle(
            digest=digest,
            data=data,
            origin=origin,
            arrived_ms=now_ms,
            is_outsiders=share.is_outsiders,
        )
        self._waiting[digest] = bundle
        self._count(bundle, 1)
        return bundle

    def drop(self, bundle: Bundle) -> bool:
        """Forget a bundle that waits; False when a final block carries it."""
        if self._waiting.get(bundle.digest) is not bundle:
            return False
        del self._waiting[bundle.digest]
        self._count(bundle, -1)
        return True

    def _is_over(self, origin: bytes, size: int, share: Share) -> bool:
        quota = self._quotas.get(origin, _Quota())
        if share.is_outsiders and self._outsiders_bytes + size > POOL_BYTES_OF_OUTSIDERS_MAX:
            return True
        return (
            quota.bundles >= POOL_BUNDLES_PER_ORIGIN_MAX
            or quota.size_bytes + size > share.size_bytes
        )

    def _count(self, bundle: Bundle, sign: int) -> None:
        """Add a waiting bundle to its origin's share, or take it away."""
        quota = self._quotas.setdefault(bundle.origin, _Quota())
        quota.bundles += sign
        quota.size_bytes += sign * len(bundle.data)
        assert quota.bundles >= 0
        assert quota.size_bytes >= 0
        if not quota.bundles:
            del self._quotas[bundle.origin]
        if bundle.is_outsiders:
            self._outsiders_bytes += sign * len(bundle.data)

    def _keep_included(self, bundle: Bundle) -> None:
        self._included[bundle.digest] = bundle
        self.included_bytes += len(bundle.data)

    def get(self, digest: bytes) -> Bundle | None:
        """Return the bundle if it is in memory."""
        return self._waiting.get(digest) or self._included.get(digest)

    def holds(self, digests: Iterable[bytes]) -> bool:
        """True when every one of them is in memory."""
        return all(d in self._waiting or d in self._included for d in digests)

    def missing(self, digests: Iterable[bytes]) -> tuple[bytes, ...]:
        """Return those that are not in memory, in the order given."""
        return tuple(d for d in digests if d not in self._waiting and d not in self._included)

    @property
    def has_waiting(self) -> bool:
        """True when something could be proposed."""
        return bool(self._waiting)

    def waiting(self) -> Iterable[Bundle]:
        """Bundles that no final block carries, oldest first."""
        return self._waiting.values()

    def unstored(self, stored_height: int) -> Iterable[Bundle]:
        """Return the waiting bundles and the included ones above a height."""
        yield from self._waiting.values()
        yield from (b for b in self._included.values() if b.included_height > stored_height)

    def propose(self, exclude: frozenset[bytes], first: Sequence[bytes] = ()) -> tuple[bytes, ...]:
        """Choose digests for one block: `first` before all others, then by arrival, within the
        block's limits, none of `exclude`."""
        chosen: list[bytes] = []
        size = 0
        order = [self._waiting[d] for d in first if d in self._waiting]
        taken = set(first)
        order += [b for b in self._waiting.values() if b.digest not in taken]
        for bundle in order:
            if bundle.digest in exclude:
                continue
            if len(chosen) >= BLOCK_BUNDLES_MAX or size + len(bundle.data) > BLOCK_BYTES_MAX:
                break
            chosen.append(bundle.digest)
            size += len(bundle.data)
        return tuple(chosen)

    def mark_included(self, digests: Iterable[bytes], height: int) -> None:
        """Note that the final block at `height` carries these, held or still to be fetched."""
        for digest in digests:
            bundle = self._waiting.pop(digest, None)
            if bundle is None:
                if digest not in self._included:
                    self._awaited[digest] = height
                continue
            self._count(bundle, -1)
            bundle.included_height = height
            self._keep_included(bundle)

    def forget_executed(self, executed_height: int) -> None:
        """Drop the oldest included bundles beyond the cap, but none that is still to be
        executed.
        """
        while (
            len(self._included) > POOL_KEPT_BUNDLES_MAX or self.included_bytes > POOL_KEPT_BYTES_MAX
        ):
            digest, bundle = next(iter(self._included.items()))
            if bundle.included_height > executed_height:
                return
            del self._included[digest]
            self.included_bytes -= len(bundle.data)
