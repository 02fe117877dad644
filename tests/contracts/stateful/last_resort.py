"""Escapes, refunds and the committee's decisions, as the specification has them.

Rule: as in `vault`.

Spec: docs/spec/settlement.md §6, §7
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.decisions import Decision, DecisionKind
from contracts.settlement_types import FeeTotal
from tests.contracts.harness import CHAIN_ID
from tests.contracts.stateful.book import Deposit, Root
from tests.contracts.stateful.cells import require
from tests.contracts.stateful.coins import NATIVE
from tests.contracts.stateful.proofs import Members, hash_members
from tests.contracts.stateful.vault import DAY, DEPOSIT_MAX, NOBODY, Vault

MIGRATION_NOTICE = 14 * DAY


@dataclass(frozen=True, kw_only=True)
class Escape:
    """A claim of a balance by a root."""

    root: Root
    owner: bytes
    position: int
    fees: tuple[FeeTotal, ...]
    sender: bytes
    to: bytes
    flaw: str = ""  # UnknownState or BadProof


@dataclass(frozen=True, kw_only=True)
class Refund:
    """A claim of a deposit that was not credited."""

    root: Root | None
    record: Deposit
    sender: bytes
    to: bytes
    flaw: str = ""  # UnknownState or BadProof


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A decision, who is said to have made it, and what is wrong with the signatures."""

    decision: Decision
    members: Members
    flaw: str = ""


def escape(vault: Vault, claim: Escape) -> None:
    """Pay a balance of the last root."""
    with vault.cells.guard(vault.address):
        require(vault.is_closed, "VaultOpen")
        is_last = vault.last_root is not None and claim.root is vault.last_root
        require(is_last and claim.flaw != "UnknownState", "UnknownState")
        require(claim.flaw != "BadProof", "BadProof")
        require(claim.fees == claim.root.fees, "WrongFees")
        entry = claim.root.accounts[claim.owner][claim.position]
        is_here = entry[1] < len(claim.fees)
        fee = claim.fees[entry[1]] if is_here else None
        is_here = fee is not None and (fee.chain_id, fee.vault) == (CHAIN_ID, vault.address)
        require(is_here, "ForeignAsset")
        assert fee is not None
        key = (list(claim.root.accounts).index(claim.owner), claim.position)
        require(not vault.get("escaped", *key), "EscapedAlready")
        vault.put(1, "escaped", *key)
        require(entry[2] + entry[3] > 0, "NothingOwed")
        _require_receiver(claim.owner, claim.to, claim.sender)
        vault.release(fee.token, claim.to, entry[2] + entry[3])


def refund(vault: Vault, claim: Refund) -> None:
    """Give a deposit back that the last root does not know."""
    with vault.cells.guard(vault.address):
        require(vault.is_closed, "VaultOpen")
        credited = 0
        if vault.last_root is not None:
            is_last = claim.root is vault.last_root
            require(is_last and claim.flaw != "UnknownState", "UnknownState")
            require(claim.flaw != "BadProof", "BadProof")
            credited = vault.last_root.credited(vault.address)
        require(claim.record.id >= credited, "DepositCredited")
        require(vault.deposit_record(claim.record.id) == claim.record, "UnknownDeposit")
        vault.put(0, "deposit", claim.record.id)
        _require_receiver(claim.record.depositor, claim.to, claim.sender)
        vault.release(claim.record.token, claim.to, claim.record.amount)


def _require_receiver(owner: bytes, to: bytes, sender: bytes) -> None:
    """Who may be paid for an owner."""
    require(to != NOBODY, "ZeroAddress")
    require(to == owner or sender == owner, "OnlyOwner")


def decide(vault: Vault, signed: Signed) -> None:
    """Carry a decision out."""
    decision = signed.decision
    with vault.cells.guard(vault.address):
        vault.require_current()
        require(decision.epoch == vault.epoch, "WrongDecisionEpoch")
        require(decision.nonce == vault.get("decisions"), "WrongNonce")
        require(vault.now <= decision.valid_until_s, "DecisionExpired")
        is_mine = hash_members(signed.members) == hash_members(vault.members)
        require(is_mine, "WrongCommittee")
        require(not signed.flaw, signed.flaw)
        vault.add(1, "decisions")
        _carry_out(vault, decision)


def _carry_out(vault: Vault, decision: Decision) -> None:
    """One of the three kinds."""
    kind, subject, value = decision.kind, decision.subject, decision.value
    if kind == DecisionKind.ANNOUNCE and value == 0:
        require(subject == NOBODY or subject in vault.model.successors(vault), "BadSuccessor")
        place = 0 if subject == NOBODY else vault.model.place_of(subject)
        vault.put(place, "successor")
        vault.put(vault.now + MIGRATION_NOTICE if place else 0, "successor at")
        if place:
            vault.put(vault.now + MIGRATION_NOTICE, "notice of", place)
    elif kind == DecisionKind.LIST and value < 2:
        require(subject != NOBODY, "ZeroAddress")
        require(vault.is_listed(subject) != (value == 1), "ListedAlready")
        vault.put(value, "listed", subject)
        vault.put(1, "known", subject)
    else:
        require(kind == DecisionKind.PAUSE and value < 2, "BadDecision")
        vault.put(value, "paused")


def hand_over(vault: Vault, token: bytes, height: int) -> None:
    """Give the successor what backs a token's balances there."""
    with vault.cells.guard(vault.address):
        place = vault.get("moved to", token)
        require(bool(place), "NotMoved")
        require(vault.now >= vault.get("hand over from", token), "SuccessorTooEarly")
        other = vault.model.vault_at(place)
        assert other is not None, "the ledger never moves to the liar"
        both = vault.get("accepted", height) and other.get("accepted", height)
        require(height >= vault.get("moved at", token) and bool(both), "SuccessorBehind")
        left = vault.get("owed", token) - vault.get("handed over", token)
        before = vault.coins.held(token, vault.address)
        amount = min(left, before, DEPOSIT_MAX)
        require(amount > 0, "NothingToHandOver")
        require(amount <= vault.owes(token), "InsufficientVault")
        vault.add(amount, "handed over", token)
        vault.add(amount, "released", token)
        if token != NATIVE:
            vault.cells.put(amount, "allowance", token, vault.address, other.address)
        other.fund(vault.address, token, amount, amount if token == NATIVE else 0)
        spent = before - vault.coins.held(token, vault.address)
        require(spent == amount, "WrongTransfer")
