"""What is paid by proof: withdrawals, and after a vault has closed balances and refunds.

Rule: as in `deeds_ledger`.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from dataclasses import replace

from contracts.artifact import selectors
from contracts.claim_fees import encode_withdraw_for_fee
from contracts.settlement_calls import encode_withdraw
from primitives.abi import encode_words
from primitives.keccak import keccak256
from primitives.vault_orders import ClaimFee, compute_claim_fee_digest
from tests.contracts.harness import CHAIN_ID, NETWORK_ID
from tests.contracts.stateful.book import (
    ENTRIES_DEPTH,
    Deposit,
    Leaf,
    Root,
    escape_proofs,
    spoil_words,
    words_tuple,
)
from tests.contracts.stateful.cells import require
from tests.contracts.stateful.last_resort import Escape, Refund, escape, refund
from tests.contracts.stateful.scene import RELAYER, THIEF, USERS, calldata
from tests.contracts.stateful.vault import NOBODY, Vault
from tests.contracts.stateful.world import World

USER_KEYS = {user.address: user for user in USERS}


# --- withdrawals ---------------------------------------------------------------------------------


def _provable(world: World, vault: Vault) -> tuple[Root, int] | None:
    """An accepted root and a withdrawal that it knows, mostly one that was not paid."""
    roots = [r for h, r in world.model.roots.items() if vault.get("accepted", h) and r.count]
    if not roots:
        return None
    root = world.dice.choice(roots) if world.chance(0.4) else roots[-1]
    unpaid = [
        leaf.index
        for leaf in world.book.leaves[: root.count]
        if leaf.vault == vault.address and not vault.get("paid", leaf.index)
    ]
    if unpaid and world.chance(0.75):
        return root, world.dice.choice(unpaid)
    return root, world.dice.randrange(root.count)


def claim(world: World) -> None:
    """Claim a withdrawal, for the first time or again."""
    vault = world.vault()
    found = _provable(world, vault)
    if found is not None:
        bring_claim(world, vault, *found)


def bring_claim(world: World, vault: Vault, root: Root, index: int) -> bool:
    """Claim a withdrawal by a root."""
    leaf = world.book.leaves[index]
    act = lambda: pay(vault, root, leaf)  # noqa: E731
    data = encode_withdraw(world.book.claim(index, root))
    return world.send(vault, data, act, leaf.token)


def pay(vault: Vault, root: Root, leaf: Leaf) -> None:
    """Pay a withdrawal to whom it names."""
    with vault.cells.guard(vault.address):
        vault.take(root, False, leaf, leaf, True)
        vault.coins.send(leaf.token, vault.address, leaf.to, leaf.amount)


def forge_claim(world: World) -> None:
    """A claim with one word changed, or by a root that no checkpoint had."""
    vault = world.vault()
    found = _provable(world, vault)
    if found is None:
        return
    root, index = found
    leaf, proof = world.book.leaves[index], world.book.claim(index, root)
    kind = world.dice.randrange(6)
    spoilt = kind == 0
    if spoilt:
        proof = replace(proof, words=spoil_words(proof.words, world.dice.randrange(4)))
    elif kind == 1:
        proof = replace(proof, amount=proof.amount + 1)
    elif kind == 2:
        proof = replace(proof, to=THIEF if proof.to != THIEF else RELAYER)
    elif kind == 3:
        proof = replace(proof, index=proof.index + 1)
    elif kind == 4:
        place = world.dice.randrange(32)
        siblings = list(proof.siblings)
        siblings[place] = keccak256(b"sibling")
        proof = replace(proof, siblings=tuple(siblings))
    else:
        other = world.scene.tokens["USDX" if leaf.token != world.scene.tokens["USDX"] else "VAST"]
        proof = replace(proof, token=other)

    def act() -> None:
        with vault.cells.guard(vault.address):
            vault.take(root, spoilt, leaf, leaf, spoilt)

    world.send(vault, encode_withdraw(proof), act, leaf.token)


def claim_for_fee(world: World) -> None:
    """Bring a withdrawal for a fee that its receiver signed, or did not."""
    vault = world.vault()
    found = _provable(world, vault)
    if found is None:
        return
    root, index = found
    leaf = world.book.leaves[index]
    fee = ClaimFee(
        index=index,
        atoms=world.dice.choice((0, 1, leaf.amount // 3, leaf.amount, leaf.amount + 1)),
        deadline_s=world.ground.now + world.dice.choice((-1, 0, 0, 1000, 1000)),
    )
    digest = compute_claim_fee_digest(
        fee, network_id=NETWORK_ID, chain_id=CHAIN_ID, vault=vault.address
    )
    signer = USER_KEYS.get(leaf.to, USERS[0])
    is_signed = signer.address == leaf.to
    if world.chance(0.2):
        digest, is_signed = keccak256(b"another" + digest), False

    def act() -> None:
        with vault.cells.guard(vault.address):
            require(vault.now <= fee.deadline_s, "FeeExpired")
            require(fee.atoms <= leaf.amount, "FeeTooHigh")
            require(is_signed, "FeeNotSigned")
            vault.take(root, False, leaf, leaf, True)
            vault.coins.send(leaf.token, vault.address, leaf.to, leaf.amount - fee.atoms)
            vault.coins.send(leaf.token, vault.address, RELAYER, fee.atoms)

    data = encode_withdraw_for_fee(world.book.claim(index, root), fee, signer.sign(digest))
    world.send(vault, data, act, leaf.token)


# --- after the end -------------------------------------------------------------------------------


def open_escape(world: World) -> None:
    """Give notice, whether it is time or not."""
    vault = world.vault()
    world.send(vault, selectors("Settlement")["openEscape"], vault.open_escape)


def escape_one(world: World) -> None:
    """Claim a balance of the last root, or of an older one, or with a flaw."""
    vault = world.vault()
    root = vault.last_root
    others = list(world.model.roots.values())
    if others and (root is None or world.chance(0.1)):
        root = world.dice.choice(others)
    if root is None or not root.accounts:
        return
    owner = world.dice.choice(list(root.accounts))
    position = world.dice.randrange(len(root.accounts[owner]))
    sender, to = _parties(world, owner)
    flaw = world.dice.choice(("", "", "", "", "UnknownState", "BadProof"))
    fees = root.fees if world.chance(0.9) else root.fees[:-1]
    bring_escape(
        world,
        vault,
        Escape(
            root=root, owner=owner, position=position, fees=fees, sender=sender, to=to, flaw=flaw
        ),
    )


def _parties(world: World, owner: bytes) -> tuple[bytes, bytes]:
    """Who calls, and who shall be paid."""
    choices = ((THIEF, owner), (THIEF, THIEF), (owner, RELAYER), (owner, owner), (owner, NOBODY))
    return world.dice.choice((*choices, (THIEF, owner)))


def bring_escape(world: World, vault: Vault, claim: Escape) -> bool:
    """Claim a balance."""
    account, entry = escape_proofs(claim.root, claim.owner, claim.position)
    words = claim.root.words
    if claim.flaw == "UnknownState":
        words = spoil_words(words, world.dice.randrange(4))
    if claim.flaw == "BadProof":
        account, entry = _spoil(world, account, entry)
    fees = [(one.chain_id, one.vault, one.token, one.total, one.owed) for one in claim.fees]
    data = calldata("Settlement", "escape", words_tuple(words), account, entry, fees, claim.to)
    token = world.book.tokens[claim.root.accounts[claim.owner][claim.position][1]]
    act = lambda: escape(vault, claim)  # noqa: E731
    return world.play(claim.sender, vault.address, data, act, tokens=(token,))


def _spoil(world: World, account, entry) -> tuple:
    """Change one word of an escape's proof."""
    kind = world.dice.randrange(5)
    if kind == 0:
        return (account[0] + 1, *account[1:]), entry
    if kind == 1:
        return (account[0], THIEF, *account[2:]), entry
    if kind == 2:
        return account, (*entry[:3], entry[3] + 1, *entry[4:])
    if kind == 3:
        return account, (entry[0] ^ 1, *entry[1:])
    return account, (*entry[:5], [keccak256(b"sibling")] * ENTRIES_DEPTH)


def refund_one(world: World) -> None:
    """Claim a deposit back, credited or not."""
    vault = world.vault()
    mine = [vault.model.records[place - 1] for place in _places(vault)]
    if not mine:
        return
    record = world.dice.choice(mine)
    if world.chance(0.1):
        record = replace(record, amount=record.amount + 1)
    sender, to = _parties(world, record.depositor)
    flaw = world.dice.choice(("", "", "", "UnknownState", "BadProof"))
    root = vault.last_root
    claim = Refund(root=root, record=record, sender=sender, to=to, flaw=flaw if root else "")
    bring_refund(world, vault, claim)


def _places(vault: Vault) -> list[int]:
    """Places of a vault's deposits among all records; refunded ones have none."""
    places = (vault.get("deposit", number) for number in range(vault.get("deposits")))
    return [place for place in places if place]


def bring_refund(world: World, vault: Vault, claim: Refund) -> bool:
    """Claim a deposit back."""
    words, cursors = (0, *[bytes(32)] * 6), []
    if claim.root is not None:
        state = claim.root.words
        if claim.flaw == "UnknownState":
            state = spoil_words(state, world.dice.randrange(4))
        words, cursors = words_tuple(state), list(claim.root.cursors)
    if claim.flaw == "BadProof":
        cursors = [(chain, vault, 0) for chain, vault, _ in cursors]
    record = record_tuple(claim.record)
    data = calldata("Settlement", "refund", words, cursors, record, claim.to)
    act = lambda: refund(vault, claim)  # noqa: E731
    return world.play(claim.sender, vault.address, data, act, tokens=(claim.record.token,))


def record_tuple(record: Deposit) -> tuple:
    """A deposit as the ABI has it."""
    return (record.id, record.token, record.depositor, record.beneficiary, record.amount)


# --- the hostile token's own part ----------------------------------------------------------------


def reentries(world: World, vault: Vault) -> list:
    """What the hostile token may try while it is called: target, calldata, what that would do."""
    evil = world.scene.tokens["EVIL"]
    which = world.dice.randrange(2)
    amount = 1 + world.dice.randrange(100)
    settle = selectors("Settlement")["settleFees"] + encode_words(evil)
    collect = selectors("FeeDistributor")["claim"] + encode_words(which, evil)
    put = selectors("Settlement")["depositFor"] + encode_words(evil, amount, THIEF)
    found = [
        (vault.address, settle, lambda: vault.settle(evil)),
        (vault.distributor, collect, lambda: world.model.claim_fees(vault, which, evil)),
        (vault.address, put, lambda: vault.deposit(evil, evil, amount, THIEF)),
    ]
    provable = _provable(world, vault)
    if provable is not None:
        found += [reentry_of_claim(world, vault, *provable)] * 3
    return found


def reentry_of_claim(world: World, vault: Vault, root: Root, index: int) -> tuple:
    """A withdrawal claimed by the hostile token."""
    data = encode_withdraw(world.book.claim(index, root))
    return vault.address, data, lambda: pay(vault, root, world.book.leaves[index])
