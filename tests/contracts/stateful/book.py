"""A ledger as the vaults see it: balances, withdrawals, fees, credited deposits, committees.

Rule: what leaves the ledger is recorded once; every root can be proven for ever.

Spec: docs/spec/settlement.md §2
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from consensus.header import Header
from contracts.settlement_calls import encode_fees, encode_state_words
from contracts.settlement_types import FeeTotal, StateWords, WithdrawalClaim
from primitives.abi import encode_words
from primitives.keccak import keccak256
from primitives.merkle import AppendTree, DenseTree, leaf_hash
from tests.contracts.harness import CHAIN_ID
from tests.contracts.stateful.proofs import ZERO, Members, hash_members
from tests.contracts.stateful.scene import FIRST_COMMITTEE, Scene

ENTRIES_DEPTH = 16
INSURED = bytes(20)
UNBACKED = 2**140
"""More than anybody ever deposits: a withdrawal of that is the ledger's lie."""
FOREIGN_VAULT = b"\x77" * 20
VALIDATORS = b"\x5a" * 20
"""Ledger account of the validators' shares."""
Entry = tuple[int, int, int, int]  # sub, asset, free, held


@dataclass(frozen=True, kw_only=True)
class Deposit:
    """A deposit as its vault recorded it."""

    id: int
    token: bytes
    depositor: bytes
    beneficiary: bytes
    amount: int


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A withdrawal as the ledger recorded it."""

    index: int
    vault: bytes
    token: bytes
    amount: int
    to: bytes


@dataclass(frozen=True, kw_only=True)
class Root:
    """The ledger at a height, and everything that proves it."""

    words: StateWords
    count: int  # withdrawals
    accounts: dict[bytes, tuple[Entry, ...]]
    cursors: tuple[tuple[int, bytes, int], ...]
    fees: tuple[FeeTotal, ...]

    @property
    def height(self) -> int:
        """Executed height."""
        return self.words.height

    @property
    def hash(self) -> bytes:
        """The state root."""
        return keccak256(encode_state_words(self.words))

    def credited(self, vault: bytes) -> int:
        """Deposits of a vault that are on the ledger."""
        return next((one[2] for one in self.cursors if one[:2] == (CHAIN_ID, vault)), 0)


class Book:
    """The ledger and the committees that certify it."""

    def __init__(self, scene: Scene) -> None:
        self.vault = scene.vaults[0]  # that the assets are at
        self.vaults = [self.vault]  # that the ledger knows
        self.tokens = tuple(scene.tokens.values())
        self.totals = [0] * len(self.tokens)
        self.retired: list[FeeTotal] = []
        self.credited = dict.fromkeys(scene.vaults, 0)
        self.entries: dict[bytes, list[list[int]]] = {}
        self.tree = AppendTree()
        self.leaves: list[Leaf] = []
        self.height = 0
        self.epoch = 1
        self.committees: dict[int, Members] = {1: FIRST_COMMITTEE}
        self.boundaries: dict[int, Header] = {}

    # --- what happens on the ledger ------------------------------------------------------------

    def entry(self, owner: bytes, asset: int, sub: int = 0) -> list[int]:
        """A balance entry, made if there is none."""
        entries = self.entries.setdefault(owner, [])
        for entry in entries:
            if entry[:2] == [sub, asset]:
                return entry
        entries.append([sub, asset, 0, 0])
        return entries[-1]

    def credit(self, deposit: Deposit, sub: int) -> None:
        """Credit the next deposit of the vault that the assets are at."""
        self.credited[self.vault] += 1
        asset = self.tokens.index(deposit.token)
        self.entry(deposit.beneficiary, asset, sub)[2] += deposit.amount

    def withdraw(self, entry: list[int], amount: int, to: bytes) -> Leaf:
        """Take free atoms off an entry, to be paid by the vault that the assets are at."""
        assert 0 < amount <= entry[2]
        entry[2] -= amount
        return self._append(self.vault, self.tokens[entry[1]], amount, to)

    def _append(self, vault: bytes, token: bytes, amount: int, to: bytes) -> Leaf:
        """Record a leaf."""
        leaf = Leaf(index=self.tree.size, vault=vault, token=token, amount=amount, to=to)
        self.tree.append(leaf_hash(encode_words(leaf.index, CHAIN_ID, vault, token, amount, to)))
        self.leaves.append(leaf)
        return leaf

    def withdraw_elsewhere(self, token: bytes, amount: int, to: bytes) -> Leaf:
        """Record a withdrawal that a vault of another chain has to pay."""
        return self._append(FOREIGN_VAULT, token, amount, to)

    def overdraw(self, token: bytes, to: bytes) -> Leaf:
        """Record a withdrawal that nothing backs, as a committee that lies can."""
        return self._append(self.vault, token, UNBACKED, to)

    def charge(self, entry: list[int], fee: int) -> None:
        """Charge a fee: 20 % and 10 % leave the ledger, the rest is the validators'."""
        assert 0 < fee <= entry[2]
        asset = entry[1]
        before = self.totals[asset]
        self.totals[asset] = after = before + fee
        leaving = sum(after * part // 100 - before * part // 100 for part in (20, 10))
        entry[2] -= fee
        self.entry(VALIDATORS, asset)[2] += fee - leaving

    def move(self, vault: bytes) -> None:
        """Move all assets to another vault; the old one's accounts are closed."""
        for row in self._living_fees():
            self.retired.append(replace(row, owed=self.balances(row.token)))
        self.totals = [0] * len(self.tokens)
        self.vault = vault
        self.vaults.append(vault)

    def balances(self, token: bytes) -> int:
        """All balances in a token."""
        asset = self.tokens.index(token)
        every = (entry for entries in self.entries.values() for entry in entries)
        return sum(entry[2] + entry[3] for entry in every if entry[1] == asset)

    # --- roots ---------------------------------------------------------------------------------

    def _living_fees(self) -> list[FeeTotal]:
        """The totals of all assets."""
        return [
            FeeTotal(chain_id=CHAIN_ID, vault=self.vault, token=token, total=total)
            for token, total in zip(self.tokens, self.totals, strict=True)
        ]

    def root(self) -> Root:
        """The ledger as it is, at the next height."""
        self.height += 10
        accounts = {
            owner: tuple((e[0], e[1], e[2], e[3]) for e in entries)
            for owner, entries in self.entries.items()
        }
        cursors = (
            (1, FOREIGN_VAULT, 1_000),
            (1, self.vault, 2_000),
            *((CHAIN_ID, vault, self.credited[vault]) for vault in self.vaults),
        )
        rest = {name: keccak256(name.encode()) for name in ("fills", "effects", "rest")}
        words = StateWords(
            height=self.height,
            accounts=accounts_tree(accounts).root,
            withdrawals=self.tree.root,
            deposits=keccak256(b"".join(encode_words(*cursor) for cursor in cursors)),
            **rest,
        )
        fees = (*self._living_fees(), *self.retired)
        return Root(
            words=words, count=self.tree.size, accounts=accounts, cursors=cursors, fees=fees
        )

    def header(self, root: Root, **overrides: Any) -> Header:
        """The header that carries a root."""
        height = root.height
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "view": height + 3,
            "height": height + 2,
            "parent_view": height + 2,
            "parent_hash": keccak256(b"parent" + height.to_bytes(8, "big")),
            "time_ms": 1_700_000_000_000 + height,
            "bundles_root": keccak256(b"bundles"),
            "executed_height": height,
            "state_root": root.hash,
            "fees_root": keccak256(encode_fees(root.fees)),
            "attendance_root": keccak256(b"attendance"),
            "evidence_root": ZERO,
            "committee_hash": hash_members(self.committees[self.epoch]),
            "next_committee_hash": ZERO,
            "checkpoint_digest": ZERO,
            "proposer": 1,
        }
        return Header(**{**values, **overrides})

    def end_epoch(self, members: Members) -> tuple[Root, Header]:
        """Hand over to another committee; return the boundary."""
        root = self.root()
        header = self.header(root, next_committee_hash=hash_members(members))
        self.boundaries[self.epoch] = header
        self.epoch += 1
        self.committees[self.epoch] = members
        return root, header

    # --- proofs --------------------------------------------------------------------------------

    def claim(self, index: int, root: Root) -> WithdrawalClaim:
        """Proof of a withdrawal by a root that knows it."""
        leaf = self.leaves[index]
        siblings = self.tree.proof_at(index, root.count)
        return WithdrawalClaim(
            words=root.words,
            index=index,
            token=leaf.token,
            amount=leaf.amount,
            to=leaf.to,
            siblings=tuple(siblings),
        )


def accounts_tree(accounts: dict[bytes, tuple[Entry, ...]]) -> DenseTree:
    """The tree of all accounts."""
    return DenseTree(
        leaves=[
            leaf_hash(encode_words(owner, entries_tree(entries).root, ZERO))
            for owner, entries in accounts.items()
        ]
    )


def entries_tree(entries: tuple[Entry, ...]) -> DenseTree:
    """The tree of one account's balances."""
    return DenseTree(ENTRIES_DEPTH, [leaf_hash(encode_words(*entry)) for entry in entries])


def escape_proofs(root: Root, owner: bytes, position: int) -> tuple[Any, Any]:
    """The contract's AccountProof and EntryProof of one balance."""
    number = list(root.accounts).index(owner)
    entries = root.accounts[owner]
    account = (number, owner, ZERO, accounts_tree(root.accounts).proof(number))
    return account, (position, *entries[position], entries_tree(entries).proof(position))


def words_tuple(words: StateWords) -> tuple[Any, ...]:
    """State words as the ABI has them."""
    return (
        words.height,
        words.accounts,
        words.withdrawals,
        words.deposits,
        words.fills,
        words.effects,
        words.rest,
    )


def spoil_words(words: StateWords, number: int) -> StateWords:
    """Words that no checkpoint has."""
    names = ("accounts", "withdrawals", "deposits", "rest")
    return replace(words, **{names[number % len(names)]: keccak256(b"spoilt")})
