"""What tokens do, honest and hostile: who has how much, and which transfers fail.

Rule: written from what the tokens promise, not from their code.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from tests.contracts.stateful.cells import ANY, Cells, Refused, require

NATIVE = bytes.fromhex("ee" * 20)
ENDLESS = 2**256 - 1


class Mode(IntEnum):
    """What the hostile token does on a transfer."""

    BEHAVE = 0
    REVERT = 1
    BURN_GAS = 2
    REENTER = 3
    RETURN_FALSE = 4
    MOVE_NOTHING = 5


@dataclass
class Coins:
    """Balances and allowances of every token, in the model's cells."""

    cells: Cells
    evil: bytes = b""
    taxed: bytes = b""
    barring: bytes = b""
    walls: set[bytes] = field(default_factory=set)
    """Contracts that take no coins of the chain."""
    purses: dict[bytes, bytes] = field(default_factory=dict)
    """Contracts that take coins from one account only."""
    reentry: Callable[[], object] | None = None
    """What the hostile token does in mode REENTER."""

    def held(self, token: bytes, owner: bytes) -> int:
        """Atoms of an owner."""
        return self.cells.get("balance", token, owner)

    def transfer(self, token: bytes, sender: bytes, to: bytes, amount: int) -> bool:
        """Move tokens as the token does it; says whether the token says that it did."""
        if token == self.evil:
            mode = self.cells.get("mode")
            require(mode not in (Mode.REVERT, Mode.BURN_GAS), ANY)
            if mode == Mode.REENTER and self.reentry is not None:
                self.cells.attempt(self.reentry)
            if mode == Mode.MOVE_NOTHING:
                return True
            if mode == Mode.RETURN_FALSE:
                return False
        if token == self.barring:
            barred = self.cells.get("barred", sender) or self.cells.get("barred", to)
            require(not self.cells.get("paused") and not barred, ANY)
        require(token == NATIVE or to != bytes(20), ANY)
        tax, on_top = 0, False
        if token == self.taxed:
            tax, on_top = amount * self.cells.get("tax") // 100, bool(self.cells.get("on top"))
        taken = amount + tax if on_top else amount
        require(self.held(token, sender) >= taken, ANY)
        self.cells.add(-taken, "balance", token, sender)
        self.cells.add(amount if on_top else amount - tax, "balance", token, to)
        return True

    def send(self, token: bytes, sender: bytes, to: bytes, amount: int) -> None:
        """Pay from a contract of ours: exactly the amount leaves it, or nothing."""
        if token == NATIVE:
            taken = to not in self.walls and self.purses.get(to, sender) == sender
            require(taken and self.held(token, sender) >= amount, "NativeRefused")
        before = self.held(token, sender)
        require(self.transfer(token, sender, to, amount), ANY)
        require(before - self.held(token, sender) == amount, "WrongTransfer")

    def pull(self, token: bytes, owner: bytes, spender: bytes, amount: int) -> int:
        """Take approved tokens into a contract of ours; return what arrived."""
        before = self.held(token, spender)
        self._spend(token, owner, spender, amount)
        require(self.transfer(token, owner, spender, amount), ANY)
        received = self.held(token, spender) - before
        require(0 < received <= amount, "WrongTransfer")
        return received

    def _spend(self, token: bytes, owner: bytes, spender: bytes, amount: int) -> None:
        """Use an allowance up. A hostile token that moves nothing does not look at it."""
        if token == self.evil and self.cells.get("mode") not in (Mode.BEHAVE, Mode.REENTER):
            return
        allowed = self.cells.get("allowance", token, owner, spender)
        if allowed < amount:
            raise Refused(ANY)
        if allowed != ENDLESS:
            self.cells.put(allowed - amount, "allowance", token, owner, spender)
