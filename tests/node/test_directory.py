"""The transport lets in whom the registry names, members first, and dials where they say.

Spec: docs/spec/node.md (Directory). Deviations: none.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.participation.accumulator import Participation
from consensus.participation.facts import Registration
from consensus.participation.parameters import Rules
from consensus.participation.register import Validator
from node.committee.announcements import (
    Announcements,
    encode_announcement,
    is_private,
    is_unspecified,
    verify_dialable,
)
from node.committee.directory import find_known
from node.network_file import Bootstrap
from p2p.identity import peer_id_from_public_key
from p2p.limits import VALIDATORS_MAX
from primitives.address import to_checksum
from primitives.errors import InvalidMessage, PeerError

NO_KEY = bytes(32)
PLACE = "/ip4/127.0.0.1/tcp/30303"


def registration(number: int, *, key: int | None = None, stake: int = 5) -> Registration:
    """Number 0 has no transport key on the registry."""
    mark = number if key is None else key
    return Registration(
        owner=bytes([number]) * 20,
        hot_key=bytes([100 + number]) * 20,
        payout=bytes(20),
        network_key=bytes([mark]) * 32,
        services=7,
        stake=stake,
        is_leaving=False,
    )


def make_state(*members: Registration) -> Participation:
    rules = Rules(epoch_blocks=100, bond_min=1, bond_cap=10)
    return Participation(rules, [(one, 1) for one in members])


def as_fields(one: Registration) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Registration.__slots__}


def join(state: Participation, one: Registration) -> None:
    state.register.add(Validator(**as_fields(one)))


def peer(number: int) -> str:
    return peer_id_from_public_key(bytes([number]) * 32)


def entry(number: int, peer_id: str) -> Bootstrap:
    address = to_checksum(bytes([100 + number]) * 20)
    return Bootstrap(address=address, peer_id=peer_id, multiaddrs=(PLACE,))


def test_before_the_registry_is_read_the_network_file_says_who_is_who() -> None:
    state = make_state(registration(1, key=0), registration(2, key=0))
    file = (entry(1, peer(31)), entry(2, peer(32)))
    for found in (find_known(file, None), find_known(file, state)):
        assert [(one.address[0], one.peer_id) for one in found] == [
            (101, peer(31)),
            (102, peer(32)),
        ]
        assert all(one.multiaddrs == (PLACE,) for one in found)


def test_the_registry_overrules_the_network_file_and_adds_newcomers() -> None:
    state = make_state(registration(1), registration(2))
    join(state, registration(3, stake=7))
    join(state, registration(4, stake=9))
    found = find_known((entry(1, peer(31)), entry(2, peer(2))), state)
    assert [one.address[0] for one in found] == [101, 102, 104, 103]
    assert found[0].peer_id == peer(1)
    assert found[0].multiaddrs == (), "what the file says is of another identity"
    assert found[1].multiaddrs == (PLACE,)


def test_nobody_takes_the_identity_of_a_member() -> None:
    state = make_state(registration(1))
    join(state, registration(5, key=1, stake=1_000))
    assert [one.address[0] for one in find_known((), state)] == [101]


def test_who_leaves_comes_last_and_follows_until_its_entry_is_gone() -> None:
    state = make_state(registration(1))
    join(state, registration(2))
    for owner in (1, 2):
        state.register.by_owner[bytes([owner]) * 20].is_leaving = True
    join(state, registration(3))
    assert [one.address[0] for one in find_known((), state)] == [101, 103, 102]
    state.register.apply(Registration(**{**as_fields(registration(2)), "hot_key": bytes(20)}))
    assert [one.address[0] for one in find_known((), state)] == [101, 103]


def test_a_seat_keeps_its_key_until_the_border() -> None:
    state = make_state(registration(1))
    state.register.by_owner[b"\x01" * 20].hot_key = b"\xee" * 20
    assert [one.address[0] for one in find_known((), state)] == [101]


def test_the_number_is_bounded() -> None:
    state = make_state(registration(1))
    for number in range(VALIDATORS_MAX + 5):
        mark = number.to_bytes(2, "big")
        one = Validator(
            owner=b"\xaa\xaa" + mark * 9,
            hot_key=b"\x07\x07" + mark * 9,
            payout=bytes(20),
            network_key=b"\x09\x09" + mark * 15,
            services=0,
            stake=1,
            is_leaving=False,
        )
        state.register.add(one)
    assert len(find_known((), state)) == VALIDATORS_MAX


@pytest.mark.parametrize(
    "text",
    ["/ip4/8.8.8.8/tcp/1", "/ip6/2606:4700::1111/tcp/65535", "/dns/node.example.org/tcp/30303"],
)
def test_public_places_are_dialable(text: str) -> None:
    verify_dialable(text, allows_private=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/ip4/8.8.8.8",
        "/ip4/8.8.8.8/udp/5",
        "/ip4/8.8.8.8/tcp/0",
        "/ip4/8.8.8.8/tcp/65536",
        "/ip4/8.8.8.8/tcp/5/p2p/x",
        "/ip4/300.1.1.1/tcp/5",
        "/ip4/::1/tcp/5",
        "/ip4/0.0.0.0/tcp/5",
        "/ip4/224.0.0.1/tcp/5",
        "/dns/a..b/tcp/5",
        "/dns/a b/tcp/5",
        "/ip4/8.8.8.8/tcp/5\n",
        "/unix/tmp",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InvalidMessage):
        verify_dialable(text, allows_private=True)


@pytest.mark.parametrize("text", [PLACE, "/ip4/10.0.0.1/tcp/5", "/ip6/::1/tcp/5"])
def test_private_places_are_for_private_networks(text: str) -> None:
    verify_dialable(text, allows_private=True)
    assert is_private(text)
    with pytest.raises(InvalidMessage):
        verify_dialable(text, allows_private=False)


def test_addresses_that_stand_for_all_are_known() -> None:
    assert is_unspecified("/ip4/0.0.0.0/tcp/5")
    assert is_unspecified("/ip6/::/tcp/5")
    assert not is_unspecified(PLACE)
    assert not is_unspecified("/dns/a/tcp/5")


def test_only_newer_announcements_count() -> None:
    told = Announcements(allows_private=True)
    assert told.take("a", encode_announcement(5, (PLACE,)), 5) == (PLACE,)
    assert told.take("a", encode_announcement(5, ("/ip4/8.8.8.8/tcp/5",)), 5) == ()
    assert told.take("b", encode_announcement(4, (PLACE,)), 5) == (PLACE,)
    with pytest.raises(InvalidMessage, match="future"):
        told.take("a", encode_announcement(10**12, (PLACE,)), 5)


def test_one_bad_address_spoils_the_announcement() -> None:
    told = Announcements(allows_private=False)
    with pytest.raises(InvalidMessage):
        told.take("a", encode_announcement(5, ("/ip4/8.8.8.8/tcp/5", PLACE)), 5)
    good = ("/ip4/8.8.8.8/tcp/5",)
    assert told.take("a", encode_announcement(5, good), 5) == good


@given(st.binary(max_size=200))
def test_garbage_is_an_error_of_the_peer(data: bytes) -> None:
    told = Announcements(allows_private=True)
    with contextlib.suppress(PeerError):
        told.take("a", data, 5)
