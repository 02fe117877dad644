"""What the tokens' own people do, and what time does.

Rule: as in `deeds_ledger`.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from collections.abc import Callable

from contracts.artifact import selectors
from primitives.abi import encode_words
from tests.contracts.stateful import deeds_claims, deeds_ledger, deeds_vault
from tests.contracts.stateful.book import Leaf
from tests.contracts.stateful.coins import NATIVE, Mode
from tests.contracts.stateful.scene import THIEF, calldata
from tests.contracts.stateful.vault import DAY, EXPIRY, NOTICE, SILENCE, TREASURIES, Vault
from tests.contracts.stateful.world import World


def set_mode(world: World) -> None:
    """Let the hostile token behave in another way."""
    mode = world.dice.choice((0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 3, 4, 5))
    target, payload, act = world.dice.choice(deeds_claims.reentries(world, world.vault()))
    _set_mode(world, mode, target, payload)
    world.model.coins.reentry = act


def ambush(world: World) -> None:
    """Let the hostile token call back, and at once let something pay or take it."""
    evil, vault = world.scene.tokens["EVIL"], world.main
    target, payload, act = world.dice.choice(deeds_claims.reentries(world, vault))
    root = vault.last_root
    leaves = world.book.leaves[: root.count] if root is not None else []
    baits = [leaf for leaf in leaves if leaf.token == evil and leaf.vault == vault.address]
    baits = [leaf for leaf in baits if not vault.get("paid", leaf.index)]
    if root is not None and baits and world.chance(0.6):
        bait = world.dice.choice(baits)
        if world.chance(0.5):  # the very claim that is being paid
            target, payload, act = deeds_claims.reentry_of_claim(world, vault, root, bait.index)
        _call_back(world, target, payload, act)
        deeds_claims.bring_claim(world, vault, root, bait.index)
        return
    _call_back(world, target, payload, act)
    user, amount = world.user(), 1 + world.dice.randrange(10**6)
    data = selectors("Settlement")["deposit"] + encode_words(evil, amount)
    put = lambda: vault.deposit(user, evil, amount, user)  # noqa: E731
    world.play(user, vault.address, data, put, tokens=(evil,))


def _call_back(world: World, target: bytes, payload: bytes, act: Callable[[], object]) -> None:
    """From now on the token does this whenever it is called."""
    _set_mode(world, Mode.REENTER, target, payload)
    world.model.coins.reentry = act


def _set_mode(world: World, mode: int, target: bytes = bytes(20), payload: bytes = b"") -> None:
    """Tell the hostile token."""
    data = calldata("HostileToken", "setMode", mode, target, payload)
    assert world.ground.send(THIEF, world.scene.tokens["EVIL"], data).done
    world.model.cells.put(mode, "mode")
    world.model.cells.put(len(payload), "payload")


def set_tax(world: World) -> None:
    """Let a token keep a part of each transfer, or ask the sender for it."""
    percent, on_top = world.dice.choice((0, 0, 1, 10, 100)), world.chance(0.4)
    _set_tax(world, percent, on_top)


def _set_tax(world: World, percent: int, on_top: bool) -> None:
    """Tell the token."""
    data = calldata("FeeOnTransferToken", "setFee", percent, on_top)
    assert world.ground.send(THIEF, world.scene.tokens["FEE"], data).done
    world.model.cells.put(percent, "tax")
    world.model.cells.put(int(on_top), "on top")


def tax_a_deposit(world: World) -> None:
    """Let less arrive than a user sends, or more leave the user than arrives."""
    token, vault, user = world.scene.tokens["FEE"], world.main, world.user()
    _set_tax(world, world.dice.choice((1, 10, 50, 100)), world.chance(0.3))
    amount = 1 + world.dice.randrange(10**6)
    data = selectors("Settlement")["deposit"] + encode_words(token, amount)
    act = lambda: vault.deposit(user, token, amount, user)  # noqa: E731
    world.play(user, vault.address, data, act, tokens=(token,))


def misbehave(world: World, token: bytes, vault: Vault) -> None:
    """Let the hostile or the barring token fail whenever a vault pays."""
    if token == world.scene.tokens["EVIL"]:
        failing = (Mode.REVERT, Mode.BURN_GAS, Mode.RETURN_FALSE, Mode.MOVE_NOTHING)
        _set_mode(world, world.dice.choice(failing))
    elif world.chance(0.5):
        _pause(world, True)
    else:
        _bar(world, world.dice.choice((vault.address, vault.distributor)), True)


def cheat(world: World) -> None:
    """A token that says it has paid and has not, or that takes more from the vault than it pays."""
    vault = world.main
    token = world.scene.tokens[world.dice.choice(("EVIL", "EVIL", "FEE"))]
    leaf = _bait(world, vault, token)
    if leaf is None or vault.last_root is None or vault.last_root.count <= leaf.index:
        return
    if token == world.scene.tokens["FEE"]:
        _set_tax(world, world.dice.choice((1, 10)), world.chance(0.7))
    else:
        _set_mode(
            world, world.dice.choice((Mode.MOVE_NOTHING, Mode.MOVE_NOTHING, Mode.RETURN_FALSE))
        )
    deeds_claims.bring_claim(world, vault, vault.last_root, leaf.index)
    if world.chance(0.5):
        tame(world)


def _bait(world: World, vault: Vault, token: bytes) -> Leaf | None:
    """An unpaid withdrawal in a token, made if there is none."""
    asset = world.book.tokens.index(token)
    for leaf in world.book.leaves:
        is_mine = leaf.token == token and leaf.vault == vault.address
        if is_mine and not vault.get("paid", leaf.index):
            return leaf
    full = [e for es in world.book.entries.values() for e in es if e[1] == asset and e[2]]
    if not full:
        return None
    entry = world.dice.choice(full)
    leaf = world.book.withdraw(entry, deeds_ledger.part(world, entry[2]), world.user())
    deeds_vault.follow(world, vault)
    deeds_vault.bring_checkpoint(world, vault, deeds_vault.new_checkpoint(world))
    return leaf


def bar(world: World) -> None:
    """Pause a token, or bar an account of it; the vault itself may be one."""
    if world.chance(0.3):
        _pause(world, world.chance(0.5))
        return
    vault = world.main
    suspects = (world.user(), world.user(), vault.address, vault.distributor, TREASURIES[0])
    _bar(world, world.dice.choice(suspects), world.chance(0.5))


def _pause(world: World, paused: bool) -> None:
    """Tell the token."""
    data = calldata("BlacklistingToken", "setPaused", paused)
    assert world.ground.send(THIEF, world.scene.tokens["BAR"], data).done
    world.model.cells.put(int(paused), "paused")


def _bar(world: World, account: bytes, barred: bool) -> None:
    """Tell the token."""
    data = calldata("BlacklistingToken", "setBarred", account, barred)
    assert world.ground.send(THIEF, world.scene.tokens["BAR"], data).done
    world.model.cells.put(int(barred), "barred", account)


def tame(world: World) -> None:
    """Let all tokens behave from now on."""
    _set_mode(world, Mode.BEHAVE)
    _set_tax(world, 0, False)
    _pause(world, False)
    for key in list(world.model.cells.image()):
        if key[0] == "barred":
            _bar(world, key[1], False)


def gift(world: World) -> None:
    """Send tokens to a vault that they do not belong to."""
    token, vault, user = world.token(), world.vault(), world.user()
    if token in (NATIVE, world.scene.tokens["EVIL"], world.scene.tokens["FEE"]):
        return
    amount = 1 + world.dice.randrange(1000)
    data = calldata("NonReturningToken", "transfer", vault.address, amount)
    act = lambda: world.model.coins.transfer(token, user, vault.address, amount)  # noqa: E731
    world.play(user, token, data, act, tokens=(token,))


def wait(world: World) -> None:
    """Let time pass: a little, or to just before or after something is due."""
    vault = world.main
    borders = [vault.last_at + SILENCE, vault.last_at + EXPIRY, vault.last_at + EXPIRY + 1]
    if vault.get("notice"):
        borders += [vault.get("notice") + NOTICE] * 3
    if vault.get("successor at"):
        borders += [vault.get("successor at")] * 2
    if world.chance(0.6):
        world.ground.now += world.dice.choice((60, 3600, 6 * 3600, DAY, DAY, 2 * DAY))
        return
    border = world.dice.choice(borders) - world.dice.choice((0, 0, 1))
    world.ground.now = max(world.ground.now, border)
