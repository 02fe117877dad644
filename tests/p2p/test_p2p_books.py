"""Check identities, scores, rates, queues and the peer book: what needs no network.

Rule: see tests/README. Spec: docs/spec/p2p.md §2, §5–§7. Deviations: none.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from p2p import limits, queues
from p2p.admission import Admission
from p2p.config import KnownValidator, NetworkConfig
from p2p.identity import decode_peer_id, peer_id_from_seed
from p2p.lanes import Inbound, Lane
from p2p.peer_book import PeerBook
from p2p.queues import Inbox, SendQueue
from p2p.rates import RateLimit
from p2p.requests import Requests
from p2p.scores import Scores
from primitives.errors import ConfigError, InvalidMessage

NETWORK = b"n" * 32


# --- identity -------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32))
def test_our_peer_id_is_the_one_libp2p_derives(seed):
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.peer.id import ID

    expected = ID.from_pubkey(create_new_key_pair(seed).public_key)
    assert peer_id_from_seed(seed) == str(expected)
    assert decode_peer_id(str(expected)) == expected.to_bytes()


@given(st.text(max_size=80))
def test_any_other_text_is_no_peer_id(text):
    with pytest.raises(InvalidMessage):
        decode_peer_id(text)


@pytest.mark.parametrize(
    "module", ["limits", "config", "identity", "lanes", "errors", "frames", "handshake", "scores"]
)
def test_what_the_command_line_needs_does_not_load_libp2p(module):
    code = f"import sys, p2p.{module}; sys.exit('libp2p' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- configuration --------------------------------------------------------------------------------


def test_a_validator_with_a_malformed_peer_id_is_a_configuration_error():
    with pytest.raises(ConfigError):
        KnownValidator(address=b"a" * 20, peer_id="12D3KooWnonsense")


def test_two_validators_with_one_address_are_a_configuration_error():
    twins = tuple(
        KnownValidator(address=b"a" * 20, peer_id=peer_id_from_seed(bytes([i]) * 32))
        for i in range(2)
    )
    with pytest.raises(ConfigError):
        NetworkConfig(network_id=NETWORK, seed=b"s" * 32, validators=twins)


def test_the_secret_seed_is_not_printed():
    config = NetworkConfig(network_id=NETWORK, seed=b"s" * 32, validators=())
    assert "ssss" not in repr(config)


# --- queues ---------------------------------------------------------------------------------------


async def test_a_full_queue_drops_the_newest_and_counts():
    queue = SendQueue(frames_max=2, bytes_max=100)
    assert [queue.put(m) for m in (b"1", b"2", b"3")] == [True, True, False]
    assert queue.dropped_total == 1
    assert queue.take(100) == b"12"


async def test_a_queue_is_bounded_in_bytes():
    queue = SendQueue(frames_max=10, bytes_max=5)
    assert [queue.put(m) for m in (b"123", b"456", b"78")] == [True, False, True]


async def test_writes_are_joined_up_to_the_limit_and_never_cut_a_message():
    queue = SendQueue(frames_max=10, bytes_max=100)
    for message in (b"aa", b"bb", b"ccccc", b"d"):
        queue.put(message)
    assert [queue.take(4), queue.take(4), queue.take(4), queue.take(4)] == [
        b"aabb",
        b"ccccc",
        b"d",
        b"",
    ]


async def test_senders_take_turns_so_a_flood_delays_nobody():
    inbox = Inbox(Lane.VOTE, bytes_max=1000)
    for i in range(50):
        inbox.put(b"flooder", bytes([i]))
    inbox.put(b"quiet", b"vote")
    assert inbox.receive_nowait() == Inbound(b"flooder", Lane.VOTE, b"\0")
    assert inbox.receive_nowait() == Inbound(b"quiet", Lane.VOTE, b"vote")


async def test_a_sender_cannot_use_more_than_its_share_of_the_inbox():
    inbox = Inbox(Lane.VOTE, bytes_max=10)
    assert [inbox.put(b"a", b"12345678"), inbox.put(b"a", b"123")] == [True, False]
    assert inbox.put(b"b", b"12345678")
    assert (inbox.dropped_total, len(inbox)) == (1, 2)


async def test_a_waiting_receiver_is_woken():
    inbox = Inbox(Lane.BULK, bytes_max=10)
    got = []
    async with trio.open_nursery() as nursery:

        async def receive():
            got.append(await inbox.receive())

        nursery.start_soon(receive)
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        inbox.put(b"a", b"1")
        inbox.put(b"a", b"2")
    assert [m.data for m in got] == [b"1", b"2"]


def test_many_full_senders_divide_half_of_the_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "INBOX_TOTAL_BYTES_MAX", 80)
    inbox = Inbox(Lane.BULK, bytes_max=30)
    assert inbox.put(b"a", bytes(30))
    assert inbox.put(b"b", bytes(10))
    assert not inbox.put(b"a", bytes(1)), "two senders have twenty each by now"
    assert inbox.put(b"b", bytes(10))
    assert inbox.put(b"c", bytes(13))
    assert not inbox.put(b"c", bytes(1))
    while inbox.receive_nowait() is not None:
        pass
    assert inbox.put(b"a", bytes(30))


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.binary(max_size=9))))
def test_messages_of_one_sender_stay_in_order(puts):
    async def run():
        inbox = Inbox(Lane.VOTE, bytes_max=1 << 20)
        for sender, message in puts:
            inbox.put(sender, message)
        got = []
        while (item := inbox.receive_nowait()) is not None:
            got.append((item.sender, item.data))
        for sender in (b"a", b"b", b"c"):
            assert [m for s, m in got if s == sender] == [m for s, m in puts if s == sender]

    trio.run(run)


# --- scores and rates -----------------------------------------------------------------------------


def test_pauses_double_and_are_forgotten():
    scores = Scores()
    assert scores.on_offence("p", "x", now_ms=0) == limits.COOL_MS
    assert scores.on_offence("p", "x", now_ms=1) == 2 * limits.COOL_MS
    assert scores.is_shunned("p", now_ms=limits.COOL_MS)
    later = 10 * limits.OFFENCE_HALF_LIFE_MS
    assert not scores.is_shunned("p", now_ms=later)
    assert scores.on_offence("p", "x", now_ms=later) == limits.COOL_MS


def test_a_ban_ends():
    scores = Scores()
    scores.ban("p", "two votes", now_ms=5)
    assert scores.is_shunned("p", now_ms=limits.BAN_MS)
    assert not scores.is_shunned("p", now_ms=limits.BAN_MS + 5)


def test_a_few_bad_messages_cost_nothing():
    scores = Scores()
    pauses = [scores.on_complaint("p", "late", now_ms=1) for _ in range(limits.COMPLAINTS_MAX + 1)]
    assert pauses == [0] * limits.COMPLAINTS_MAX + [limits.COOL_MS]


def test_scores_of_many_peers_are_bounded():
    scores = Scores()
    for i in range(limits.SCORE_PEERS_MAX + 10):
        scores.on_offence(str(i), "x", now_ms=1)
    assert scores.get("0") is None
    assert scores.get(str(limits.SCORE_PEERS_MAX + 9)) is not None


def test_a_rate_limit_allows_the_burst_and_then_the_rate():
    rate = RateLimit(per_s=10, burst=3)
    assert [rate.take("p", now_ms=0) for _ in range(4)] == [True, True, True, False]
    assert [rate.take("p", now_ms=100), rate.take("p", now_ms=100)] == [True, False]
    assert rate.take("q", now_ms=100)


# --- peer book ------------------------------------------------------------------------------------


def test_a_validators_questions_have_a_rate_and_leave_those_of_others_alone():
    seeds = [bytes([mark]) * 32 for mark in (1, 2, 3)]
    peers = [peer_id_from_seed(seed) for seed in seeds]
    admission = Admission(observers_max=1, now_ms=lambda: 1_000, own_peer_id=peers[0])
    admission.set_validators(
        KnownValidator(address=bytes([mark]) * 20, peer_id=peer, multiaddrs=())
        for mark, peer in enumerate(peers)
    )
    requests = Requests(host=None, admission=admission, network_id=bytes(32))
    answered = [requests._has_room(peers[1]) for _ in range(limits.VALIDATOR_REQUEST_BURST + 5)]
    assert answered == [True] * limits.VALIDATOR_REQUEST_BURST + [False] * 5
    assert requests._has_room(peers[2])


def test_who_is_over_its_rate_waits_until_it_is_paid():
    rate = RateLimit(per_s=10, burst=4)
    assert [rate.charge("a", 2, now_ms=0) for _ in range(4)] == [0, 0, 200, 400]
    assert rate.charge("b", 4, now_ms=0) == 0
    assert rate.charge("a", 1, now_ms=400) == 100
    assert rate.charge("a", 4, now_ms=5_000) == 0


def test_the_peer_list_survives_a_restart(tmp_path):
    path, peer = tmp_path / "peers.json", peer_id_from_seed(b"a" * 32)
    book = PeerBook(path, network_id=NETWORK)
    book.on_seen(peer, ("/ip4/127.0.0.1/tcp/1",), now_ms=7)
    assert book.save()
    assert PeerBook(path, network_id=NETWORK).addresses(peer) == ("/ip4/127.0.0.1/tcp/1",)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100, b'{"format":9}'])
def test_a_damaged_peer_list_is_set_aside(tmp_path, content):
    path = tmp_path / "peers.json"
    path.write_bytes(content)
    assert PeerBook(path, network_id=NETWORK).entries() == ()
    assert (tmp_path / "peers.damaged").read_bytes() == content


def test_the_peer_list_of_another_network_is_not_used(tmp_path):
    path = tmp_path / "peers.json"
    book = PeerBook(path, network_id=b"m" * 32)
    book.on_seen(peer_id_from_seed(b"a" * 32), (), now_ms=7)
    book.save()
    assert PeerBook(path, network_id=NETWORK).entries() == ()


def test_a_read_only_disk_does_not_stop_the_node(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    book = PeerBook(tmp_path / "file" / "peers.json", network_id=NETWORK)
    book.on_seen(peer_id_from_seed(b"a" * 32), (), now_ms=7)
    assert not book.save()


def test_the_peer_list_is_bounded_and_forgets_the_longest_unseen():
    book = PeerBook(None, network_id=NETWORK)
    for i in range(limits.PEER_BOOK_MAX + 3):
        book.on_seen(f"peer{i}", (), now_ms=i)
    assert len(book.entries()) == limits.PEER_BOOK_MAX
    assert book.entries()[-1].peer_id == "peer3"
