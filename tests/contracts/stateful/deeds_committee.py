"""What the committee decides, and the move to another vault.

Rule: as in `deeds_ledger`.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from dataclasses import replace

from contracts.artifact import selectors
from contracts.decisions import Decision, DecisionKind, compute_decision_digest
from primitives.abi import encode_words
from tests.contracts.harness import CHAIN_ID, NETWORK_ID
from tests.contracts.stateful import deeds_ledger, deeds_tokens, deeds_vault
from tests.contracts.stateful.last_resort import Signed, decide
from tests.contracts.stateful.last_resort import hand_over as give
from tests.contracts.stateful.proofs import sign, signers_with
from tests.contracts.stateful.scene import THIEF, calldata
from tests.contracts.stateful.vault import DAY, NOBODY, Vault
from tests.contracts.stateful.world import World

DECISION_FLAWS = {
    "too few": "TooLittleWeight",
    "another vault's": "BadSignature",
    "left over": "MalformedCertificate",
}


def any_decision(world: World) -> None:
    """A decision of any kind, with or without a flaw; or one that was brought before."""
    vault = world.vault()
    if world.decisions and world.chance(0.1):
        place, data, act = world.dice.choice(world.decisions)
        world.send(world.model.vaults[place], data, act)
        return
    if world.chance(0.8):
        deeds_vault.follow(world, vault)
    decision = _any(world, vault)
    flaw = world.dice.choice(list(DECISION_FLAWS)) if world.chance(0.15) else ""
    bring_decision(world, vault, decision, flaw)


def _any(world: World, vault: Vault) -> Decision:
    """Something to decide."""
    kind, subject, value = world.dice.choice(
        (
            (DecisionKind.PAUSE, NOBODY, 0),
            (DecisionKind.PAUSE, NOBODY, 0),
            (DecisionKind.PAUSE, NOBODY, 1),
            (DecisionKind.PAUSE, NOBODY, 2),
            (DecisionKind.LIST, world.token(), 1),
            (DecisionKind.LIST, world.token(), 1),
            (DecisionKind.LIST, world.token(), 0),
            (DecisionKind.LIST, NOBODY, 1),
            (DecisionKind.ANNOUNCE, NOBODY, 0),
            (DecisionKind.ANNOUNCE, NOBODY, 0),
            (DecisionKind.ANNOUNCE, world.dice.choice((vault.address, THIEF)), 0),
            (DecisionKind.ANNOUNCE, _successor(world, vault), 0),
            (DecisionKind.ANNOUNCE, NOBODY, 1),
            (4, world.token(), 1),
            (5, THIEF, 0),
        )
    )
    decision = next_decision(world, vault, kind, subject, value)
    if world.chance(0.1):
        decision = replace(decision, nonce=decision.nonce + 1)
    if world.chance(0.1):
        decision = replace(decision, epoch=decision.epoch + world.dice.choice((-1, 1)))
    if world.chance(0.1):
        decision = replace(decision, valid_until_s=world.ground.now + world.dice.choice((-1, 0)))
    return decision


def _successor(world: World, vault: Vault) -> bytes:
    """The other vault, or the liar."""
    return world.dice.choice(sorted(vault.model.successors(vault)))


def next_decision(world: World, vault: Vault, kind: int, subject: bytes, value: int) -> Decision:
    """The decision that a vault would carry out next."""
    return Decision(
        epoch=vault.epoch,
        nonce=vault.get("decisions"),
        valid_until_s=world.ground.now + 30 * DAY,
        kind=kind,
        subject=subject,
        value=value,
    )


def bring_decision(world: World, vault: Vault, decision: Decision, flaw: str = "") -> bool:
    """Sign a decision with the committee's keys and bring it."""
    address = world.scene.liar if flaw == "another vault's" else vault.address
    digest = compute_decision_digest(
        decision, network_id=NETWORK_ID, chain_id=CHAIN_ID, vault=address
    )
    members = vault.members
    start = world.dice.randrange(len(members))
    bitmap = signers_with(members, start, enough=flaw != "too few")
    signatures = sign(members, bitmap, digest) + (bytes(65) if flaw == "left over" else b"")
    words = (
        decision.epoch,
        decision.nonce,
        decision.valid_until_s,
        decision.kind,
        decision.subject,
        decision.value,
    )
    seats = [(member.address, member.weight) for member in members]
    data = calldata("Settlement", "decide", words, (bitmap, signatures), seats)
    signed = Signed(decision=decision, members=members, flaw=DECISION_FLAWS.get(flaw, ""))
    act = lambda: decide(vault, signed)  # noqa: E731
    if not flaw:
        world.decisions.append((world.model.vaults.index(vault), data, act))
    return world.send(vault, data, act)


def lie(world: World) -> None:
    """The liar says that it has accepted the vault's last root."""
    root = world.main.last_root
    if root is not None:
        world.model.lie = root.hash
        data = selectors("HostileVault")["setRoot"] + encode_words(root.hash)
        assert world.ground.send(THIEF, world.scene.liar, data).done


def announce(world: World) -> None:
    """Announce the other vault, for good."""
    vault = world.main
    deeds_vault.follow(world, vault)
    other = next(one for one in world.model.vaults if one is not vault)
    if vault.get("successor") != world.model.place_of(other.address):
        decision = next_decision(world, vault, DecisionKind.ANNOUNCE, other.address, 0)
        if bring_decision(world, vault, decision) and world.chance(0.5):
            early = bring_hand_over(world, vault, world.token(), vault.get("executed"))
            assert not early, "the successor takes over at once"


def fortnight(world: World) -> None:
    """Fifteen days in which both vaults are kept alive."""
    for _ in range(3):
        world.ground.now += 5 * DAY
        known = deeds_vault.new_checkpoint(world)
        for vault in world.model.vaults:
            deeds_vault.follow(world, vault)
            deeds_vault.bring_checkpoint(world, vault, known)


def migrate(world: World) -> None:
    """Move the ledger's assets to the announced vault."""
    old = world.main
    place = old.get("successor")
    new = world.model.vault_at(place) if place else None
    if new is None or new.address in world.book.vaults:
        return
    if world.ground.now < old.get("successor at"):
        return
    for vault in (old, new):
        deeds_vault.follow(world, vault)
        if vault.is_closed or world.ground.now > vault.last_at + 8 * DAY:
            return
        if vault.epoch != world.book.epoch:
            return
    if not all(new.is_listed(t) for t in world.book.tokens if world.book.balances(t)):
        return
    deeds_tokens.tame(world)
    while world.book.credited[old.address] < old.get("deposits"):
        deeds_ledger.credit(world)
    world.book.move(new.address)
    if world.chance(0.3):  # the chain hears of something else before it hears of the move
        subject = world.dice.choice((NOBODY, NOBODY, _successor(world, old)))
        decision = next_decision(world, old, DecisionKind.ANNOUNCE, subject, 0)
        assert bring_decision(world, old, decision)
    known = deeds_vault.new_checkpoint(world)
    assert deeds_vault.bring_checkpoint(world, old, known)
    early = bring_hand_over(world, old, world.token(), known.root.height)
    assert not early, "the successor does not know that it owes"
    if not deeds_vault.bring_checkpoint(world, new, known):
        raise AssertionError("the successor does not follow")
    if world.chance(0.4):  # what it decides keeps no funds away from it
        token = world.dice.choice([one for one in world.book.tokens if new.is_listed(one)])
        words = (DecisionKind.LIST, token), (DecisionKind.ANNOUNCE, old.address)
        kind, subject = world.dice.choice(words)
        assert bring_decision(world, new, next_decision(world, new, kind, subject, 0))
        deeds_vault.bring_checkpoint(world, new, deeds_vault.new_checkpoint(world))
    for token in world.book.tokens:
        if world.chance(0.5):
            bring_hand_over(world, old, token, known.root.height)


def hand_over(world: World) -> None:
    """Anyone has funds handed over, at the right time or not, by any height."""
    vault = world.dice.choice(world.model.vaults)
    heights = [0, vault.get("executed"), world.main.get("executed"), world.book.height + 1]
    if world.chance(0.5):  # all that every vault has heard of, before the move and after it
        common = [h for h in world.model.roots if all_know(world, h)]
        heights = common or heights
    bring_hand_over(world, vault, world.token(), world.dice.choice(heights))


def all_know(world: World, height: int) -> bool:
    """Whether every vault has accepted the root of a height."""
    return all(vault.get("accepted", height) for vault in world.model.vaults)


def bring_hand_over(world: World, vault: Vault, token: bytes, height: int) -> bool:
    """Have a token handed over to the successor."""
    data = selectors("Settlement")["handOver"] + encode_words(token, height)
    return world.send(vault, data, lambda: give(vault, token, height), token)
