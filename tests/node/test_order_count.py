"""Orders are counted once, when their end is known.

Rule: blocks are executed by the real exchange.
Spec: docs/reference/metrics.md. Deviations: none.
"""

from __future__ import annotations

from exchange.actions import BUY, IOC, POST_ONLY, SELL, CancelClient, Commit, Place, verify
from node.replica.order_count import OrderCount
from tests.exchange.world import DOMAIN, World


def count(world, counter, *actions):
    verified = tuple(verify(action, DOMAIN) for action in actions)
    return counter.apply(verified, world.block(*verified))


def test_places_cancels_and_hidden_orders_count_and_rejected_ones_are_apart():
    world, counter = World(), OrderCount()
    world.fund("alice", "bob")
    rest = Place(0, SELL, 1_000, 5, POST_ONLY, client_id=1)
    assert count(world, counter, world.act("alice", rest, rest)) == (1, 1)
    hidden = (Place(0, BUY, 1_000, 2, IOC),)
    nonce, salt = world.nonce + 1, b"s" * 32
    commit_hash = world.hash_commit("bob", hidden, salt, nonce)
    commit = world.act("bob", Commit(0, 0, 6, commit_hash), nonce=nonce)
    assert count(world, counter, commit, world.act("alice", CancelClient(0, 9))) == (0, 1)
    waiting = world.act("alice", Place(0, SELL, 1_001, 5, POST_ONLY))
    opening = world.act("bob", world.opening(commit_hash, hidden, salt), nonce=nonce + 2)
    assert count(world, counter, waiting, opening) == (2, 0)
    assert (counter.accepted, counter.rejected) == (3, 2)
    assert count(world, counter, opening) == (0, 1)
