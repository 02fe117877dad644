"""Direct messages: who can read what, in which order, and what a node or thief learns.

Rule: randomness comes from a seeded source, so that a failure repeats.
Spec: docs/spec/chat.md (Direct messages). Deviations: none.
"""

from __future__ import annotations

import json
import lzma
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat import limits
from chat.curve import agree, compute_public, decrypt, derive, encrypt
from chat.envelope import OpenDirectory, sign, verify
from chat.mailbox import (
    Mailbox,
    Sealed,
    compute_fingerprint,
    create_mailbox,
    decode_mailbox,
    encode_mailbox,
    make_bundle,
    renew_prekey,
    seal,
    unseal,
)
from chat.payload import DirectMessage, PrekeyBundle
from primitives.codec import decode, encode
from primitives.errors import InvalidMessage, LimitExceeded, PeerError
from tests.chat.network import ALICE, BOB, CAROL, DOMAIN, START_MS, Peer, sync


class Person:
    """A mailbox with its owner and seeded randomness."""

    def __init__(self, key, seed):
        self.key = key
        self.rng = random.Random(seed)
        self.box = renew_prekey(create_mailbox(key.address, self.dice), START_MS, self.dice)

    def dice(self, count):
        return self.rng.randbytes(count)

    @property
    def bundle(self):
        return make_bundle(self.box, DOMAIN, START_MS)

    def write(self, other, text):
        self.box, sealed = seal(self.box, other.key.address, text, other.bundle, self.dice)
        return sealed

    def read(self, other, sealed):
        self.box, opened = unseal(self.box, other.key.address, sealed, self.dice)
        return opened.text


def people(seed=1):
    return Person(ALICE, seed), Person(BOB, seed + 1), Person(CAROL, seed + 2)


def test_a_message_is_read_by_its_recipient_alone():
    alice, bob, carol = people()
    sealed = alice.write(bob, "for bob")
    assert b"for bob" not in sealed
    with pytest.raises(InvalidMessage):
        carol.read(alice, sealed)
    assert bob.read(alice, sealed) == "for bob"


def test_a_conversation_goes_back_and_forth():
    alice, bob, _ = people()
    for n in range(5):
        assert bob.read(alice, alice.write(bob, f"a{n}")) == f"a{n}"
        assert alice.read(bob, bob.write(alice, f"b{n}")) == f"b{n}"


def test_many_messages_before_the_first_answer_arrive_in_any_order():
    alice, bob, _ = people()
    sealed = [alice.write(bob, str(n)) for n in range(20)]
    order = list(range(20))
    random.Random(3).shuffle(order)
    assert [bob.read(alice, sealed[n]) for n in order] == [str(n) for n in order]


def test_a_message_is_read_once():
    alice, bob, _ = people()
    first, second = alice.write(bob, "one"), alice.write(bob, "two")
    assert bob.read(alice, second) == "two"
    assert bob.read(alice, first) == "one"
    for sealed in (first, second):
        with pytest.raises(InvalidMessage):
            bob.read(alice, sealed)


def test_an_opening_cannot_be_replayed_after_its_session_was_replaced():
    alice, bob, _ = people()
    first = alice.write(bob, "one")
    bob.read(alice, first)
    for _ in range(limits.SESSIONS_PER_PEER_MAX):
        alice.box = msgspec.structs.replace(alice.box, correspondents={})
        bob.read(alice, alice.write(bob, "again"))
    with pytest.raises(InvalidMessage, match="replay"):
        bob.read(alice, first)


def test_a_stolen_mailbox_does_not_read_what_was_read_before():
    alice, bob, _ = people()
    sealed = [alice.write(bob, f"past {n}") for n in range(3)]
    for item in sealed:
        bob.read(alice, item)
    thief = Person(BOB, 99)
    thief.box = decode_mailbox(encode_mailbox(bob.box))
    for item in sealed:
        with pytest.raises(InvalidMessage):
            thief.read(alice, item)


def test_a_conversation_heals_after_a_theft():
    alice, bob, _ = people()
    bob.read(alice, alice.write(bob, "hello"))
    alice.read(bob, bob.write(alice, "hello"))
    thief = Person(BOB, 99)
    thief.box = bob.box
    sealed = alice.write(bob, "overheard")
    assert thief.read(alice, sealed) == "overheard"
    bob.read(alice, sealed)
    alice.read(bob, bob.write(alice, "a turn with a new key"))
    healed = alice.write(bob, "private again")
    with pytest.raises(InvalidMessage):
        thief.read(alice, healed)
    assert bob.read(alice, healed) == "private again"


def test_both_may_begin_at_once():
    alice, bob, _ = people()
    from_alice, from_bob = alice.write(bob, "hi"), bob.write(alice, "hi too")
    assert bob.read(alice, from_alice) == "hi"
    assert alice.read(bob, from_bob) == "hi too"
    for n in range(4):
        assert bob.read(alice, alice.write(bob, f"a{n}")) == f"a{n}"
        assert alice.read(bob, bob.write(alice, f"b{n}")) == f"b{n}"


def test_the_opening_is_dropped_after_the_answer():
    alice, bob, _ = people()
    first = alice.write(bob, "one")
    assert decode(first, Sealed).opening is not None
    bob.read(alice, first)
    alice.read(bob, bob.write(alice, "answer"))
    assert decode(alice.write(bob, "two"), Sealed).opening is None


def test_a_new_identity_is_noticed():
    alice, bob, _ = people()
    bob.box, opened = unseal(bob.box, ALICE.address, alice.write(bob, "hi"), bob.dice)
    assert opened.is_new_identity
    bob.box, opened = unseal(bob.box, ALICE.address, alice.write(bob, "hi"), bob.dice)
    assert not opened.is_new_identity
    impostor = Person(ALICE, 77)
    bob.box, opened = unseal(bob.box, ALICE.address, impostor.write(bob, "hi"), bob.dice)
    assert opened.is_new_identity
    prints = {compute_fingerprint(compute_public(who.box.identity)) for who in (alice, impostor)}
    assert len(prints) == 2
    assert {len(text) for text in prints} == {71}


def test_a_prekey_is_replaced_after_a_week_and_forgotten_after_three_replacements():
    _, bob, _ = people()
    late = Person(ALICE, 5)
    old_bundle = bob.bundle
    late.box, sealed = seal(late.box, BOB.address, "late", old_bundle, late.dice)
    week = 7 * 86_400_000
    same = renew_prekey(bob.box, START_MS + week - 1, bob.dice)
    assert same == bob.box
    for n in range(1, 4):
        bob.box = renew_prekey(bob.box, START_MS + n * week, bob.dice)
    box = bob.box
    assert bob.read(late, sealed) == "late"
    bob.box = renew_prekey(box, START_MS + 4 * week, bob.dice)
    with pytest.raises(InvalidMessage, match="prekey"):
        bob.read(late, sealed)


def test_a_gap_beyond_the_limit_is_refused_and_changes_nothing():
    alice, bob, _ = people()
    bob.read(alice, alice.write(bob, "0"))
    sealed = [alice.write(bob, str(n)) for n in range(1, limits.SKIPPED_PER_STEP_MAX + 3)]
    before = bob.box
    with pytest.raises(LimitExceeded):
        bob.read(alice, sealed[-1])
    assert bob.box == before
    assert bob.read(alice, sealed[-2]) == str(limits.SKIPPED_PER_STEP_MAX + 1)
    assert bob.read(alice, sealed[0]) == "1"


def test_a_first_message_needs_the_bundle_of_its_recipient():
    alice, _, carol = people()
    for bundle in (None, carol.bundle):
        with pytest.raises(InvalidMessage):
            seal(alice.box, BOB.address, "hi", bundle, alice.dice)
    with pytest.raises(InvalidMessage):
        seal(alice.box, ALICE.address, "hi", alice.bundle, alice.dice)


def test_a_bundle_with_a_key_of_small_order_is_refused():
    alice, bob, _ = people()
    for weak in (bytes(32), b"\1" + bytes(31)):
        bad = msgspec.structs.replace(bob.bundle, prekey=weak)
        with pytest.raises(InvalidMessage):
            seal(alice.box, BOB.address, "hi", bad, alice.dice)


def test_mailboxes_survive_storage():
    alice, bob, _ = people()
    sealed = alice.write(bob, "kept")
    bob.box = decode_mailbox(encode_mailbox(bob.box))
    alice.box = decode_mailbox(encode_mailbox(alice.box))
    assert bob.read(alice, sealed) == "kept"
    assert isinstance(alice.box, Mailbox)
    with pytest.raises(InvalidMessage):
        decode_mailbox(b"\x90")


def test_lengths_are_hidden_within_64_bytes():
    alice, bob, _ = people()
    sizes = {len(decode(alice.write(bob, "x" * n), Sealed).ciphertext) for n in range(1, 64)}
    assert len(sizes) == 1


def test_the_longest_text_fits():
    alice, bob, _ = people()
    text = "€" * 2_000
    sealed = alice.write(bob, text)
    assert len(sealed) <= limits.SEALED_BYTES_MAX
    assert bob.read(alice, sealed) == text


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_any_interleaving_of_writing_losing_and_reordering_is_read_correctly(seed):
    rng = random.Random(seed)
    alice, bob, _ = people(seed)
    pair = (alice, bob)
    mail: dict[int, list[tuple[str, bytes]]] = {0: [], 1: []}
    for n in range(rng.randrange(5, 60)):
        who = rng.randrange(2)
        me, other = pair[who], pair[1 - who]
        action = rng.random()
        if action < 0.5:
            mail[1 - who].append((str(n), me.write(other, str(n))))
        elif mail[who]:
            text, sealed = mail[who].pop(rng.randrange(len(mail[who])))
            if action < 0.9:
                assert me.read(other, sealed) == text
                with pytest.raises(InvalidMessage):
                    me.read(other, sealed)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_changed_message_is_refused_and_changes_nothing(data):
    alice, bob, _ = people()
    if data.draw(st.booleans()):
        bob.read(alice, alice.write(bob, "first"))
        alice.read(bob, bob.write(alice, "answer"))
    sealed = bytearray(alice.write(bob, "hi"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    before = bob.box
    with pytest.raises(PeerError):
        bob.read(alice, bytes(sealed))
    assert bob.box == before


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_no_message(data):
    alice, bob, _ = people()
    with pytest.raises(PeerError):
        bob.read(alice, data)


# Over nodes


def test_a_direct_message_waits_on_every_node_for_its_recipient():
    alice, bob, _ = people()
    v0, v3 = Peer(b"v0"), Peer(b"v3")
    bundle = sign(bob.bundle, BOB)
    v0.post(bundle)
    known = v0.service.bundle(BOB.address, START_MS)
    proven = verify(known.envelope, DOMAIN, OpenDirectory()).payload
    assert isinstance(proven, PrekeyBundle)
    alice.box, sealed = seal(alice.box, BOB.address, "psst", proven, alice.dice)
    letter = DirectMessage(
        domain=DOMAIN,
        author=ALICE.address,
        time_ms=START_MS,
        delegation=None,
        to=BOB.address,
        sealed=sealed,
    )
    v0.post(sign(letter, ALICE))
    sync(v3, v0)
    assert v3.service.bundle(BOB.address, START_MS) == known
    assert v3.service.inbox(ALICE.address, 0, 10) == ()
    (item,) = v3.service.inbox(BOB.address, 0, 10)
    got = verify(item.envelope, DOMAIN, OpenDirectory()).payload
    assert bob.read(alice, got.sealed) == "psst"
    assert v3.service.inbox(BOB.address, START_MS, 10) == ()
    assert b"psst" not in item.payload


def test_the_newest_bundle_of_an_owner_counts_in_any_order():
    _, bob, _ = people()
    bundles = [sign(make_bundle(bob.box, DOMAIN, START_MS + n), BOB) for n in (0, 1, 2)]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        peer = Peer(b"v0")
        for n in order:
            peer.hear(encode(bundles[n]))
        assert peer.service.bundle(BOB.address, START_MS).time_ms == START_MS + 2


def test_an_expired_bundle_is_not_given_out():
    _, bob, _ = people()
    peer = Peer(b"v0")
    peer.post(sign(bob.bundle, BOB))
    assert peer.service.bundle(BOB.address, START_MS + limits.PREKEY_LIFETIME_MS_MAX - 1)
    assert peer.service.bundle(BOB.address, START_MS + limits.PREKEY_LIFETIME_MS_MAX) is None
    assert peer.service.prune(START_MS + limits.PREKEY_LIFETIME_MS_MAX + 1) == 1


def test_nobody_pushes_the_messages_of_others_out_of_an_inbox(monkeypatch):
    monkeypatch.setattr(limits, "AUTHOR_INBOX_MAX", 3)
    peer = Peer(b"v0")

    def letter(key, n):
        payload = DirectMessage(
            domain=DOMAIN,
            author=key.address,
            time_ms=START_MS + n,
            delegation=None,
            to=CAROL.address,
            sealed=b"x",
        )
        peer.hear(encode(sign(payload, key)))

    letter(ALICE, 0)
    for n in range(1, 10):
        letter(BOB, n)
    items = peer.service.inbox(CAROL.address, 0, 100)
    assert [item.author for item in items] == [ALICE.address] + [BOB.address] * 3
    assert [item.time_ms - START_MS for item in items] == [0, 7, 8, 9]


# Vectors


def read_wycheproof(data_dir, name):
    with lzma.open(data_dir / "vectors" / "wycheproof" / f"{name}_test.json.xz") as file:
        groups = json.load(file)["testGroups"]
    return [test for group in groups for test in group["tests"]]


@pytest.mark.data
def test_x25519_agrees_with_wycheproof(data_dir):
    """Keys of small order are refused; every other vector, twists included, gives its secret."""
    equal = 0
    for test in read_wycheproof(data_dir, "x25519"):
        secret, public, shared = (
            bytes.fromhex(test[name]) for name in ("private", "public", "shared")
        )
        if not any(shared):
            with pytest.raises(InvalidMessage):
                agree(secret, public)
            continue
        assert agree(secret, public) == shared
        equal += 1
    assert equal > 400


@pytest.mark.data
def test_hkdf_agrees_with_wycheproof(data_dir):
    tests = [t for t in read_wycheproof(data_dir, "hkdf_sha256") if t["result"] == "valid"]
    assert len(tests) > 80
    for test in tests:
        ikm, salt, info = (bytes.fromhex(test[name]) for name in ("ikm", "salt", "info"))
        assert derive(ikm, salt, info, test["size"]).hex() == test["okm"]


def test_encryption_is_bound_to_its_context():
    sealed = encrypt(b"k" * 32, b"text", b"context")
    assert decrypt(b"k" * 32, sealed, b"context") == b"text"
    with pytest.raises(InvalidMessage):
        decrypt(b"k" * 32, sealed, b"another")
