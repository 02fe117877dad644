"""Nonces in any order are used once; deadlines and times bound what can be replayed."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from exchange.accounts import use_nonce
from exchange.actions import CancelAll, Transfer, encode_amount, verify
from exchange.limits import (
    DEADLINE_AFTER_NONCE_MS_MAX,
    NONCE_FUTURE_MS_MAX,
    NONCE_PAST_MS_MAX,
    NONCES_KEPT,
)
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from tests.conftest import soak_factor
from tests.exchange.world import DOMAIN, QUOTE, World, make_genesis, make_key

DAY_MS = 86_400_000
NEAR = st.integers(-2, 2)


@settings(max_examples=150 * soak_factor(), deadline=None)
@given(st.lists(st.integers(0, 260), max_size=320), st.integers(0, 200))
def test_no_nonce_is_ever_accepted_twice_in_whatever_order_they_come(
    nonces: list[int], ahead: int
) -> None:
    window: list[int] = []
    accepted: set[int] = set()
    for nonce in [*nonces, *range(ahead), *nonces]:
        kept = sorted(accepted)[-NONCES_KEPT:]
        if nonce in kept:
            expected = Reason.NONCE_USED
        elif len(kept) == NONCES_KEPT and nonce < kept[0]:
            expected = Reason.NONCE_TOO_OLD
        else:
            expected = Reason.OK
        assert use_nonce(window, nonce) == expected
        if expected == Reason.OK:
            assert nonce not in accepted
            accepted.add(nonce)
        assert window == sorted(accepted)[-NONCES_KEPT:]


@settings(max_examples=120 * soak_factor(), deadline=None)
@given(
    st.sampled_from((-NONCE_PAST_MS_MAX, -DAY_MS, 0, NONCE_FUTURE_MS_MAX)),
    NEAR,
    st.sampled_from((-DAY_MS, 0, DEADLINE_AFTER_NONCE_MS_MAX)),
    NEAR,
)
@example(-NONCE_PAST_MS_MAX, 0, DEADLINE_AFTER_NONCE_MS_MAX, 0)
@example(NONCE_FUTURE_MS_MAX, 0, DEADLINE_AFTER_NONCE_MS_MAX, 0)
def test_times_are_judged_by_the_block_to_the_millisecond(
    age: int, near: int, life: int, off: int
) -> None:
    world = World(make_genesis())
    world.fund("ann")
    now = world.time_ms + 100
    nonce = now + age + near
    deadline = nonce + life + off
    if deadline < now:
        expected = Reason.DEADLINE_PASSED
    elif deadline > nonce + DEADLINE_AFTER_NONCE_MS_MAX:
        expected = Reason.DEADLINE_TOO_FAR
    elif not now - NONCE_PAST_MS_MAX <= nonce <= now + NONCE_FUTURE_MS_MAX:
        expected = Reason.NONCE_OUT_OF_WINDOW
    else:
        expected = Reason.OK
    action = world.act("ann", CancelAll(0), nonce=nonce, deadline=deadline)
    first = world.block(action).receipts[0].statuses
    assert first == [expected]
    world.state = restore(world.genesis, snapshot(world.state))
    again = world.block(action).receipts[0].statuses
    assert again != [Reason.OK] or expected == Reason.NONCE_OUT_OF_WINDOW


def test_only_the_wallet_moves_funds_between_its_sub_accounts() -> None:
    own = make_key("ann").address
    world = World(make_genesis())
    world.fund("ann", quote=1_000)
    there = world.act("ann", Transfer(QUOTE, encode_amount(400), own, 127))
    back = world.act("ann", Transfer(QUOTE, encode_amount(150), own, 3), sub=127)
    assert [r.statuses for r in world.block(there, back).receipts] == [[Reason.OK]] * 2
    assert [world.balance("ann", QUOTE, sub)[0] for sub in (0, 3, 127)] == [600, 150, 250]
    by_key = world.act("session", Transfer(QUOTE, encode_amount(1), own, 1), account=own)
    assert verify(by_key, DOMAIN).error == Reason.NEEDS_WALLET


@settings(max_examples=60 * soak_factor(), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 127), st.integers(0, 127), st.integers(0, 700)), max_size=12)
)
def test_transfers_between_own_sub_accounts_keep_every_atom(
    moves: list[tuple[int, int, int]],
) -> None:
    own = make_key("ann").address
    world = World(make_genesis())
    world.fund("ann", quote=1_000)
    model = {0: 1_000}
    for source, target, amount in moves:
        op = Transfer(QUOTE, encode_amount(amount), own, target)
        status = world.block(world.act("ann", op, sub=source)).receipts[0].statuses[0]
        if amount == 0 or source == target:
            assert status == Reason.BAD_TRANSFER
        elif model.get(source, 0) < amount:
            assert status == Reason.INSUFFICIENT_FUNDS
        else:
            assert status == Reason.OK
            model[source] -= amount
            model[target] = model.get(target, 0) + amount
    assert {sub: world.balance("ann", QUOTE, sub)[0] for sub in model} == model
    assert sum(model.values()) == 1_000
