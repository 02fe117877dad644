"""One account cannot take the whole node, and can always cancel.

Spec: docs/reference/api.md (Limits). Deviations: none.
"""

from __future__ import annotations

from exchange.actions import BUY, Cancel, Place
from node.bundling.account_limits import AccountLimits
from tests.exchange.world import World


def test_an_account_has_its_allowance_and_leaves_others_theirs() -> None:
    world, limits = World(), AccountLimits(ops_per_s=100)
    places = world.quick("alice", *[Place(0, BUY, 5, 1)] * 50)
    assert [limits.take(places, 0) for _ in range(5)] == [True] * 4 + [False]
    assert limits.take(world.quick("bob", Place(0, BUY, 5, 1)), 0)
    assert limits.take(places, 500)
    assert not limits.take(places, 500)


def test_cancels_are_not_held_up_by_placements() -> None:
    world, limits = World(), AccountLimits(ops_per_s=100)
    places = world.quick("alice", *[Place(0, BUY, 5, 1)] * 64)
    while limits.take(places, 0):
        pass
    assert limits.take(world.quick("alice", Cancel(0, 1)), 0)
    assert not limits.take(world.quick("alice", Cancel(0, 1), *places.ops[:63]), 0)
