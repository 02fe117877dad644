"""What validators, and those who report them, do to the registry.

Rule: as in `deeds_ledger`.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from consensus.vote import Kind, compute_vote_digest
from contracts.artifact import selectors
from primitives.eip712 import StructType, typed_digest
from primitives.keccak import keccak256
from tests.contracts.harness import CHAIN_ID
from tests.contracts.stateful import deeds_ledger, deeds_vault
from tests.contracts.stateful.proofs import DOMAIN, ZERO
from tests.contracts.stateful.registry import STAKE_ADDED_MIN, STAKE_MIN, WEEK
from tests.contracts.stateful.scene import HOT_KEYS, OWNERS, THIEF, USERS, calldata
from tests.contracts.stateful.vault import DAY
from tests.contracts.stateful.world import World

HOT_KEY = StructType("HotKey(address owner,address registry,uint256 chainId)")
NAME = "ValidatorRegistry"
STAKES = (STAKE_MIN, STAKE_MIN, STAKE_MIN * 7 + 13, STAKE_MIN - 1, STAKE_MIN + 19)


def _play(world: World, sender: bytes, data: bytes, act) -> bool:
    """A message to the registry; the sums must fit after it."""
    done = world.play(sender, world.scene.registry, data, act)
    world.check_registry(sender)
    return done


def _proof(world: World, owner: bytes, key: int) -> tuple[bytes, bool]:
    """A hot key's consent, or somebody else's."""
    good = world.chance(0.85)
    signer = HOT_KEYS[key if good else (key + 1) % len(HOT_KEYS)]
    digest = HOT_KEY.hash(owner, world.scene.registry, CHAIN_ID)
    return signer.sign(typed_digest(DOMAIN, digest)), good


def register(world: World) -> None:
    """Join, or try to."""
    registry = world.model.registry
    outside = [owner for owner in OWNERS if not registry.is_registered(owner)]
    owner = world.dice.choice(outside if outside and world.chance(0.8) else OWNERS)
    key, amount = world.dice.randrange(12), world.dice.choice(STAKES)
    proof, good = _proof(world, owner, key)
    services = world.dice.choice((1, 7, 7, 8))
    data = calldata(NAME, "register", amount, HOT_KEYS[key].address, ZERO, services, proof)
    act = lambda: registry.register(owner, amount, key, services, good)  # noqa: E731
    _play(world, owner, data, act)


def add_stake(world: World) -> None:
    """Add to anybody's stake."""
    owner, payer = world.dice.choice(OWNERS), world.dice.choice(USERS).address
    amount = world.dice.choice((STAKE_ADDED_MIN, STAKE_ADDED_MIN - 1, 10**21 + 7))
    data = calldata(NAME, "addStake", owner, amount)
    _play(world, payer, data, lambda: world.model.registry.add_stake(payer, owner, amount))


def change_key(world: World) -> None:
    """Rotate a hot key."""
    owner, key = world.dice.choice(OWNERS), world.dice.randrange(12)
    proof, good = _proof(world, owner, key)
    data = calldata(NAME, "changeHotKey", HOT_KEYS[key].address, proof)
    _play(world, owner, data, lambda: world.model.registry.change_key(owner, key, good))


def change_payout(world: World) -> None:
    """Be paid on another ledger account, or on none."""
    owner = world.dice.choice(OWNERS)
    payout = world.dice.choice((THIEF, *(user.address for user in USERS), bytes(20)))
    data = calldata(NAME, "changePayout", payout)
    _play(world, owner, data, lambda: world.model.registry.change_payout(owner, payout))


def change_services(world: World) -> None:
    """Offer other services from another network identity; some do not exist."""
    owner, services = world.dice.choice(OWNERS), world.dice.choice((0, 1, 6, 7, 8, 2**32 - 1))
    network_key = keccak256(world.dice.randbytes(8))
    data = calldata(NAME, "changeServices", network_key, services)
    act = lambda: world.model.registry.change_services(owner, network_key, services)  # noqa: E731
    _play(world, owner, data, act)


def request_exit(world: World) -> None:
    """Ask to leave; at least four stay."""
    registry = world.model.registry
    owner = world.dice.choice(OWNERS)
    data = selectors(NAME)["requestExit"]
    _play(world, owner, data, lambda: registry.request_exit(owner))


def leave(world: World) -> None:
    """Ask to leave, see committees change, and come for the stake too early."""
    request_exit(world)
    for _ in range(1 + world.dice.randrange(2)):
        deeds_ledger.end_epoch(world)
    deeds_vault.follow(world, world.main)
    withdraw_stake(world)


def withdraw_stake(world: World) -> None:
    """Take a stake out, too early or at the first second."""
    registry = world.model.registry
    leaving = [owner for owner in OWNERS if world.model.cells.get("exiting", owner)]
    owner = world.dice.choice(leaving if leaving and world.chance(0.8) else OWNERS)
    at = registry.exit_at(owner)
    if at and world.chance(0.3) and at - world.ground.now < 3 * DAY:
        world.ground.now = max(world.ground.now, at - world.dice.randrange(2))
    data = selectors(NAME)["withdrawStake"]
    _play(world, owner, data, lambda: registry.withdraw(owner))


def report(world: World) -> None:
    """Report two votes of a key that conflict, or do not."""
    key = world.dice.choice((0, 1, 2, 2, 3, 3, 3, 4, 7)) if world.chance(0.9) else 15
    epoch, view = 1, 1 + world.dice.randrange(2)
    first, second, flaw = _votes(world)
    views = (view, view + (flaw == "views"))
    votes, signatures = [], []
    for (kind, block), number in zip((first, second), views, strict=True):
        signer = HOT_KEYS[key if not votes or flaw != "keys" else (key + 1) % 16]
        digest = compute_vote_digest(DOMAIN, kind, epoch, number, block, ())
        votes.append((int(kind), epoch, number, block, ZERO))
        signatures.append(signer.sign(digest))
    data = calldata(NAME, "reportEquivocation", votes[0], signatures[0], votes[1], signatures[1])
    reason = "NoEquivocation" if flaw else ""
    act = lambda: world.model.registry.report(THIEF, key, epoch, view, reason)  # noqa: E731
    if _play(world, THIEF, data, act):
        assert not _play(world, THIEF, data, act), "punished twice"


def report_two(world: World) -> None:
    """Two validators offend at about the same time, which makes the first one's penalty rise."""
    registry, epoch, view = world.model.registry, 1, 3 + world.dice.randrange(20)
    keys = [world.model.cells.get("hot key", owner) - 1 for owner in OWNERS]
    bonded = [key for key in keys if key >= 0 and registry.get("stake", registry.owner_of(key))]
    if len(bonded) < 2:
        return
    first, second = world.dice.sample(bonded, 2)
    week = world.ground.now // WEEK
    for key in (first, second):
        assert _report(world, key, epoch, view), "an offence is not punished"
    _raise(world, registry.owner_of(first), week)


def _report(world: World, key: int, epoch: int, view: int) -> bool:
    """Two finalize votes of a key for different blocks."""
    votes, signatures = [], []
    for block in (keccak256(b"one"), keccak256(b"two")):
        digest = compute_vote_digest(DOMAIN, Kind.FINALIZE, epoch, view, block, ())
        votes.append((int(Kind.FINALIZE), epoch, view, block, ZERO))
        signatures.append(HOT_KEYS[key].sign(digest))
    data = calldata(NAME, "reportEquivocation", votes[0], signatures[0], votes[1], signatures[1])
    if world.model.registry.get("punished", key, epoch, view):
        return True
    act = lambda: world.model.registry.report(THIEF, key, epoch, view, "")  # noqa: E731
    return _play(world, THIEF, data, act)


def _votes(world: World):
    """Two votes, and what keeps them from being an offence."""
    one, two = keccak256(b"one"), keccak256(b"two")
    return world.dice.choice(
        (
            ((Kind.NOTARIZE, one), (Kind.NOTARIZE, two), ""),
            ((Kind.FINALIZE, one), (Kind.FINALIZE, two), ""),
            ((Kind.FINALIZE, one), (Kind.FINALIZE, two), ""),
            ((Kind.NULLIFY, ZERO), (Kind.FINALIZE, two), ""),
            ((Kind.FINALIZE, one), (Kind.NULLIFY, ZERO), ""),
            ((Kind.FINALIZE, one), (Kind.FINALIZE, one), "same"),
            ((Kind.NULLIFY, ZERO), (Kind.NULLIFY, one), "nullify"),
            ((Kind.NOTARIZE, one), (Kind.FINALIZE, two), "kinds"),
            ((Kind.NOTARIZE, one), (Kind.NULLIFY, ZERO), "kinds"),
            ((Kind.FINALIZE, one), (Kind.FINALIZE, two), "views"),
            ((Kind.FINALIZE, one), (Kind.FINALIZE, two), "keys"),
        )
    )


def raise_penalty(world: World) -> None:
    """Raise a penalty after others were convicted; a second time it is what it has to be."""
    week = world.ground.now // WEEK - world.dice.choice((0, 0, 1, 2))
    cells = world.model.cells
    guilty = [owner for owner in OWNERS if cells.get("convicted", week, owner)]
    _raise(world, world.dice.choice(guilty if guilty and world.chance(0.8) else OWNERS), week)


def _raise(world: World, owner: bytes, week: int) -> None:
    """Raise one penalty, and try it again."""
    registry = world.model.registry
    data = calldata(NAME, "raisePenalty", owner, week)
    act = lambda: registry.raise_penalty(THIEF, owner, week)  # noqa: E731
    if _play(world, THIEF, data, act):
        assert not _play(world, THIEF, data, act), "raised twice"


def follow_vault(world: World) -> None:
    """Let the registry follow the successor."""
    data = selectors(NAME)["followSettlement"]
    _play(world, THIEF, data, world.model.registry.follow)


def follow_minter(world: World) -> None:
    """Let the successor mint."""
    data = selectors("OmniCoin")["followMinter"]
    world.play(THIEF, world.scene.xom, data, world.model.follow_minter)
