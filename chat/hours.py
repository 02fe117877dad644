"""Know how many messages each hour of a feed holds, and remember the digests of hours and feeds.

Rule: what is asked again and again by anybody who compares histories is answered from here, without
reading a feed; a message that comes or goes forgets just what it changes.
Spec: docs/spec/chat.md (History). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chat.limits import DIGEST_BYTES, HOUR_MS
from primitives.keccak import keccak256


class Hours:
    """Counts and digests by feed and hour of Lamport time."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[int, int]] = {}
        self._totals: dict[str, int] = {}
        self._digests: dict[str, dict[int, bytes]] = {}
        self._of_feeds: dict[str, tuple[int, bytes]] = {}  # feed → (first hour, digest)

    def load(self, rows: Iterable[tuple[str, int, int]]) -> None:
        """Begin anew with (feed, hour, messages)."""
        self._counts, self._totals, self._digests, self._of_feeds = {}, {}, {}, {}
        for feed, hour, count in rows:
            self._counts.setdefault(feed, {})[hour] = count
            self._totals[feed] = self._totals.get(feed, 0) + count

    def add(self, feed: str, lamport: int, messages: int) -> None:
        """Note a message that came (1) or went (-1)."""
        hour = lamport // HOUR_MS
        hours = self._counts.setdefault(feed, {})
        hours[hour] = hours.get(hour, 0) + messages
        assert hours[hour] >= 0, "more messages went than came"
        if not hours[hour]:
            del hours[hour]
        self._totals[feed] = self._totals.get(feed, 0) + messages
        self._digests.get(feed, {}).pop(hour, None)
        self._of_feeds.pop(feed, None)

    def count(self, feed: str) -> int:
        """Return how many messages a feed holds."""
        return self._totals.get(feed, 0)

    def feeds(self) -> tuple[str, ...]:
        """Return the feeds that hold something."""
        return tuple(feed for feed, total in self._totals.items() if total)

    def digests(
        self, feed: str, first: int, compute: Callable[[str, int], bytes]
    ) -> dict[int, bytes]:
        """Return the digest of each hour from `first` on, in order; `compute` those not known."""
        known = self._digests.setdefault(feed, {})
        hours = sorted(hour for hour in self._counts.get(feed, ()) if hour >= first)
        for hour in hours:
            if hour not in known:
                known[hour] = compute(feed, hour)
        return {hour: known[hour] for hour in hours}

    def digest(self, feed: str, first: int, compute: Callable[[str, int], bytes]) -> bytes:
        """Return the digest of a feed from an hour on; zero for an empty one."""
        last = self._of_feeds.get(feed)
        if last is not None and last[0] == first:
            return last[1]
        hours = self.digests(feed, first, compute)
        data = b"".join(hour.to_bytes(8, "big") + digest for hour, digest in hours.items())
        digest = keccak256(data)[:DIGEST_BYTES] if hours else bytes(DIGEST_BYTES)
        self._of_feeds[feed] = (first, digest)
        return digest
