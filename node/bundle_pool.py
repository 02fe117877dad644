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
    POOL_BYTES_PER_ORIGIN_MAX,
    POOL_KEPT_BUNDLES_MAX,
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


@dataclass(slots=True)
class _Quota:
    bundles: int = 0
    size_bytes: int = 0


@dataclass(slots=True)
class BundlePool:
    """All bundles held in memory. Single-threaded."""

    _waiting: OrderedDict[bytes, Bundle] = field(default_factory=OrderedDict)
    _included: OrderedDict[bytes, Bundle] = field(default_factory=OrderedDict)
    _quotas: dict[bytes, _Quota] = field(default_factory=dict)
    _awaited: dict[bytes, int] = field(default_factory=dict)  # final, not held → height

    def add(self, data: bytes, origin: bytes, now_ms: int, *, is_asked_for: bool) -> Bundle | None:
        """Take a bundle in; None when it is held already. What we asked for ourselves is not
        counted against its sender. Raises LimitExceeded when the origin is over its share."""
        if not 0 < len(data) <= BUNDLE_BYTES_MAX:
            raise LimitExceeded(f"a bundle of {len(data)} bytes, the limit is {BUNDLE_BYTES_MAX}")
        digest = hashlib.sha256(data).digest()
        if digest in self._waiting or digest in self._included:
            return None
        height = self._awaited.pop(digest, 0)
        if height:
            late = Bundle(digest=digest, data=data, origin=origin, arrived_ms=now_ms)
            late.included_height = height
            self._included[digest] = late
            return late
        quota = self._quotas.setdefault(origin, _Quota())
        is_over = (
            quota.bundles >= POOL_BUNDLES_PER_ORIGIN_MAX
            or quota.size_bytes + len(data) > POOL_BYTES_PER_ORIGIN_MAX
        )
        if is_over and not is_asked_for:
            raise LimitExceeded("too many bundles of one validator wait for a block")
        bundle = Bundle(digest=digest, data=data, origin=origin, arrived_ms=now_ms)
        self._waiting[digest] = bundle
        quota.bundles += 1
        quota.size_bytes += len(data)
        return bundle

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
            quota = self._quotas[bundle.origin]
            quota.bundles -= 1
            quota.size_bytes -= len(bundle.data)
            assert quota.bundles >= 0
            assert quota.size_bytes >= 0
            bundle.included_height = height
            self._included[digest] = bundle

    def forget_executed(self, executed_height: int) -> None:
        """Drop the oldest included bundles beyond the cap, but none that is still to be
        executed.
        """
        while len(self._included) > POOL_KEPT_BUNDLES_MAX:
            digest, bundle = next(iter(self._included.items()))
            if bundle.included_height > executed_height:
                return
            del self._included[digest]
