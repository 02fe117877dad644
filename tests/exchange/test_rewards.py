"""Block rewards: what the rewards account has is shared like fees, to the atom."""

from __future__ import annotations

from exchange.ledger import REWARDS
from exchange.operations import Transfer, encode_amount
from tests.exchange.world import BASE, QUOTE, World, make_genesis, make_key

PAYOUTS = [bytes([0xB0 + i]) * 20 for i in range(4)]
WEIGHTS = (1, 2, 3, 5)


def make_world() -> World:
    """A ledger with a checkpoint every four blocks and four payout accounts."""
    world = World(make_genesis(mode="fair", checkpoint_interval=4))
    world.fund("a")
    world.committee = tuple(
        (v.address, w, p) for v, w, p in zip(world.validators, WEIGHTS, PAYOUTS, strict=True)
    )
    return world


def to_checkpoint(world: World) -> None:
    """Go on to the next checkpoint."""
    world.block()
    while not world.outcomes[-1].is_checkpoint:
        world.block()


def got(world: World, asset: int) -> list[int]:
    """What the payout accounts have."""
    accounts = [world.state.by_address.get(payout) for payout in PAYOUTS]
    balances = [account and account.get_balance(0, asset) for account in accounts]
    return [balance.free if balance else 0 for balance in balances]


def left(world: World, asset: int, sub: int = 0) -> int:
    """What waits on the rewards account."""
    balance = world.state.by_address[REWARDS].get_balance(sub, asset)
    assert balance is not None
    return balance.free


def test_rewards_are_shared_by_weight_and_remainders_wait() -> None:
    world = make_world()
    world.committee = tuple((v.address, 1, v.address) for v in world.validators)
    world.block(*world.attest((REWARDS, BASE, 1_103)))
    world.committee = tuple(
        (v.address, w, p) for v, w, p in zip(world.validators, WEIGHTS, PAYOUTS, strict=True)
    )
    to_checkpoint(world)
    assert got(world, BASE) == [100, 200, 300, 501]
    assert left(world, BASE) == 2
    to_checkpoint(world)
    assert left(world, BASE) == 2  # too little to share


def test_gifts_to_the_rewards_account_are_shared_too() -> None:
    world = make_world()
    gift = Transfer(QUOTE, encode_amount(1_100), REWARDS, 3)
    world.block(world.act("a", gift))
    to_checkpoint(world)
    assert got(world, QUOTE) == [100, 200, 300, 500]
    assert left(world, QUOTE, 3) == 0


def test_validator_paid_to_the_rewards_account_changes_nothing() -> None:
    world = make_world()
    world.committee = tuple((v.address, 1, REWARDS) for v in world.validators)
    world.block(world.act("a", Transfer(QUOTE, encode_amount(1_000), REWARDS, 0)))
    to_checkpoint(world)
    assert left(world, QUOTE) == 1_000


def test_without_rewards_nothing_is_shared() -> None:
    world = make_world()
    to_checkpoint(world)
    assert got(world, BASE) == [0, 0, 0, 0]
    assert world.balance("a", BASE)[0] == 10**12
    assert make_key("a").address in world.state.by_address
