"""Every wanted name is asked of one peer at a time, and of another one next.

Spec: docs/spec/node.md (Fetching). Deviations: none.
"""

from __future__ import annotations

from node.bundling.bundle_fetch import BundleFetch, Request
from node.limits import FETCH_BUNDLES_MAX, FETCH_OPEN_MAX, FETCH_RETRY_MS

NAME = bytes(32)
PEERS = tuple(bytes([mark]) * 20 for mark in (5, 6, 7))


def test_a_name_goes_round_all_peers_until_it_arrives() -> None:
    fetch = BundleFetch()
    fetch.want((NAME,))
    asked = []
    for turn in range(4):
        now = 1_000 + turn * FETCH_RETRY_MS
        asked += [request.peer for request in fetch.due(PEERS, now)]
        assert fetch.due(PEERS, now + FETCH_RETRY_MS - 1) == []
    assert asked == [*PEERS, PEERS[0]]
    assert fetch.got(NAME)
    assert not fetch.got(NAME)
    assert fetch.is_idle


def test_without_peers_nothing_is_asked_and_no_turn_is_lost() -> None:
    fetch = BundleFetch()
    fetch.want((NAME,))
    assert fetch.due((), 1) == []
    assert fetch.due(PEERS[:1], 1) == [Request(peer=PEERS[0], names=(NAME,))]


def test_requests_and_wants_are_bounded_and_the_rest_comes_next() -> None:
    fetch = BundleFetch()
    names = [number.to_bytes(32, "big") for number in range(FETCH_OPEN_MAX + 1)]
    fetch.want(names)
    assert not fetch.is_wanted(names[-1])
    seen: list[bytes] = []
    while requests := fetch.due(PEERS[:1], 1):
        assert len(requests[0].names) <= FETCH_BUNDLES_MAX
        seen += requests[0].names
    assert seen == names[:-1]
