"""Every wanted name is asked of one peer at a time, and of another one next.

Spec: docs/spec/node.md (Fetching). Deviations: none.
"""

from __future__ import annotations

from node.bundling.bundle_fetch import BundleFetch, Request
from node.limits import FETCH_BUNDLES_MAX, FETCH_OPEN_MAX, FETCH_RETRY_MS, FETCH_TRIES_MAX

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


def names(count: int, first: int = 0) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in range(first, first + count)]


def test_requests_and_needs_are_bounded_and_the_rest_comes_next() -> None:
    fetch = BundleFetch()
    needed = names(FETCH_OPEN_MAX + 1)
    fetch.need(needed)
    assert not fetch.is_wanted(needed[-1])
    seen: list[bytes] = []
    while requests := fetch.due(PEERS[:1], 1):
        assert len(requests[0].names) <= FETCH_BUNDLES_MAX
        seen += requests[0].names
    assert seen == needed[:-1]


def test_invented_names_keep_nothing_final_waiting() -> None:
    fetch = BundleFetch()
    fetch.want(names(2 * FETCH_OPEN_MAX))
    final = b"\xff" * 32
    fetch.need((final,))
    assert fetch.due(PEERS[:1], 1)[0].names[0] == final


def test_the_newest_of_what_may_be_invented_is_asked_for_first() -> None:
    fetch = BundleFetch()
    invented = names(2 * FETCH_OPEN_MAX)
    fetch.want(invented)
    assert not fetch.is_wanted(invented[0])
    honest = b"\xff" * 32
    fetch.want((honest,))
    assert fetch.due(PEERS[:1], 1)[0].names[0] == honest


def test_what_nobody_has_is_forgotten_unless_it_is_final() -> None:
    fetch = BundleFetch()
    fetch.want(names(1))
    fetch.need(names(1, first=1))
    for turn in range(2 * FETCH_TRIES_MAX):
        fetch.due(PEERS, turn * FETCH_RETRY_MS)
    assert not fetch.is_wanted(names(1)[0])
    assert fetch.is_wanted(names(1, first=1)[0])
    assert fetch.got(names(1, first=1)[0])
    assert fetch.is_idle


def test_a_name_that_turns_out_final_is_asked_of_the_next_peer() -> None:
    fetch = BundleFetch()
    fetch.want((NAME,))
    assert [request.peer for request in fetch.due(PEERS, 1)] == [PEERS[0]]
    fetch.need((NAME,))
    fetch.want((NAME,))
    assert [request.peer for request in fetch.due(PEERS, 1 + FETCH_RETRY_MS)] == [PEERS[1]]
    assert fetch.got(NAME)
    assert fetch.is_idle


def test_a_peer_owes_as_many_answers_as_it_was_last_asked_for() -> None:
    fetch = BundleFetch()
    fetch.want(names(2))
    fetch.due(PEERS[:1], 1)
    assert [fetch.spend(PEERS[0]) for _ in range(3)] == [True, True, False]
    assert not fetch.spend(PEERS[1])
    fetch.due(PEERS[:1], 1 + FETCH_RETRY_MS)
    assert fetch.spend(PEERS[0])
