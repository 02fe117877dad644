"""What a vault owes and does, as the specification has it: deposits, checkpoints, fees, payments.

Rule: every function either does all of what it says or raises Refused with the name of the error;
the order of the reasons is the specification's.

Spec: docs/spec/settlement.md §3-§6, §8
Deviations: none
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from contracts.settlement_types import FeeTotal
from primitives.keccak import keccak256
from tests.contracts.harness import CHAIN_ID, COMPANY, DEVELOPMENT
from tests.contracts.stateful.book import Deposit, Leaf, Root
from tests.contracts.stateful.cells import Refused, require
from tests.contracts.stateful.coins import NATIVE
from tests.contracts.stateful.proofs import ZERO, Members, Proof, hash_members

if TYPE_CHECKING:
    from tests.contracts.stateful.model import Model

DAY = 86_400
DEPOSIT_MAX = 2**128 - 1
SILENCE = 7 * DAY
NOTICE = 2 * DAY
EXPIRY = 9 * DAY
YEAR = 365 * DAY
REWARDS = keccak256(b"OmniBazaar rewards")[12:]
TREASURIES = (COMPANY, DEVELOPMENT, b"\xc1" * 20, b"\xdf" * 20)
"""The two first treasuries, and who may take their seats over."""
NOBODY = bytes(20)


def treasury_shares(total: int) -> tuple[int, int]:
    """20 % and 10 % of all fees ever."""
    return total * 20 // 100, total * 10 // 100


class Vault:
    """One vault of the model."""

    def __init__(self, model: Model, address: bytes) -> None:
        self.model = model
        self.address = address
        self.cells = model.cells
        self.coins = model.coins
        self.distributor = model.scene.distributor(address)

    # --- cells ---------------------------------------------------------------------------------

    def get(self, *key: Hashable) -> int:
        """A number of this vault."""
        return self.cells.get(self.address, *key)

    def put(self, value: int, *key: Hashable) -> None:
        """Write a number of this vault."""
        self.cells.put(value, self.address, *key)

    def add(self, amount: int, *key: Hashable) -> None:
        """Add to a number of this vault."""
        self.cells.add(amount, self.address, *key)

    @property
    def now(self) -> int:
        """Seconds, at the next message."""
        return self.model.scene.ground.now

    @property
    def epoch(self) -> int:
        """Epoch of the committee that is followed."""
        return 1 + self.get("epochs")

    @property
    def members(self) -> Members:
        """The committee that is followed."""
        return self.model.book.committees[self.epoch]

    @property
    def last_at(self) -> int:
        """When the newest checkpoint came, or the vault was opened."""
        return self.get("accepted at") or self.model.scene.opened_at[self.address]

    @property
    def closes_at(self) -> int:
        """End of the notice; zero without one."""
        return self.get("notice") and self.get("notice") + NOTICE

    @property
    def is_closed(self) -> bool:
        """Whether it pays by its last root only."""
        return bool(self.closes_at) and self.now >= self.closes_at

    @property
    def last_root(self) -> Root | None:
        """The newest accepted root."""
        return self.model.roots.get(self.get("executed"))

    def owes(self, token: bytes) -> int:
        """What came in less what went out."""
        out = self.get("withdrawn", token) + self.get("released", token)
        return self.get("deposited", token) - out - sum(treasury_shares(self.get("settled", token)))

    def is_listed(self, token: bytes) -> bool:
        """Whether deposits of a token are taken."""
        return self.get("listed", token) == 1

    def knows(self, height: int, root_hash: bytes) -> bool:
        """Whether a root was accepted for a height."""
        root = self.model.roots.get(height)
        return bool(self.get("accepted", height)) and root is not None and root.hash == root_hash

    # --- deposits ------------------------------------------------------------------------------

    def require_deposit(self, token: bytes, amount: int, beneficiary: bytes) -> None:
        """Whether a deposit may be taken."""
        require(self.is_listed(token), "UnlistedToken")
        require(0 < amount <= DEPOSIT_MAX, "BadAmount")
        require(beneficiary != NOBODY, "ZeroAddress")
        silent = self.now >= self.last_at + SILENCE
        leaving = self.get("successor")
        require(not (self.get("paused") or silent or leaving), "DepositsClosed")

    def deposit(self, payer: bytes, token: bytes, amount: int, beneficiary: bytes) -> None:
        """Take a token deposit."""
        with self.cells.guard(self.address):
            self.require_deposit(token, amount, beneficiary)
            received = self.coins.pull(token, payer, self.address, amount)
            self.record(token, payer, beneficiary, received)

    def deposit_coins(self, payer: bytes, amount: int, beneficiary: bytes) -> None:
        """Take a deposit of the chain's own coin."""
        with self.cells.guard(self.address):
            self.require_deposit(NATIVE, amount, beneficiary)
            self.cells.add(-amount, "balance", NATIVE, payer)
            self.cells.add(amount, "balance", NATIVE, self.address)
            self.record(NATIVE, payer, beneficiary, amount)

    def fund(self, payer: bytes, token: bytes, amount: int, value: int) -> None:
        """Take tokens that are nobody's deposit."""
        with self.cells.guard(self.address):
            require(bool(self.get("known", token)), "UnlistedToken")
            fits = value == (amount if token == NATIVE else 0)
            require(0 < amount <= DEPOSIT_MAX and fits, "BadAmount")
            received = amount
            if token == NATIVE:
                self.cells.add(-amount, "balance", NATIVE, payer)
                self.cells.add(amount, "balance", NATIVE, self.address)
            else:
                received = self.coins.pull(token, payer, self.address, amount)
            self.add(received, "deposited", token)
            if payer not in self.model.scene.vaults:
                self.add(received, "gifts", token)

    def record(self, token: bytes, payer: bytes, beneficiary: bytes, amount: int) -> int:
        """Book a deposit that has arrived."""
        number = self.get("deposits")
        record = Deposit(
            id=number, token=token, depositor=payer, beneficiary=beneficiary, amount=amount
        )
        self.model.records.append(record)
        self.put(number + 1, "deposits")
        self.put(len(self.model.records), "deposit", number)
        self.add(amount, "deposited", token)
        return number

    def deposit_record(self, number: int) -> Deposit | None:
        """A deposit that is known and not refunded."""
        place = self.get("deposit", number)
        return self.model.records[place - 1] if place else None

    # --- checkpoints ---------------------------------------------------------------------------

    def require_current(self) -> None:
        """Whether certificates count."""
        require(not self.is_closed, "VaultClosed")
        require(self.now <= self.last_at + EXPIRY, "CertificateExpired")

    def _require_final(self, proof: Proof) -> None:
        """Whether a proof of finality holds here; flawed ones are made for this vault's epoch."""
        self.require_current()
        require(not proof.flaw, proof.flaw)
        require(hash_members(proof.members) == hash_members(self.members), "WrongCommittee")
        require(proof.first.epoch == self.epoch, "WrongEpoch")

    def checkpoint(self, proof: Proof, fees: tuple[FeeTotal, ...]) -> None:
        """Follow the ledger."""
        with self.cells.guard(self.address):
            self._require_final(proof)
            header = proof.first
            require(header.executed_height > self.get("executed"), "StaleCheckpoint")
            root = self.model.roots[header.executed_height]
            require(fees == root.fees, "WrongFees")
            self.put(root.height, "executed")
            self.put(1, "accepted", root.height)
            self.put(self.now, "accepted at")
            self.put(0, "notice")
            if header.checkpoint_digest != ZERO:
                self.put(int.from_bytes(header.checkpoint_digest, "big"), "snapshot")
            for fee in fees:
                self._note_move(fee)
                self._charge(fee)
            self._reward()

    def _note_move(self, fee: FeeTotal) -> None:
        """Remember what has left this vault, and where it is."""
        if fee.chain_id != CHAIN_ID or not self.get("known", fee.token):
            return
        if fee.vault == self.address:
            if fee.owed:
                self.put(fee.owed, "owed", fee.token)
            return
        if self.get("moved to", fee.token) or (fee.owed and not self.get("owed", fee.token)):
            return
        place = self.model.place_of(fee.vault)
        notice = self.get("notice of", place)
        if notice:
            self.put(place, "moved to", fee.token)
            self.put(self.get("executed"), "moved at", fee.token)
            self.put(notice, "hand over from", fee.token)

    def _charge(self, fee: FeeTotal) -> None:
        """Take a total over, and pay the treasuries if that can be done now."""
        if (fee.chain_id, fee.vault) != (CHAIN_ID, self.address):
            return
        known = self.get("known", fee.token)
        if not known or fee.total <= self.get("certified", fee.token):
            return
        self.put(fee.total, "certified", fee.token)
        self.cells.attempt(lambda: self._settle(fee.token))

    def settle(self, token: bytes) -> None:
        """Pay the treasuries what could not be paid within a checkpoint."""
        with self.cells.guard(self.address):
            self._settle(token)

    def _settle(self, token: bytes) -> None:
        """Pay the increase of the shares to the distributor."""
        certified, settled = self.get("certified", token), self.get("settled", token)
        if certified == settled:
            return
        now, then = treasury_shares(certified), treasury_shares(settled)
        parts = [a - b for a, b in zip(now, then, strict=True)]
        require(sum(parts) <= self.owes(token), "InsufficientVault")
        self.put(certified, "settled", token)
        if sum(parts):
            self.coins.send(token, self.address, self.distributor, sum(parts))
        owed = self.cells.get(self.distributor, "unclaimed", token) + sum(parts)
        require(self.coins.held(token, self.distributor) >= owed, "FeesNotReceived")
        self.cells.put(owed, self.distributor, "unclaimed", token)
        for which, part in enumerate(parts):
            self.cells.add(part, self.distributor, "claimable", which, token)

    def _reward(self) -> None:
        """Mint a block reward if it is time."""
        xom, scene = self.model.scene.xom, self.model.scene
        rewarded_at = self.get("rewarded at") or scene.opened_at[self.address]
        if self.now < rewarded_at + DAY or not self.is_listed(xom):
            return
        if self.model.minter != self.address:
            return
        amount = self.model.mintable()
        if 0 < amount <= DEPOSIT_MAX:
            self.put(self.now, "rewarded at")
            self.cells.add(amount, "minted")
            self.cells.add(amount, "balance", xom, self.address)
            self.record(xom, self.address, REWARDS, amount)

    def boundary(self, proof: Proof, next_members: Members) -> None:
        """Follow the next committee."""
        with self.cells.guard(self.address):
            self._require_final(proof)
            is_next = proof.first.next_committee_hash == hash_members(next_members)
            require(is_next, "WrongNextCommittee")
            self.add(1, "epochs")
            if self.model.registry.vault is self:
                self.model.registry.on_committee(self.epoch, next_members)

    # --- payments ------------------------------------------------------------------------------

    def take(self, root: Root, words_spoilt: bool, leaf: Leaf, stated: Leaf, proven: bool) -> None:
        """Book a withdrawal as paid; `stated` is what the claim says of `leaf`."""
        known = not words_spoilt and self.get("accepted", root.height)
        require(bool(known), "UnknownState")
        is_mine = leaf.vault == self.address and leaf == stated and leaf.index < root.count
        require(is_mine and proven, "BadProof")
        require(not self.get("paid", leaf.index), "AlreadyPaid")
        self.put(1, "paid", leaf.index)
        require(leaf.amount <= self.owes(leaf.token), "InsufficientVault")
        self.add(leaf.amount, "withdrawn", leaf.token)

    def release(self, token: bytes, to: bytes, amount: int) -> None:
        """Pay by an escape or a refund."""
        require(amount <= self.owes(token), "InsufficientVault")
        self.add(amount, "released", token)
        self.coins.send(token, self.address, to, amount)

    def open_escape(self) -> None:
        """Give notice."""
        require(not self.get("notice"), "EscapeNoticedAlready")
        if self.now < self.last_at + SILENCE:
            raise Refused("EscapeTooEarly")
        self.put(self.now, "notice")
