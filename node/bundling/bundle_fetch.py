"""Decide which missing bundles to ask whom for, and when to ask again.

Rule: pure bookkeeping; every name is asked of one peer at a time and of another one next. What a
final block carries exists and is asked for until it is here; what a proposal or a vote names may be
invented: the newest is asked for first, and after a number of tries it is forgotten.
Spec: docs/spec/node.md (Fetching). Deviations: none.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from node.limits import FETCH_BUNDLES_MAX, FETCH_OPEN_MAX, FETCH_RETRY_MS, FETCH_TRIES_MAX


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

    _needed: dict[bytes, _Want] = field(default_factory=dict)  # by final blocks
    _wanted: OrderedDict[bytes, _Want] = field(default_factory=OrderedDict)  # by somebody's word
    _owed: Counter[bytes] = field(default_factory=Counter)  # peer → answers it may still give

    def need(self, names: Iterable[bytes]) -> None:
        """Look for names until they arrive; those beyond the cap are needed again by whoever
        executes what carries them."""
        for name in names:
            if len(self._needed) >= FETCH_OPEN_MAX:
                return
            if name not in self._needed:
                self._needed[name] = self._wanted.pop(name, _Want())

    def want(self, names: Iterable[bytes]) -> None:
        """Look for names that may not exist; the longest not wanted again gives way."""
        for name in names:
            if name in self._needed:
                continue
            self._wanted.setdefault(name, _Want())
            self._wanted.move_to_end(name)
            if len(self._wanted) > FETCH_OPEN_MAX:
                self._wanted.popitem(last=False)

    def got(self, name: bytes) -> bool:
        """Note an arrival; True when it had been asked for."""
        was_wanted = self.is_wanted(name)
        for names in (self._needed, self._wanted):
            names.pop(name, _Want())
        return was_wanted

    def is_wanted(self, name: bytes) -> bool:
        """True while the name is looked for."""
        return name in self._wanted or name in self._needed

    def spend(self, peer: bytes) -> bool:
        """Take one of the answers that a peer was asked for; False when it owes none."""
        if self._owed[peer] <= 0:
            return False
        self._owed[peer] -= 1
        return True

    @property
    def is_idle(self) -> bool:
        """True when nothing is looked for."""
        return not self._wanted and not self._needed

    def due(self, peers: Sequence[bytes], now_ms: int) -> list[Request]:
        """Return the requests to send now, each name to the next peer in turn."""
        if not peers:
            return []
        chosen: dict[bytes, list[bytes]] = {}
        for name in [*self._needed, *reversed(self._wanted)]:
            want = self._needed.get(name) or self._wanted[name]
            if want.tries and now_ms - want.asked_ms < FETCH_RETRY_MS:
                continue
            if want.tries >= FETCH_TRIES_MAX and name in self._wanted:
                del self._wanted[name]
                continue
            peer = peers[(name[0] + want.tries) % len(peers)]
            names = chosen.setdefault(peer, [])
            if len(names) < FETCH_BUNDLES_MAX:
                names.append(name)
                want.asked_ms = now_ms
                want.tries += 1
        for peer, names in chosen.items():
            self._owed[peer] = len(names)  # what it left unanswered before has lapsed
        return [Request(peer=peer, names=tuple(names)) for peer, names in chosen.items()]
