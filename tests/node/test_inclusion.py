"""What waits too long is listed, what is in the chain or too late is not owed any more.

Rule: actions are really signed.
Spec: docs/spec/consensus.md (Inclusion duty); docs/spec/node.md (Inclusion). Deviations: none.
"""

from __future__ import annotations

import pytest

from exchange.actions import BUY, POST_ONLY, Cancel, CancelAll, Place, VerifiedAction, verify
from node.bundling import inclusion
from node.bundling.inclusion import InclusionWatch, needs_inclusion
from node.limits import INCLUSION_IDS_MAX
from tests.exchange.world import DOMAIN, START_MS, World

PATIENCE = 500
NOW = START_MS
LATER = NOW + PATIENCE
BUNDLE = b"b" * 32


def cancels(count: int, **options) -> tuple[VerifiedAction, ...]:
    world = World()
    return tuple(
        verify(world.act("alice", Cancel(0, number + 1), **options), DOMAIN)
        for number in range(count)
    )


def watching(*actions: VerifiedAction, now: int = NOW) -> InclusionWatch:
    watch = InclusionWatch(PATIENCE)
    watch.saw(actions, BUNDLE, now)
    return watch


def test_a_cancel_is_owed_and_a_placement_or_a_bad_signature_is_not() -> None:
    world = World()
    place = verify(world.act("alice", Place(0, BUY, 10, 1, POST_ONLY)), DOMAIN)
    mixed = verify(world.act("alice", Place(0, BUY, 10, 1, POST_ONLY), CancelAll(0)), DOMAIN)
    signed = world.act("alice", CancelAll(0))
    forged = verify((signed.payload, bytes(65)), DOMAIN)
    assert [needs_inclusion(a) for a in (place, mixed, forged)] == [False, True, False]
    assert forged.error


def test_an_id_is_pending_after_the_patience_and_not_before() -> None:
    (action,) = cancels(1)
    watch = watching(action)
    assert watch.pending_ids(LATER - 1) == ()
    assert watch.pending_ids(LATER) == (action.id,)
    watch.saw((action,), b"c" * 32, LATER)
    assert watch.pending_ids(LATER) == (action.id,)
    assert watch.bundles_with((action.id, b"?" * 32, action.id)) == (BUNDLE,)


def test_one_vote_lists_the_longest_waiting_ids_sorted() -> None:
    actions = cancels(INCLUSION_IDS_MAX + 3)
    ids = watching(*actions).pending_ids(LATER)
    assert ids == tuple(sorted(action.id for action in actions[:INCLUSION_IDS_MAX]))


def test_an_included_action_is_forgotten_and_never_pending_again() -> None:
    first, second = cancels(2)
    watch = watching(first, second)
    watch.included((first,), 1, LATER)
    watch.saw((first,), BUNDLE, LATER)
    assert watch.pending_ids(LATER) == (second.id,)
    assert watch.knows(first.id)
    assert watch.bundles_with((first.id,)) == ()


def test_restored_ids_count_as_included() -> None:
    (action,) = cancels(1)
    watch = InclusionWatch(PATIENCE)
    watch.restore((action.id,), 3)
    watch.saw((action,), BUNDLE, NOW)
    assert watch.pending_ids(LATER) == ()
    assert watch.unanswered((action.id,), (), NOW) == ()


def test_an_expired_action_is_neither_pending_nor_owed() -> None:
    (action,) = cancels(1, deadline=NOW + 1_000)
    watch = watching(action)
    assert watch.pending_ids(NOW + 999) == (action.id,)
    assert watch.pending_ids(NOW + 1_000) == ()
    assert watch.unanswered((action.id,), (), NOW + 1_000) == (action.id,)
    assert watch.unanswered((action.id,), (), NOW + 1_001) == ()
    watch.included((), 1, NOW + 1_001)
    assert not watch.knows(action.id)


def test_what_the_chain_or_the_block_holds_is_answered_and_the_unknown_is_not() -> None:
    included, held, missing = cancels(3)
    watch = watching(included, held, missing)
    watch.included((included,), 1, NOW)
    required = (included.id, held.id, missing.id, b"?" * 32)
    assert watch.unanswered(required, {held.id}, NOW) == (missing.id, b"?" * 32)


def test_both_memories_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inclusion, "INCLUSION_PENDING_IDS_MAX", 2)
    monkeypatch.setattr(inclusion, "INCLUSION_RECENT_IDS_MAX", 2)
    actions = cancels(3)
    watch = watching(*actions)
    assert len(watch.pending_ids(LATER)) == 2
    watch.included(actions, 1, NOW)
    assert [watch.knows(action.id) for action in actions] == [False, True, True]
