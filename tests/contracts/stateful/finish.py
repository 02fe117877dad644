"""The end of an interleaving: everybody who proves gets everything, and nothing else is left.

Rule: while the vault is open it ends by the ledger or by an escape; once it has closed by the
escape. What may stay is only what was nobody's, or cannot be taken by whom it belongs to.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from contracts.artifact import selectors
from primitives.abi import encode_words
from tests.contracts.stateful import (
    deeds_claims,
    deeds_committee,
    deeds_ledger,
    deeds_tokens,
    deeds_vault,
)
from tests.contracts.stateful.book import UNBACKED, Root
from tests.contracts.stateful.coins import NATIVE
from tests.contracts.stateful.last_resort import Escape, Refund
from tests.contracts.stateful.scene import THIEF
from tests.contracts.stateful.vault import EXPIRY, NOTICE, SILENCE, Vault
from tests.contracts.stateful.world import World


def finish(world: World) -> None:
    """Pay everybody, by whatever way there is."""
    deeds_tokens.tame(world)
    main = world.main
    if _is_alive(world, main) and world.chance(0.4):
        _false_alarm(world, main)
    if not _is_alive(world, main) or world.chance(0.5):
        ends_open = False
    else:
        _empty_ledger(world)
        ends_open = True
    for vault in world.model.vaults:
        owing = [token for token in world.book.tokens if _has_to_give(vault, token)]
        idle = vault is not main and not vault.get("deposits") and not owing
        if idle and world.chance(0.7):
            continue  # it has nothing to pay; its turn comes often enough
        if not (vault is main and ends_open):
            _close(world, vault)
        _try_to_have_handed_over(world, vault)
        _hand_over(world, vault, owing)
        _pay_all(world, vault, escapes=vault is main and not ends_open)
        _assert_paid(world, vault)
    world.check_all()


def _has_to_give(vault: Vault, token: bytes) -> bool:
    """Whether the successor's balances are backed by what is still here."""
    return vault.get("owed", token) > vault.get("handed over", token)


def _hand_over(world: World, vault: Vault, tokens: list[bytes]) -> None:
    """Whatever has become of the committee, the successor gets what it owes."""
    if not tokens:
        return
    other = world.model.vaults[vault.get("moved to", tokens[0]) - 1]
    common = [h for h in world.model.roots if other.get("accepted", h) and vault.get("accepted", h)]
    for token in tokens:
        if world.ground.now < vault.get("hand over from", token):
            given = deeds_committee.bring_hand_over(world, vault, token, max(common))
            assert not given, "the successor takes over at once"
            world.ground.now = vault.get("hand over from", token)
        while _has_to_give(vault, token):  # at most what a vault takes at once
            done = deeds_committee.bring_hand_over(world, vault, token, max(common))
            assert done, "the funds are stuck in a vault that the assets have left"
        again = deeds_committee.bring_hand_over(world, vault, token, max(common))
        assert not again, "handed over twice"


def _try_to_have_handed_over(world: World, vault: Vault) -> None:
    """By a root of before the move, or what is owed to nobody, nothing is handed over."""
    known = [height for height in world.model.roots if deeds_committee.all_know(world, height)]
    for token in world.book.tokens:
        early = [height for height in known if height < vault.get("moved at", token)]
        if early or not vault.get("moved to", token):
            height = max(early or known or [0])
            given = deeds_committee.bring_hand_over(world, vault, token, height)
            assert not given, "handed over by a root that does not say so"


def _is_alive(world: World, vault: Vault) -> bool:
    """Whether checkpoints still count."""
    return not vault.is_closed and world.ground.now <= vault.last_at + EXPIRY


def _empty_ledger(world: World) -> None:
    """Credit and withdraw everything; the vault has to take the checkpoint of that."""
    main = world.main
    while world.book.credited[main.address] < main.get("deposits"):
        deeds_ledger.credit(world)
    for owner, entries in world.book.entries.items():
        for entry in entries:
            entry[2], entry[3] = entry[2] + entry[3], 0
            if entry[2]:
                world.book.withdraw(entry, entry[2], owner)
    deeds_vault.follow(world, main)
    known = deeds_vault.new_checkpoint(world)
    assert deeds_vault.bring_checkpoint(world, main, known), "the vault is bricked"


def _false_alarm(world: World, vault: Vault) -> None:
    """Silence and a notice, which pays nobody and which the next checkpoint makes void."""
    world.ground.now = max(world.ground.now, vault.last_at + SILENCE)
    _give_notice(world, vault)
    _try_too_early(world, vault)
    deeds_vault.follow(world, vault)
    known = deeds_vault.new_checkpoint(world)
    assert deeds_vault.bring_checkpoint(world, vault, known), "the vault is bricked"
    assert not vault.get("notice")
    if world.chance(0.5):
        world.ground.now += NOTICE
        _try_too_early(world, vault)
    deeds_claims.open_escape(world)


def _give_notice(world: World, vault: Vault) -> None:
    """Anyone may, after a week of silence."""
    if not vault.get("notice"):
        data = selectors("Settlement")["openEscape"]
        assert world.send(vault, data, vault.open_escape), "no escape is possible"


def _try_too_early(world: World, vault: Vault) -> None:
    """While the vault is open, nothing but withdrawals is paid by proof."""
    root = vault.last_root
    if root is not None and root.accounts:
        owner = next(iter(root.accounts))
        early = Escape(root=root, owner=owner, position=0, fees=root.fees, sender=THIEF, to=owner)
        assert not deeds_claims.bring_escape(world, vault, early), "paid too early"
    if vault.get("deposits"):
        record = vault.deposit_record(vault.get("deposits") - 1)
        if record is not None:
            claim = Refund(root=root, record=record, sender=THIEF, to=record.depositor)
            assert not deeds_claims.bring_refund(world, vault, claim), "given back too early"


def _close(world: World, vault: Vault) -> None:
    """Wait until a vault has closed; escape has to be possible."""
    if not vault.get("notice"):
        late = world.chance(0.3)
        world.ground.now = max(world.ground.now, vault.last_at + (EXPIRY + 1 if late else SILENCE))
        if late:
            assert not deeds_vault.bring_checkpoint(world, vault, deeds_vault.new_checkpoint(world))
        _give_notice(world, vault)
        _try_too_early(world, vault)
    world.ground.now = max(world.ground.now, vault.get("notice") + NOTICE)
    assert vault.is_closed
    if world.chance(0.3):
        assert not deeds_vault.bring_checkpoint(world, vault, deeds_vault.new_checkpoint(world))


def _pay_all(world: World, vault: Vault, *, escapes: bool) -> None:
    """Bring every proof that there is, in any order."""
    root = vault.last_root
    claims = []
    if root is not None:
        claims += _withdrawals(world, vault, root)
    if root is not None and escapes:
        claims += _escapes(world, vault, root)
    if vault.is_closed:
        _try_to_rob(world, vault, escapes)
        claims += _refunds(world, vault)
    for token in world.book.tokens:
        if vault.get("certified", token) != vault.get("settled", token):
            data = selectors("Settlement")["settleFees"] + encode_words(token)
            act = lambda token=token: vault.settle(token)  # noqa: E731
            claims.append(
                lambda d=data, a=act, t=token: _must(world.send(vault, d, a, t), "fees stay")
            )
    world.dice.shuffle(claims)
    for claim in claims:
        claim()
    _claim_again(world, vault)


def _try_to_rob(world: World, vault: Vault, escapes: bool) -> None:
    """What is another's, or on the ledger already, is not paid."""
    root = vault.last_root
    entries = _unpaid_entries(vault, root) if root is not None and escapes else []
    if root is not None and entries:
        owner, position = world.dice.choice(entries)
        theft = Escape(
            root=root, owner=owner, position=position, fees=root.fees, sender=THIEF, to=THIEF
        )
        assert not deeds_claims.bring_escape(world, vault, theft), "another's balance is paid"
    credited = root.credited(vault.address) if root is not None else 0
    for number in (credited - 1, credited):
        record = vault.deposit_record(number) if number >= 0 else None
        if record is not None and record.depositor != THIEF:
            to = record.depositor if number < credited else THIEF
            claim = Refund(root=root, record=record, sender=THIEF, to=to)
            assert not deeds_claims.bring_refund(world, vault, claim), "given to a thief"


def _unpaid_entries(vault: Vault, root: Root) -> list[tuple[bytes, int]]:
    """Owner and position of all balances that an escape has not paid."""
    return [
        (owner, position)
        for number, (owner, entries) in enumerate(root.accounts.items())
        for position, entry in enumerate(entries)
        if not vault.get("escaped", number, position) and entry[2] + entry[3]
    ]


def _claim_again(world: World, vault: Vault) -> None:
    """What has been paid is not paid again."""
    root = vault.last_root
    if root is not None and root.count:
        index = world.dice.randrange(root.count)
        assert not deeds_claims.bring_claim(world, vault, root, index), "paid twice"
    escaped = [key for key in world.model.cells.image() if key[:2] == (vault.address, "escaped")]
    if root is not None and escaped:
        _, _, number, position = world.dice.choice(escaped)
        owner = list(root.accounts)[number]
        again = Escape(
            root=root, owner=owner, position=position, fees=root.fees, sender=THIEF, to=owner
        )
        assert not deeds_claims.bring_escape(world, vault, again), "paid twice"
    refunded = [
        record
        for record in world.model.records
        if vault.is_closed
        and record.id < vault.get("deposits")
        and vault.deposit_record(record.id) is None
    ]
    if refunded:
        record = world.dice.choice(refunded)
        claim = Refund(root=root, record=record, sender=THIEF, to=record.depositor)
        assert not deeds_claims.bring_refund(world, vault, claim), "given back twice"


def _must(done: bool, problem: str) -> None:
    """Whatever is proven has to be paid."""
    assert done, problem


def _withdrawals(world: World, vault: Vault, root: Root) -> list:
    """Claims of all withdrawals that have not been paid."""
    return [
        lambda leaf=leaf: _must(
            deeds_claims.bring_claim(world, vault, root, leaf.index), "a withdrawal is not paid"
        )
        for leaf in world.book.leaves[: root.count]
        if leaf.vault == vault.address
        and not vault.get("paid", leaf.index)
        and leaf.amount < UNBACKED
        and _can_take(world, leaf.to, leaf.token)
    ]


def _can_take(world: World, receiver: bytes, token: bytes) -> bool:
    """Contracts without a way in, and the vaults themselves, take nothing."""
    if receiver in world.scene.vaults:
        return False
    return token != NATIVE or receiver not in world.model.coins.walls


def _escapes(world: World, vault: Vault, root: Root) -> list:
    """Claims of all balances that have not been paid."""
    claims = []
    for owner, position in _unpaid_entries(vault, root):
        claim = Escape(
            root=root, owner=owner, position=position, fees=root.fees, sender=THIEF, to=owner
        )
        claims.append(
            lambda claim=claim: _must(
                deeds_claims.bring_escape(world, vault, claim), "a balance is not paid"
            )
        )
    return claims


def _refunds(world: World, vault: Vault) -> list:
    """Claims of all deposits that the last root does not know."""
    root = vault.last_root
    first = root.credited(vault.address) if root is not None else 0
    claims = []
    for number in range(first, vault.get("deposits")):
        record = vault.deposit_record(number)
        if record is None or record.depositor == vault.address:
            continue
        claim = Refund(root=root, record=record, sender=THIEF, to=record.depositor)
        claims.append(
            lambda claim=claim: _must(
                deeds_claims.bring_refund(world, vault, claim), "a deposit is not given back"
            )
        )
    return claims


def _assert_paid(world: World, vault: Vault) -> None:
    """Nothing is left but what is nobody's."""
    root = vault.last_root
    count = root.count if root is not None else 0
    first = root.credited(vault.address) if root is not None else 0
    for token in world.book.tokens:
        left = vault.get("gifts", token)
        left += sum(
            leaf.amount
            for leaf in world.book.leaves[:count]
            if leaf.vault == vault.address
            and leaf.token == token
            and not vault.get("paid", leaf.index)
            and leaf.amount < UNBACKED
        )
        for number in range(first, vault.get("deposits")):
            record = vault.deposit_record(number)
            if record is not None and record.token == token:
                # A reward that came after the last root; it has no depositor to go back to.
                assert not vault.is_closed or record.depositor == vault.address
                left += record.amount
        assert vault.owes(token) == left, "something is owed that nobody can claim"
