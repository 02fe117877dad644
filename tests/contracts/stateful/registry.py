"""Stakes, unbonding and penalties, as the specification has them.

Rule: as in `vault`. The sum of all stakes is what the registry holds.

Spec: docs/spec/settlement.md §9
Deviations: none
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from tests.contracts.harness import INSURANCE
from tests.contracts.stateful.cells import require
from tests.contracts.stateful.proofs import Members
from tests.contracts.stateful.scene import HOT_KEYS, OWNERS
from tests.contracts.stateful.vault import DAY, NOBODY, Vault

if TYPE_CHECKING:
    from tests.contracts.stateful.model import Model

WEEK = 7 * DAY
STAKE_MIN = 1_000 * 10**18
STAKE_ADDED_MIN = 10**18
UNBONDING = 14 * DAY
RECORD = ("hot key", "services", "exiting", "payout", "seated", "network key", "stake")


class Registry:
    """The registry of the model. Hot keys are named by their number plus one."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.cells = model.cells

    @property
    def vault(self) -> Vault:
        """The vault whose committees it follows."""
        return self.model.vaults[self.cells.get("followed")]

    @property
    def now(self) -> int:
        """Seconds, at the next message."""
        return self.model.scene.ground.now

    def get(self, *key: Hashable) -> int:
        """A number."""
        return self.cells.get(*key)

    def owner_of(self, key: int) -> bytes | None:
        """Who has, or had, a hot key."""
        number = self.get("owner of", key) or (key + 1 if key < 6 else 0)
        return OWNERS[number - 1] if number else None

    def is_registered(self, owner: bytes) -> bool:
        """Whether an owner has a record."""
        return self.get("hot key", owner) != 0

    def register(self, owner: bytes, amount: int, key: int, services: int, proven: bool) -> None:
        """Join."""
        require(amount >= STAKE_MIN, "StakeTooSmall")
        require(proven, "HotKeyNotProven")
        require(services <= 7, "UnknownService")
        require(not self.is_registered(owner), "AlreadyRegistered")
        require(self.owner_of(key) is None, "HotKeyTaken")
        self.cells.put(OWNERS.index(owner) + 1, "owner of", key)
        self.cells.put(key + 1, "hot key", owner)
        self.cells.put(services, "services", owner)
        self.cells.put(int.from_bytes(owner, "big"), "payout", owner)
        self._add(owner, owner, amount)

    def add_stake(self, payer: bytes, owner: bytes, amount: int) -> None:
        """Add to a stake."""
        require(amount >= STAKE_ADDED_MIN, "StakeTooSmall")
        require(self.is_registered(owner), "NotRegistered")
        require(not self.get("exiting", owner), "Leaving")
        self._add(payer, owner, amount)

    def _add(self, payer: bytes, owner: bytes, amount: int) -> None:
        """Take tokens into a stake."""
        self.cells.add(amount, "stake", owner)
        self.cells.add(amount, "total stake")
        self._pay(payer, self.model.scene.registry, amount)

    def _pay(self, sender: bytes, to: bytes, amount: int) -> None:
        """Move XOM."""
        require(self.model.coins.transfer(self.model.scene.xom, sender, to, amount), "*")

    def change_key(self, owner: bytes, key: int, proven: bool) -> None:
        """Sign with another key."""
        require(self.is_registered(owner), "NotRegistered")
        require(proven, "HotKeyNotProven")
        require(self.owner_of(key) is None, "HotKeyTaken")
        self.cells.put(OWNERS.index(owner) + 1, "owner of", key)
        self.cells.put(key + 1, "hot key", owner)

    def change_payout(self, owner: bytes, payout: bytes) -> None:
        """Be paid on another account."""
        require(payout != NOBODY, "ZeroAddress")
        require(self.is_registered(owner), "NotRegistered")
        self.cells.put(int.from_bytes(payout, "big"), "payout", owner)

    def change_services(self, owner: bytes, network_key: bytes, services: int) -> None:
        """Offer others, from another identity."""
        require(services <= 7, "UnknownService")
        require(self.is_registered(owner), "NotRegistered")
        self.cells.put(int.from_bytes(network_key, "big"), "network key", owner)
        self.cells.put(services, "services", owner)

    def record(self, owner: bytes) -> tuple[int, ...]:
        """What the registry has to say of an owner, as the words of its record."""
        key = self.get("hot key", owner)
        return (
            int.from_bytes(HOT_KEYS[key - 1].address, "big") if key else 0,
            self.get("services", owner),
            self.get("exiting", owner),
            self.get("payout", owner),
            self.get("seated", owner),
            self.get("network key", owner),
            self.get("stake", owner),
        )

    def request_exit(self, owner: bytes) -> None:
        """Ask to leave."""
        require(self.is_registered(owner), "NotRegistered")
        require(not self.get("exiting", owner), "Leaving")
        self.cells.put(1, "exiting", owner)
        self.cells.put(self.vault.epoch, "seated", owner)
        self.cells.add(1, "leaving")

    def exit_at(self, owner: bytes) -> int:
        """When a stake can be taken out; zero if that is not known."""
        if not self.get("exiting", owner):
            return 0
        since = self.get("committee at", self.get("seated", owner) + 1)
        if not since and self.vault.is_closed:
            since = self.vault.closes_at
        return since and since + UNBONDING

    def withdraw(self, owner: bytes) -> None:
        """Take the stake out."""
        require(self.is_registered(owner), "NotRegistered")
        at = self.exit_at(owner)
        require(at != 0 and self.now >= at, "StillBonded")
        stake = self.get("stake", owner)
        for name in RECORD:
            self.cells.put(0, name, owner)
        self.cells.add(-stake, "total stake")
        self.cells.add(-1, "leaving")
        self._pay(self.model.scene.registry, owner, stake)

    def on_committee(self, epoch: int, members: Members) -> None:
        """Note the time, and who still has a seat."""
        if not self.get("leaving"):
            return
        self.cells.put(self.now, "committee at", epoch)
        for member in members:
            owner = self.owner_of([key.address for key in HOT_KEYS].index(member.address))
            if owner is not None and self.get("exiting", owner):
                self.cells.put(epoch, "seated", owner)

    def follow(self) -> None:
        """Follow the successor of the vault."""
        place = self.vault.get("successor")
        require(bool(place) and self.now >= self.vault.get("successor at"), "NoSuccessor")
        other = self.model.vault_at(place)
        require(other is not None, "?")  # the liar has no epoch
        assert other is not None
        require(other.epoch >= self.vault.epoch, "NoSuccessor")
        self.cells.put(self.model.vaults.index(other), "followed")

    # --- penalties -----------------------------------------------------------------------------

    def report(self, reporter: bytes, key: int, epoch: int, view: int, flaw: str) -> None:
        """Punish two conflicting votes of a key."""
        require(not flaw, flaw)
        owner = self.owner_of(key)
        require(owner is not None, "NoEquivocation")
        assert owner is not None
        require(not self.get("punished", key, epoch, view), "AlreadyPunished")
        self.cells.put(1, "punished", key, epoch, view)
        require(self.is_registered(owner), "NotRegistered")
        stake, week = self.get("stake", owner), self.now // WEEK
        if not self.get("convicted", week, owner):
            self.cells.put(stake, "convicted", week, owner)
            self.cells.add(stake, "convicted", week)
            most = max(self.get("total stake"), self.get("stake of week", week))
            self.cells.put(most, "stake of week", week)
        own = stake * 5 // 100
        self._take(reporter, owner, own + self._raise(owner, week, stake - own))

    def raise_penalty(self, caller: bytes, owner: bytes, week: int) -> None:
        """Take what others' convictions added."""
        require(self.is_registered(owner), "NotRegistered")
        require(self.get("convicted", week, owner) != 0, "NotConvicted")
        amount = self._raise(owner, week, self.get("stake", owner))
        require(amount != 0, "NothingToRaise")
        self._take(caller, owner, amount)

    def _raise(self, owner: bytes, week: int, left: int) -> int:
        """What is due for others' offences and was not paid, as far as there is stake."""
        mine = self.get("convicted", week, owner)
        near = range(week - 1, week + 2)
        others = sum(self.get("convicted", w) - self.get("convicted", w, owner) for w in near)
        total = max(self.get("stake of week", w) for w in near)
        due = mine if 3 * others >= total else mine * 3 * others // total
        paid = self.get("raised", week, owner)
        amount = min(left, max(0, due - paid))
        self.cells.add(amount, "raised", week, owner)
        return amount

    def _take(self, caller: bytes, owner: bytes, amount: int) -> None:
        """A tenth to the caller, the rest to the insurance fund."""
        self.cells.add(-amount, "stake", owner)
        self.cells.add(-amount, "total stake")
        self._pay(self.model.scene.registry, caller, amount // 10)
        self._pay(self.model.scene.registry, INSURANCE, amount - amount // 10)
