"""The verdict on a block follows from the bundles and the chain alone.

Rule: ledger, pool, watch and fetch are the node's own; actions are really signed.
Spec: docs/spec/consensus.md (Application). Deviations: none.
"""

from __future__ import annotations

import hashlib

import pytest

from consensus.application import Verdict
from exchange.actions import BUY, POST_ONLY, CancelAll, Place, SignedAction, encode_bundle, verify
from node.blocks import application as application_module
from node.blocks.application import ChainApplication
from node.bundling.bundle_fetch import BundleFetch
from node.bundling.bundle_pool import BundlePool
from node.bundling.inclusion import InclusionWatch
from node.replica.ledger import Ledger
from tests.consensus.desk import Desk
from tests.exchange.world import DOMAIN, START_MS, World

NOW = START_MS
ORIGIN = b"\x01" * 20


class Room:
    """One node's application and the bundles a test gives it."""

    def __init__(self) -> None:
        self.world, self.desk = World(), Desk()
        self.desk.now = NOW
        self.pool, self.watch = BundlePool(), InclusionWatch(500)
        self.bundles, self.actions = BundleFetch(), BundleFetch()
        ledger = Ledger(self.world.genesis, self.world.committee)
        self.app = ChainApplication(ledger, self.pool, self.watch, self.bundles, self.actions)

    def cancel(self) -> tuple[SignedAction, bytes]:
        action = self.world.act("alice", CancelAll(0))
        return action, verify(action, DOMAIN).id

    def place(self) -> SignedAction:
        return self.world.act("alice", Place(0, BUY, 10, 1, POST_ONLY))

    def give(self, *actions: SignedAction, checked: bool = True) -> bytes:
        bundle = self.pool.add(encode_bundle(actions), ORIGIN, NOW, is_asked_for=False)
        assert bundle is not None
        if checked:
            bundle.actions = tuple(verify(action, DOMAIN) for action in actions)
            self.watch.saw(bundle.actions, bundle.digest, NOW)
        return bundle.digest

    def judge(self, *digests: bytes, required=(), ancestors=()) -> Verdict:
        block = self.desk.block(1, bundles=digests)
        return self.app.check_inclusion(block, ancestors, required)


@pytest.fixture
def room() -> Room:
    return Room()


def test_a_block_of_held_bundles_is_valid(room: Room) -> None:
    assert room.judge() is Verdict.VALID
    assert room.judge(room.give(room.place()), room.give(room.place())) is Verdict.VALID


def test_a_missing_bundle_is_wanted_and_the_block_waits(room: Room) -> None:
    digest = hashlib.sha256(b"elsewhere").digest()
    assert room.judge(digest) is Verdict.NOT_YET
    assert room.bundles.is_wanted(digest)
    assert not room.app.holds_bundles((digest,))


def test_a_bundle_twice_is_invalid_wherever_the_first_one_is(room: Room) -> None:
    digest = room.give(room.place())
    assert room.judge(digest, digest) is Verdict.INVALID
    parent = room.desk.block(1, bundles=(digest,))
    assert room.judge(digest, ancestors=(parent,)) is Verdict.INVALID
    room.pool.mark_included((digest,), 1)
    assert room.judge(digest) is Verdict.INVALID


def test_too_many_bytes_are_invalid(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = room.give(room.place())
    monkeypatch.setattr(application_module, "BLOCK_BYTES_MAX", 10)
    assert room.judge(digest) is Verdict.INVALID


def test_a_required_id_must_be_carried_by_the_block_or_its_ancestors(room: Room) -> None:
    action, action_id = room.cancel()
    digest, other = room.give(action), room.give(room.place())
    assert room.judge(other, required=(action_id,)) is Verdict.INVALID
    assert room.judge(digest, required=(action_id,)) is Verdict.VALID
    parent = room.desk.block(1, bundles=(digest,))
    assert room.judge(other, required=(action_id,), ancestors=(parent,)) is Verdict.VALID


def test_an_unknown_required_id_is_looked_for(room: Room) -> None:
    assert room.judge(required=(b"?" * 32,)) is Verdict.NOT_YET
    assert room.actions.is_wanted(b"?" * 32)
    assert room.app.propose_bundles((), (b"?" * 32,), NOW) is None


def test_an_unchecked_bundle_says_nothing_of_required_ids(room: Room) -> None:
    action, action_id = room.cancel()
    digest = room.give(action, checked=False)
    assert room.judge(digest) is Verdict.VALID
    assert room.judge(digest, required=(action_id,)) is Verdict.NOT_YET


def test_a_final_or_expired_required_id_is_owed_no_more(room: Room) -> None:
    action, action_id = room.cancel()
    digest = room.give(action)
    bundle = room.pool.get(digest)
    assert bundle is not None
    assert bundle.actions is not None
    room.watch.included(bundle.actions, 1, NOW)
    room.pool.mark_included((digest,), 1)
    assert room.judge(required=(action_id,)) is Verdict.VALID
    late = room.world.act("alice", CancelAll(0), deadline=NOW - 1)
    room.give(late)
    assert room.judge(required=(verify(late, DOMAIN).id,)) is Verdict.VALID


def test_what_it_proposes_it_would_vote_for(room: Room) -> None:
    action, action_id = room.cancel()
    first, owed = room.give(room.place()), room.give(action)
    assert room.app.has_work()
    assert room.app.pending_ids(NOW + 500) == (action_id,)
    chosen = room.app.propose_bundles((), (action_id,), NOW)
    assert chosen == (owed, first)
    assert room.judge(*chosen, required=(action_id,)) is Verdict.VALID
    parent = room.desk.block(1, bundles=(owed,))
    assert room.app.propose_bundles((parent,), (action_id,), NOW) == (first,)
