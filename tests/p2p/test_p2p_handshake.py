"""Check that a lane opens only between the two validators that the network file names.

Rule: see tests/README. Spec: docs/spec/p2p.md §4. Deviations: none.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.errors import ImpostorKey, NotAdmitted, OtherNetwork, OtherVersion, UnknownPeer
from p2p.handshake import (
    Hello,
    Identity,
    Initiator,
    Remote,
    Responder,
    decode_hello,
    encode_refusal,
)
from p2p.lanes import Lane
from primitives import codec
from primitives.errors import PeerError
from primitives.secp256k1 import PrivateKey

NETWORK = b"n" * 32
ALICE, BOB, EVE = (PrivateKey(bytes([i]) * 32) for i in (1, 2, 3))
NONCES = (b"a" * 32, b"b" * 32)


def identity(key, peer_id, network=NETWORK):
    return Identity(network_id=network, signer=key, peer_id=peer_id)


def sides(*, alice=ALICE, bob=BOB, seen_alice=b"alice", seen_bob=b"bob", lane=Lane.VOTE):
    """Alice opens a lane to Bob; each may in truth be somebody else."""
    initiator = Initiator(
        us=identity(alice, b"alice"),
        remote=Remote(address=BOB.address, peer_id=seen_bob),
        lane=lane,
        nonce=NONCES[0],
    )
    responder = Responder(
        us=identity(bob, b"bob"),
        remote=Remote(address=ALICE.address, peer_id=seen_alice),
        lane=Lane.VOTE,
        nonce=NONCES[1],
    )
    return initiator, responder


def test_two_validators_prove_themselves_to_each_other():
    alice, bob = sides()
    proof = alice.on_welcome(bob.on_hello(decode_hello(alice.hello(), NETWORK)))
    alice.on_verdict(bob.on_proof(proof))


def test_another_network_is_refused_with_both_names_in_the_message():
    alice, _ = sides()
    with pytest.raises(OtherNetwork, match=r"0x6e6e.*0x6d6d"):
        decode_hello(alice.hello(), b"m" * 32)


def test_another_version_is_refused():
    hello = codec.encode(Hello(2, NETWORK, 0, ALICE.address, NONCES[0]))
    with pytest.raises(OtherVersion):
        decode_hello(hello, NETWORK)


def test_a_stranger_claiming_a_validator_address_cannot_sign_for_it():
    class Impostor:
        address = ALICE.address
        sign = staticmethod(EVE.sign)

    alice, bob = sides(alice=Impostor())
    proof = alice.on_welcome(bob.on_hello(decode_hello(alice.hello(), NETWORK)))
    with pytest.raises(ImpostorKey):
        bob.on_proof(proof)


def test_an_honest_key_that_is_not_the_expected_one_is_refused():
    alice, bob = sides(alice=EVE)
    with pytest.raises(UnknownPeer):
        bob.on_hello(decode_hello(alice.hello(), NETWORK))


def test_the_responder_must_prove_itself_too():
    class Impostor:
        address = BOB.address
        sign = staticmethod(EVE.sign)

    alice, bob = sides(bob=Impostor())
    with pytest.raises(ImpostorKey):
        alice.on_welcome(bob.on_hello(decode_hello(alice.hello(), NETWORK)))


def test_a_proof_relayed_over_another_connection_is_worthless():
    """Eve sits between the two: the transport names her, not them."""
    alice, bob = sides(seen_bob=b"eve", seen_alice=b"eve")
    with pytest.raises(ImpostorKey):
        alice.on_welcome(bob.on_hello(decode_hello(alice.hello(), NETWORK)))


def test_our_own_nonce_sent_back_is_refused():
    alice, bob = sides()
    hello = decode_hello(alice.hello(), NETWORK)
    mirrored = Hello(hello.version, hello.network_id, hello.lane, hello.address, NONCES[1])
    with pytest.raises(ImpostorKey):
        bob.on_hello(mirrored)


def test_a_proof_for_one_lane_does_not_open_the_other():
    alice, bob = sides(lane=Lane.BULK)
    with pytest.raises(OtherVersion):
        bob.on_hello(decode_hello(alice.hello(), NETWORK))


def test_a_refusal_arrives_as_the_same_error_marked_as_told():
    alice, _ = sides()
    with pytest.raises(NotAdmitted, match="later") as caught:
        alice.on_welcome(encode_refusal(NotAdmitted("later")))
    assert caught.value.told


@given(st.binary(max_size=300))
def test_garbage_at_any_step_is_a_peer_error(data):
    alice, bob = sides()
    for step in (
        lambda: decode_hello(data, NETWORK),
        lambda: alice.on_welcome(data),
        lambda: alice.on_verdict(data),
        lambda: bob.on_proof(data),
    ):
        with pytest.raises(PeerError):
            step()


@given(st.integers(0, 400), st.integers(1, 255))
def test_one_altered_byte_of_the_welcome_never_passes(position, change):
    alice, bob = sides()
    welcome = bytearray(bob.on_hello(decode_hello(alice.hello(), NETWORK)))
    welcome[position % len(welcome)] ^= change
    with pytest.raises(PeerError):
        alice.on_welcome(bytes(welcome))
