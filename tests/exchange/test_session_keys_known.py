"""Session keys cost nothing to grant: an account has few, and ended ones are forgotten."""

from __future__ import annotations

from exchange.actions import Cancel, CancelAll, Grant, Place, Revoke, SignedAction, encode_amount
from exchange.limits import GRANT_KEPT_MS, GRANTS_PER_ACCOUNT_MAX
from exchange.outcome import Outcome
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from primitives.secp256k1 import PrivateKey
from tests.exchange.world import World, make_genesis, make_key

HOUR_MS = 3_600_000
GENESIS = make_genesis(checkpoint_interval=4, actions_per_account_block=64)
TRADING = 0b11111110


def make_world() -> World:
    world = World(GENESIS)
    world.fund("a", "b")
    world.nonce = world.time_ms
    return world


def grant(world: World, key: PrivateKey, *, owner: str = "a", cancel: bool = False) -> SignedAction:
    expiry = world.time_ms + HOUR_MS
    return world.act(owner, Grant(key.address, expiry, TRADING, (), encode_amount(0), cancel))


def fill(world: World) -> list[SignedAction]:
    """Grants until the account has as many keys as it may."""
    return [grant(world, PrivateKey(bytes([n + 1] * 32))) for n in range(GRANTS_PER_ACCOUNT_MAX)]


def pass_time(world: World, ms: int) -> None:
    """Let time pass and a checkpoint come."""
    world.block(gap_ms=ms)
    for _ in range(GENESIS.checkpoint_interval):
        world.block()
    world.nonce = world.time_ms


def statuses(outcome: Outcome) -> list[int]:
    return [receipt.statuses[0] for receipt in outcome.receipts]


def test_an_account_has_a_bounded_number_of_known_keys_and_ended_ones_count() -> None:
    world = make_world()
    late, ended = make_key("late"), PrivateKey(bytes([1] * 32)).address
    assert set(statuses(world.block(*fill(world)))) == {Reason.OK}
    outcome = world.block(
        grant(world, late), world.act("a", Revoke(ended)), grant(world, late), grant(world, late)
    )
    full = Reason.TOO_MANY_KEYS
    assert statuses(outcome) == [full, Reason.OK, full, full]
    assert statuses(world.block(grant(world, late, owner="b"))) == [Reason.OK]
    pass_time(world, HOUR_MS + GRANT_KEPT_MS)
    assert len(world.state.keys) == 0
    assert statuses(world.block(grant(world, late))) == [Reason.OK]


def test_an_ended_key_is_forgotten_eight_days_after_its_end_and_not_before() -> None:
    world = make_world()
    key = make_key("session")
    world.block(grant(world, key), world.act("a", Revoke(key.address)))
    again = grant(world, key)
    assert statuses(world.block(again, again)) == [Reason.KEY_USED_BEFORE, Reason.NONCE_USED]
    pass_time(world, GRANT_KEPT_MS - 2_000)  # the revocation ended it, not the hour of its grant
    assert statuses(world.block(grant(world, key))) == [Reason.KEY_USED_BEFORE]
    late = world.act(key, CancelAll(0), account=make_key("a").address)
    assert statuses(world.block(late)) == [Reason.KEY_REVOKED]
    pass_time(world, 2_000)
    late = world.act(key, CancelAll(0), account=make_key("a").address)
    assert statuses(world.block(late)) == [Reason.UNKNOWN_KEY]
    assert statuses(world.block(again)) == [Reason.DEADLINE_PASSED]


def test_orders_outlive_their_forgotten_key_and_numbers_are_never_used_again() -> None:
    world = make_world()
    first, second = make_key("first"), make_key("second")
    world.block(grant(world, first, cancel=True))
    owner = make_key("a").address
    placed = world.block(world.act(first, Place(0, 0, 900, 5), account=owner))
    number = placed.receipts[0].orders[0]
    pass_time(world, HOUR_MS + GRANT_KEPT_MS)
    assert not world.state.keys
    world.block(grant(world, second, cancel=True))
    assert world.state.keys[second.address].number == 2
    restored = restore(GENESIS, snapshot(world.state))
    assert snapshot(restored) == snapshot(world.state)
    assert restored.next_key == 3
    world.state = restored
    outcome = world.block(world.act("a", Revoke(second.address)))
    assert number in world.state.markets[0].book.orders, "the order of another key stays"
    assert statuses(outcome) == [Reason.OK]
    assert statuses(world.block(world.act("a", Cancel(0, number)))) == [Reason.OK]
