"""Openings leave when their commits are executed, and those that would cost the bond never wait.

Spec: docs/reference/api.md (Actions). Deviations: none.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from exchange.actions import (
    BUY,
    HOLD_QUOTE,
    IOC,
    POST_ONLY,
    Cancel,
    CancelAll,
    Commit,
    Open,
    Place,
    SignedAction,
    UseBuilder,
)
from exchange.reasons import Reason
from node.api.account_views import SubmitResult
from node.bundling import openings as room
from node.bundling.admission import Admission
from node.bundling.openings import Openings
from node.bundling.verifier import Verifier
from node.metrics import Metrics
from primitives.errors import TransientError
from tests.exchange.world import DOMAIN, World, make_genesis

SALT = b"\x07" * 32
SEALED = Place(0, BUY, 100, 3, IOC)


class Door:
    """The door of a node over a small exchange."""

    def __init__(self) -> None:
        self.world = World(make_genesis(mode="sealed"))
        self.world.fund("alice", "bob")
        self.queued: list[SignedAction] = []
        self.has_room = True
        ledger: Any = SimpleNamespace(state=self.world.state, scorekeeper=None)
        clock: Any = SimpleNamespace(now_ms=lambda: self.world.time_ms)
        bundles: Any = SimpleNamespace(submit=self._queue)
        verifier = Verifier(DOMAIN)
        admission = Admission(
            ledger=ledger,
            verifier=verifier,
            bundles=bundles,
            metrics=Metrics(version="0", network="test"),
            clock=clock,
            account_ops_per_s=100,
            is_on_record=self._is_on_record,
        )
        self.admission = admission
        self.openings = Openings(ledger, verifier, admission, clock)

    async def _is_on_record(self, action_id: bytes) -> bool:
        receipts = [receipt for block in self.world.outcomes for receipt in block.receipts]
        return any(receipt.action_id == action_id for receipt in receipts)

    def _queue(self, action_id: bytes, action: SignedAction) -> bool:
        if self.has_room:
            self.queued.append(action)
        return self.has_room

    def pair(
        self, *orders: Place, tier: int = 3, market: int = 0, salt: bytes = SALT
    ) -> tuple[SignedAction, SignedAction]:
        """A commit of alice's and its opening."""
        world = self.world
        world.nonce = nonce = max(world.nonce, world.time_ms) + 1
        orders = orders or (SEALED,)
        digest = world.hash_commit("alice", orders, SALT, nonce)
        commit = world.act("alice", Commit(0, HOLD_QUOTE, tier, digest), nonce=nonce)
        return commit, world.act("alice", Open(market, digest, orders, salt))

    async def submit(self, pair: tuple[SignedAction, SignedAction]) -> SubmitResult:
        return await self.openings.submit(*pair)

    def execute(self, *actions: SignedAction) -> None:
        self.openings.on_executed(self.world.block(*actions))


@pytest.fixture
def door() -> Door:
    return Door()


async def test_the_opening_follows_the_execution_of_its_commit(
    door: Door, nursery: trio.Nursery
) -> None:
    nursery.start_soon(door.openings.run)
    commit, opening = door.pair()
    assert (await door.submit((commit, opening))).accepted
    await trio.testing.wait_all_tasks_blocked()
    assert door.queued == [commit], "nothing is shown before the commit is in the chain"
    door.execute(commit)
    await trio.testing.wait_all_tasks_blocked()
    assert door.queued == [commit, opening]
    assert not len(door.openings)
    outcome = door.world.block(opening)
    assert outcome.receipts[0].statuses == [Reason.IOC_UNFILLED], "it took part in its batch"


async def test_orders_of_a_rejected_commit_are_never_shown(
    door: Door, nursery: trio.Nursery
) -> None:
    nursery.start_soon(door.openings.run)
    commit, opening = door.pair(tier=15)
    assert (await door.submit((commit, opening))).accepted, "only execution knows the balance then"
    door.execute(commit)
    await trio.testing.wait_all_tasks_blocked()
    assert door.queued == [commit]
    assert not len(door.openings)


async def test_a_busy_node_tries_again(
    door: Door, nursery: trio.Nursery, autojump_clock: object
) -> None:
    nursery.start_soon(door.openings.run)
    commit, opening = door.pair()
    await door.submit((commit, opening))
    door.has_room = False
    door.execute(commit)
    await trio.sleep(2 * room.RETRY_S)
    assert door.queued == [commit]
    door.has_room = True
    await trio.sleep(2 * room.RETRY_S)
    assert door.queued == [commit, opening]


async def test_a_pair_sent_again_after_its_commit_leaves_at_once(door: Door) -> None:
    commit, opening = door.pair()
    door.execute(commit)
    result = await door.submit((commit, opening))
    assert result.accepted
    assert door.queued == [opening]


async def test_an_executed_action_sent_again_is_not_called_refused(door: Door) -> None:
    world = door.world
    nonce = world.nonce = world.time_ms + 1
    first = world.act("bob", CancelAll(0), nonce=nonce)
    world.block(first)
    (again,) = await door.admission.submit((first,))
    assert again.accepted
    assert not door.queued, "it is in the ledger already"
    (other,) = await door.admission.submit((world.act("bob", Cancel(0, 1), nonce=nonce),))
    assert (other.accepted, other.code) == (False, "nonce_used")


async def test_a_pair_sent_twice_waits_once(door: Door, nursery: trio.Nursery) -> None:
    nursery.start_soon(door.openings.run)
    pair = door.pair()
    await door.submit(pair)
    await door.submit(pair)
    assert len(door.openings) == 1
    door.execute(pair[0])
    await trio.testing.wait_all_tasks_blocked()
    assert door.queued.count(pair[1]) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"salt": b"\x08" * 32}, "opening_mismatch"),
        ({"market": 1}, "opening_mismatch"),
        ({"market": 7}, "opening_mismatch"),
        ({"tier": 1}, "opening_over_tier"),
        ({"orders": (Place(0, BUY, 100, 3, POST_ONLY),)}, "opening_invalid"),
        ({"orders": (Place(1, BUY, 100, 3, IOC),)}, "opening_invalid"),
    ],
)
async def test_what_would_cost_the_bond_is_refused_before_the_commit_leaves(
    door: Door, change: dict[str, Any], code: str
) -> None:
    orders = change.pop("orders", ())
    result = await door.submit(door.pair(*orders, **change))
    assert (result.accepted, result.code) == (False, code)
    assert result.error
    assert not door.queued


async def test_an_opening_of_another_or_of_nothing_is_refused(door: Door) -> None:
    commit, opening = door.pair()
    op = door.openings  # the pair's parts in the wrong places, and another's opening
    assert (await op.submit(opening, commit)).code == "opening_mismatch"
    other = door.world.act("alice", UseBuilder(door.world.validators[0].address, 1))
    assert (await op.submit(commit, other)).code == "opening_mismatch"
    damaged = SignedAction(opening.payload, bytes(65))
    assert (await op.submit(commit, damaged)).code == "bad_signature"
    stranger = SignedAction(opening.payload, commit.signature)
    assert not (await op.submit(commit, stranger)).accepted
    assert not door.queued


async def test_the_number_of_waiting_openings_is_bounded(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "OPENINGS_WAITING_MAX", 2)
    await door.submit(door.pair())
    await door.submit(door.pair())
    with pytest.raises(TransientError):
        await door.submit(door.pair())
    door.world.time_ms += room.OPENING_WAIT_MS_MAX + 1
    door.execute()
    assert not len(door.openings), "a commit that never came is forgotten"
