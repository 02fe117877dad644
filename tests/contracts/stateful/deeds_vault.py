"""What anyone does to a vault while it is open: deposits, checkpoints, boundaries, fees.

Rule: as in `deeds_ledger`.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from dataclasses import replace

from contracts.artifact import selectors
from contracts.deposit_orders import encode_deposit_order, encode_deposit_with_permit
from primitives.abi import encode_words
from primitives.keccak import keccak256
from primitives.vault_orders import (
    NO_PERMIT,
    DepositOrder,
    Permit,
    compute_deposit_digest,
    sign_permit,
)
from tests.contracts.harness import CHAIN_ID, NETWORK_ID
from tests.contracts.stateful.cells import require
from tests.contracts.stateful.coins import NATIVE
from tests.contracts.stateful.proofs import FLAWS, NEEDS_SEALS, is_possible, prove
from tests.contracts.stateful.scene import PERMITTING, THIEF, USERS, calldata
from tests.contracts.stateful.vault import DEPOSIT_MAX, NOBODY, Vault
from tests.contracts.stateful.world import Known, World

AMOUNTS = (1, 2, 3, 9, 10, 101, 10**6 + 1, 3 * 10**18 + 1, 10**20)
HUGE = (0, DEPOSIT_MAX - 1, DEPOSIT_MAX, DEPOSIT_MAX + 1)


def _amount(world: World, token: bytes) -> int:
    """An amount, now and then at a border."""
    if world.chance(0.08) and token not in (world.scene.xom, NATIVE):
        return world.dice.choice(HUGE)
    return world.dice.choice(AMOUNTS) if world.chance(0.97) else 0


def _beneficiary(world: World, payer: bytes) -> bytes:
    """Mostly the payer."""
    if world.chance(0.03):
        return NOBODY
    return payer if world.chance(0.6) else world.user()


def deposit(world: World) -> None:
    """A plain deposit, for the caller or for another account."""
    vault, token, payer = world.vault(), world.token(), world.user()
    amount = _amount(world, token)
    beneficiary = _beneficiary(world, payer)
    data = selectors("Settlement")["depositFor"] + encode_words(token, amount, beneficiary)
    if beneficiary == payer:
        data = selectors("Settlement")["deposit"] + encode_words(token, amount)
    if token == NATIVE:
        data = selectors("Settlement")["depositNative"] + encode_words(beneficiary)
        act = lambda: vault.deposit_coins(payer, amount, beneficiary)  # noqa: E731
        world.play(payer, vault.address, data, act, value=amount, tokens=(token,))
        return
    act = lambda: vault.deposit(payer, token, amount, beneficiary)  # noqa: E731
    world.play(payer, vault.address, data, act, tokens=(token,))


def _permit(world: World, vault: Vault, token: bytes, value: int) -> tuple[Permit, bool]:
    """A permit of the user who approved nothing, and whether the token will take it."""
    nonce = world.model.cells.get("permits", token)
    good = world.chance(0.8)
    deadline = world.ground.now + (100 if good or world.chance(0.5) else -1)
    permit = sign_permit(
        PERMITTING,
        domain=world.ground.view(token, selectors("TestToken")["DOMAIN_SEPARATOR"]),
        vault=vault.address if good or deadline < world.ground.now else THIEF,
        value=value,
        nonce=nonce,
        deadline_s=deadline,
    )
    return permit, good


def _use_permit(world: World, vault: Vault, token: bytes, value: int, good: bool) -> None:
    """What a permit changes in the token."""
    if good:
        world.model.cells.add(1, "permits", token)
        world.model.cells.put(value, "allowance", token, PERMITTING.address, vault.address)


def deposit_with_permit(world: World) -> None:
    """A deposit with a permit, which may be too small, for somebody else, or too late."""
    vault = world.vault()
    token = world.scene.tokens[world.dice.choice(("USDX", "VAST", "XOM", "FEE"))]
    amount = world.dice.choice(AMOUNTS)
    value = amount + world.dice.choice((0, 0, 0, 5, -1))
    permit, good = _permit(world, vault, token, value)
    beneficiary = _beneficiary(world, PERMITTING.address)

    def act() -> None:
        _use_permit(world, vault, token, value, good)
        vault.deposit(PERMITTING.address, token, amount, beneficiary)

    data = encode_deposit_with_permit(token, amount, beneficiary, permit)
    world.play(PERMITTING.address, vault.address, data, act, tokens=(token,))


def deposit_by_order(world: World) -> None:
    """Bring a deposit that its owner signed; again and again, if it pleases."""
    if world.orders and world.chance(0.4):
        data, act, place, token = world.dice.choice(world.orders)
        world.play(THIEF, world.model.vaults[place].address, data, act, tokens=(token,))
        return
    vault, owner, token = world.vault(), world.dice.choice(USERS), world.token()
    permit, good, value = NO_PERMIT, False, 0
    if world.chance(0.3):
        owner, token = PERMITTING, world.scene.tokens[world.dice.choice(("USDX", "VAST"))]
    amount = _amount(world, token)
    if owner is PERMITTING:
        value = amount
        permit, good = _permit(world, vault, token, value)
    order = DepositOrder(
        depositor=owner.address,
        token=token,
        amount=amount,
        fee=world.dice.choice((0, 0, 0, 0, 1, 1, amount // 2, amount // 2, amount, amount + 1)),
        beneficiary=_beneficiary(world, owner.address),
        nonce=world.dice.randrange(2**64),
        deadline_s=world.ground.now + world.dice.choice((-1, 0, 100, 10**7, 10**7, 10**7)),
    )
    digest = compute_deposit_digest(
        order, network_id=NETWORK_ID, chain_id=CHAIN_ID, vault=vault.address
    )
    signature, is_signed = owner.sign(digest), True
    if world.chance(0.1):
        order, is_signed = replace(order, beneficiary=THIEF), False
        digest = keccak256(b"altered" + digest)
    number = int.from_bytes(digest[:8], "big")
    act = lambda: _bring(world, vault, order, number, is_signed, (value, good))  # noqa: E731

    data = encode_deposit_order(order, signature, permit)
    place = world.model.vaults.index(vault)
    if owner is not PERMITTING:
        world.orders.append((data, act, place, token))
    done = world.play(THIEF, vault.address, data, act, tokens=(token,))
    if done and owner is not PERMITTING and world.chance(0.8):
        assert not world.play(THIEF, vault.address, data, act, tokens=(token,)), "taken twice"


def _bring(
    world: World,
    vault: Vault,
    order: DepositOrder,
    number: int,
    is_signed: bool,
    permit: tuple[int, bool],
) -> None:
    """Carry an order out."""
    token, owner = order.token, order.depositor
    with vault.cells.guard(vault.address):
        vault.require_deposit(token, order.amount, order.beneficiary)
        require(vault.now <= order.deadline_s, "OrderExpired")
        require(not vault.get("order done", number), "OrderDone")
        vault.put(1, "order done", number)
        require(is_signed, "OrderNotSigned")
        _use_permit(world, vault, token, *permit)
        require(token != NATIVE, "*")
        received = vault.coins.pull(token, owner, vault.address, order.amount)
        require(received > order.fee, "BadAmount")
        vault.record(token, owner, order.beneficiary, received - order.fee)
        if order.fee:
            vault.coins.send(token, vault.address, THIEF, order.fee)


def fund(world: World) -> None:
    """Tokens that are nobody's deposit."""
    vault, token, payer = world.vault(), world.token(), world.user()
    amount = _amount(world, token)
    bring_fund(world, vault, token, payer, amount, 7 if world.chance(0.05) else None)


def bring_fund(
    world: World, vault: Vault, token: bytes, payer: bytes, amount: int, coins: int | None = None
) -> bool:
    """Fund a vault, with as many of the chain's coins as it takes or with others."""
    value = coins if coins is not None else (amount if token == NATIVE else 0)
    data = selectors("Settlement")["fund"] + encode_words(token, amount)
    act = lambda: vault.fund(payer, token, amount, value)  # noqa: E731
    return world.play(payer, vault.address, data, act, value=value, tokens=(token,))


# --- checkpoints ---------------------------------------------------------------------------------


def checkpoint(world: World) -> None:
    """Bring the ledger's newest root; the vault may be behind by epochs."""
    vault = world.vault()
    follow(world, vault)
    bring_checkpoint(world, vault, new_checkpoint(world))


def new_checkpoint(world: World) -> Known:
    """Certify the ledger as it is."""
    root = world.model.new_root()
    overrides = {"checkpoint_digest": keccak256(b"snapshot")} if world.chance(0.2) else {}
    members = world.book.committees[world.book.epoch]
    header = world.book.header(root, **overrides)
    children, number = world.dice.choice((0, 0, 1, 2, 5)), world.dice.randrange(100)
    proof = prove(header, members, children=children, number=number)
    known = Known(proof=proof, root=root, fees=root.fees)
    world.known.append(known)
    return known


def skip_checkpoint(world: World) -> None:
    """Certify the ledger as it is, and keep it for later."""
    new_checkpoint(world)


def bring_checkpoint(world: World, vault: Vault, known: Known) -> bool:
    """Bring a checkpoint, whatever the vault says to it."""
    world.shorten_reentry()
    submission = known.proof.submission(known.fees)
    proof = submission_tuple(known.proof)
    fees = [(one.chain_id, one.vault, one.token, one.total, one.owed) for one in submission.fees]
    data = calldata("Settlement", "submitCheckpoint", *proof, fees)
    touched = world.dice.sample(world.book.tokens, 2)
    return world.send(vault, data, lambda: vault.checkpoint(known.proof, known.fees), *touched)


def submission_tuple(proof) -> tuple:
    """Headers, certificate and members as the ABI has them."""
    submission = proof.submission()
    headers = [tuple(_words(header)) for header in proof.headers]
    members = [(member.address, member.weight) for member in submission.members]
    return headers, (proof.signers, proof.signatures), members


def _words(header) -> list:
    """A header's fields in order."""
    return [getattr(header, name) for name in header.__dataclass_fields__]


def replay_checkpoint(world: World) -> None:
    """Bring one that was made before: stale, skipped, of an older epoch, or good."""
    if world.known:
        bring_checkpoint(world, world.vault(), world.dice.choice(world.known))


def forge_checkpoint(world: World) -> None:
    """A checkpoint that is good but for one flaw."""
    vault, number = world.vault(), world.dice.randrange(10**6)
    follow(world, vault)
    if vault.epoch != world.book.epoch:
        return
    root = world.model.new_root()
    loot = replace(root, words=replace(root.words, withdrawals=keccak256(b"loot")))
    header = world.book.header(loot)
    flaw = world.dice.choice([name for name in FLAWS if is_possible(name, header)] + ["fees"])
    if flaw == "fees":
        header = world.book.header(root)
        fees = root.fees[:-1] if world.chance(0.5) else (*root.fees[1:], root.fees[0])
    else:
        fees = root.fees
    proof = prove(header, vault.members, children=number % 3, number=number, flaw=flaw)
    bring_checkpoint(world, vault, Known(proof=proof, root=root, fees=fees))


def follow(world: World, vault: Vault) -> None:
    """Bring the boundaries that a vault has not seen, forged ones among them."""
    while vault.epoch < world.book.epoch:
        if world.chance(0.4):
            header = world.book.boundaries[vault.epoch]
            flaws = [name for name in FLAWS if is_possible(name, header)]
            flaws = list(NEEDS_SEALS) if world.chance(0.5) else flaws
            bring_boundary(world, vault, world.dice.choice(flaws))
        if not bring_boundary(world, vault, ""):
            return


def bring_boundary(world: World, vault: Vault, flaw: str) -> bool:
    """Bring the boundary of the epoch that a vault follows."""
    header = world.book.boundaries[vault.epoch]
    next_members = world.book.committees[vault.epoch + 1]
    number = world.dice.randrange(10**6)
    proof = prove(header, vault.members, children=number % 4, number=number, flaw=flaw)
    if flaw == "" and world.chance(0.3):
        root = world.model.roots[header.executed_height]
        world.known.append(Known(proof=proof, root=root, fees=root.fees))
    return _send_boundary(world, vault, proof, next_members)


def _send_boundary(world: World, vault: Vault, proof, next_members) -> bool:
    """Send a proof as a boundary."""
    members = [(member.address, member.weight) for member in next_members]
    data = calldata("Settlement", "submitBoundary", *submission_tuple(proof), members)
    return world.send(vault, data, lambda: vault.boundary(proof, next_members))


def boundary(world: World) -> None:
    """Take one step over a border, with or without a flaw."""
    vault = world.vault()
    if vault.epoch >= world.book.epoch:
        if world.known:  # no boundary, or one that was crossed before
            known = world.dice.choice(world.known)
            _send_boundary(world, vault, known.proof, vault.members)
        return
    header = world.book.boundaries[vault.epoch]
    flaw = ""
    if world.chance(0.4):
        flaw = world.dice.choice([name for name in FLAWS if is_possible(name, header)])
    bring_boundary(world, vault, flaw)
