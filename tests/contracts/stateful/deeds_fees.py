"""What is paid out of fees and rewards: shares, treasuries and their seats, the minted reward.

Rule: as in `deeds_ledger`.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from contracts.artifact import selectors
from primitives.abi import encode_words
from tests.contracts.stateful import deeds_claims, deeds_tokens, deeds_vault
from tests.contracts.stateful.scene import RELAYER, THIEF
from tests.contracts.stateful.vault import DAY, NOBODY, TREASURIES, Vault
from tests.contracts.stateful.world import World


def settle(world: World) -> None:
    """Pay fee shares that could not be paid before."""
    vault, token = world.vault(), world.token()
    due = [t for t in world.book.tokens if vault.get("certified", t) != vault.get("settled", t)]
    bring_settle(world, vault, world.dice.choice(due) if due and world.chance(0.7) else token)


def bring_settle(world: World, vault: Vault, token: bytes) -> bool:
    """Settle one token's fees."""
    data = selectors("Settlement")["settleFees"] + encode_words(token)
    return world.send(vault, data, lambda: vault.settle(token), token)


def claim_fees(world: World) -> None:
    """Pay a treasury, and ask for the same once more."""
    vault, which, token = world.vault(), world.dice.randrange(2), world.token()
    full = [
        (number, one)
        for one in world.book.tokens
        for number in range(2)
        if world.model.cells.get(vault.distributor, "claimable", number, one)
    ]
    if full and world.chance(0.8):
        which, token = world.dice.choice(full)
    if _claim(world, vault, which, token):
        assert not _claim(world, vault, which, token), "a treasury is paid twice"


def _claim(world: World, vault: Vault, which: int, token: bytes) -> bool:
    """Ask a distributor to pay."""
    data = selectors("FeeDistributor")["claim"] + encode_words(which, token)
    act = lambda: world.model.claim_fees(vault, which, token)  # noqa: E731
    return world.play(THIEF, vault.distributor, data, act, tokens=(token,))


def charge_a_failing_token(world: World) -> None:
    """A checkpoint whose fees cannot be paid now; it is taken, and they are paid later."""
    vault = world.main
    barring = world.chance(0.3)
    token = world.scene.tokens["BAR" if barring else "EVIL"]
    asset = world.book.tokens.index(token)
    full = [e for es in world.book.entries.values() for e in es if e[1] == asset and e[2] >= 10]
    if not full:
        return
    world.book.charge(world.dice.choice(full), 10)
    deeds_tokens.misbehave(world, token, vault)
    deeds_vault.follow(world, vault)
    deeds_vault.bring_checkpoint(world, vault, deeds_vault.new_checkpoint(world))
    deeds_tokens.tame(world)
    if world.chance(0.5):
        bring_settle(world, vault, token)


def overdraw(world: World) -> None:
    """The committee certifies more than there is; the vault pays no more than it owes."""
    vault = world.main
    leaf = world.book.overdraw(world.token(), world.user())
    deeds_vault.follow(world, vault)
    known = deeds_vault.new_checkpoint(world)
    if deeds_vault.bring_checkpoint(world, vault, known):
        paid = deeds_claims.bring_claim(world, vault, known.root, leaf.index)
        assert not paid, "the vault pays more than it owes"


def wait_for_reward(world: World) -> None:
    """Checkpoints just before a reward is due, and from then on."""
    vault = world.main
    deeds_vault.follow(world, vault)
    if vault.get("rewarded at"):
        due = vault.get("rewarded at") + DAY
        world.ground.now = max(world.ground.now, due - world.dice.choice((0, 1, 1, 3600)))
    for _ in range(2):
        deeds_vault.bring_checkpoint(world, vault, deeds_vault.new_checkpoint(world))


def propose_treasury(world: World) -> None:
    """A treasury names who may follow it, or somebody else tries to."""
    vault, which = world.vault(), world.dice.randrange(2)
    good = world.model.treasury(vault, which)
    sender = good if world.chance(0.75) else world.dice.choice((THIEF, *TREASURIES))
    following = world.dice.choice((*TREASURIES[2:], *TREASURIES[2:], NOBODY, TREASURIES[which]))
    data = selectors("FeeDistributor")["proposeTreasury"] + encode_words(which, following)
    act = lambda: world.model.propose_treasury(vault, sender, which, following)  # noqa: E731
    if world.play(sender, vault.distributor, data, act) and world.chance(0.6):
        _accept(world, vault, which)


def accept_treasury(world: World) -> None:
    """Whoever was named, or was not, takes a seat over."""
    _accept(world, world.vault(), world.dice.randrange(2))


def _accept(world: World, vault: Vault, which: int) -> None:
    """Somebody takes a seat over; the one who was named last, mostly."""
    place = world.model.cells.get(vault.distributor, "named", which)
    sender = world.dice.choice((THIEF, RELAYER, *TREASURIES))
    if place and world.chance(0.7):
        sender = TREASURIES[place - 1]
    data = selectors("FeeDistributor")["acceptTreasury"] + encode_words(which)
    act = lambda: world.model.accept_treasury(vault, sender, which)  # noqa: E731
    if world.play(sender, vault.distributor, data, act) and world.chance(0.5):
        assert not world.play(sender, vault.distributor, data, act), "a seat is taken twice"
