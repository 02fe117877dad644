"""Decide which missing bundles to ask whom for, and when to ask again.

Rule: pure bookkeeping; every wanted name is asked of one peer at a time and of another one next.
Spec: docs/spec/node.md (Fetching). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from node.limits import FETCH_BUNDLES_MAX, FETCH_OPEN_MAX, FETCH_RETRY_MS


@dataclass(slots=True)
class _Want:
    asked_ms: int = 0
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Ask a validator for these names."""

    peer: bytes  # address
    names: tuple[bytes, ...]


@dataclass(slots=True)
class BundleFetch:
    """The names wanted now. Single-threaded."""

    _wants: dict[bytes, _Want] = field(default_factory=dict)

    def want(self, names: Iterable[bytes]) -> None:
        """Start to look for names; those beyond the cap are wanted again by whoever needs them."""
        for name in names:
            if len(self._wants) >= FETCH_OPEN_MAX:
                return
            self._wants.setdefault(name, _Want())

    def got(self, name: bytes) -> bool:
        """Note an arrival; True when it had been asked for."""
        return self._wants.pop(name, None) is not None

    def is_wanted(self, name: bytes) -> bool:
        """True while the name is looked for."""
        return name in self._wants

    @property
    def is_idle(self) -> bool:
        """True when nothing is looked for."""
        return not self._wants

    def due(self, peers: Sequence[bytes], now_ms: int) -> list[Request]:
        """Return the requests to send now, each name to the next peer in turn."""
        if not peers:
            return []
        chosen: dict[bytes, list[bytes]] = {}
        for name, want in self._wants.items():
            if want.tries and now_ms - want.asked_ms < FETCH_RETRY_MS:
                continue
            peer = peers[(name[0] + want.tries) % len(peers)]
            names = chosen.setdefault(peer, [])
            if len(names) < FETCH_BUNDLES_MAX:
                names.append(name)
                want.asked_ms = now_ms
                want.tries += 1
        return [Request(peer=peer, names=tuple(names)) for peer, names in chosen.items()]
