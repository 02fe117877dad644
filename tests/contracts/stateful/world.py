"""One interleaving: each message is foretold by the model, sent, and compared.

Rule: a message that the model takes is taken, one that it refuses is refused for the same reason;
after each the vaults hold what they owe, and owe what the model says.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from contracts.artifact import selectors
from contracts.settlement_types import FeeTotal
from primitives.abi import encode_words
from primitives.keccak import keccak256
from tests.contracts.harness import INSURANCE
from tests.contracts.stateful.book import Root
from tests.contracts.stateful.cells import ANY
from tests.contracts.stateful.coins import NATIVE, Mode
from tests.contracts.stateful.ground import GAS
from tests.contracts.stateful.model import Model
from tests.contracts.stateful.proofs import Proof
from tests.contracts.stateful.scene import OWNERS, RELAYER, THIEF, USERS, Scene, calldata
from tests.contracts.stateful.vault import TREASURIES, Vault

SHORT_GAS = 1_500_000
"""For messages while the hostile token burns all it gets."""
CHECK_ALL_EVERY = 32
BALANCES_SLOT = 0
"""Where all the tokens keep their balances: read without a call, for speed."""
SHORT_PAYLOAD = 36
"""Bytes of a call back that fits beside the payment of fees within a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A checkpoint or a boundary that somebody made and may send again."""

    proof: Proof
    root: Root
    fees: tuple[FeeTotal, ...]


class World:
    """A scene, the model of it, and what was seen so far."""

    def __init__(self, scene: Scene, model: Model) -> None:
        self.scene = scene
        self.ground = scene.ground
        self.model = model
        self.book = model.book
        self.known: list[Known] = []
        self.orders: list[tuple[bytes, Callable[[], None], int, bytes]] = []
        self.decisions: list[tuple[int, bytes, Callable[[], None]]] = []
        self.dice = Random(0)
        self.messages = 0
        self.taken = 0

    # --- choosing ------------------------------------------------------------------------------

    def token(self) -> bytes:
        """Any token."""
        return self.dice.choice(self.book.tokens)

    def user(self) -> bytes:
        """Any user who approved the vaults."""
        return self.dice.choice(USERS).address

    def vault(self) -> Vault:
        """Mostly the vault that the assets are at."""
        main = self.model.vaults.index(self.main)
        return self.model.vaults[main if self.dice.random() < 0.75 else 1 - main]

    @property
    def main(self) -> Vault:
        """The vault that the assets are at."""
        return next(v for v in self.model.vaults if v.address == self.book.vault)

    def chance(self, probability: float) -> bool:
        """Whether something of a probability happens."""
        return self.dice.random() < probability

    # --- acting --------------------------------------------------------------------------------

    def play(
        self,
        sender: bytes,
        to: bytes,
        data: bytes,
        act: Callable[[], object],
        *,
        value: int = 0,
        tokens: tuple[bytes, ...] = (),
    ) -> bool:
        """Foretell a message, send it, compare; says whether it was taken."""
        burns = self.model.cells.get("mode") == Mode.BURN_GAS
        burns = burns and self.scene.tokens["EVIL"] in tokens
        expected = self.model.cells.attempt(act)
        outcome = self.ground.send(sender, to, data, value, SHORT_GAS if burns else GAS)
        self.messages += 1
        self.taken += outcome.done
        found = self.scene.reason(outcome)
        fits = found == expected or (expected == ANY and not outcome.done)
        assert fits, f"refused with {found!r}, should be {expected!r}"
        for token in dict.fromkeys(tokens):
            self.check_token(token)
        return outcome.done

    def send(self, vault: Vault, data: bytes, act: Callable[[], object], *tokens: bytes) -> bool:
        """The same, by a relayer to a vault."""
        return self.play(RELAYER, vault.address, data, act, tokens=tokens)

    def shorten_reentry(self) -> None:
        """The fees of a checkpoint are paid with little gas; the model does not count gas."""
        cells = self.model.cells
        if cells.get("mode") == Mode.REENTER and cells.get("payload") > SHORT_PAYLOAD:
            data = calldata("HostileToken", "setMode", Mode.BEHAVE, bytes(20), b"")
            assert self.ground.send(RELAYER, self.scene.tokens["EVIL"], data).done
            cells.put(Mode.BEHAVE, "mode")

    # --- invariants ----------------------------------------------------------------------------

    def balance(self, token: bytes, owner: bytes) -> int:
        """Atoms on the chain."""
        if token == NATIVE:
            return self.ground.coins(owner)
        slot = keccak256(encode_words(owner, BALANCES_SLOT))
        return self.ground.slot(token, int.from_bytes(slot, "big"))

    def check_token(self, token: bytes) -> None:
        """Vaults and distributors hold a token as the model says, and no less than they owe."""
        data = selectors("Settlement")["liabilities"] + encode_words(token)
        for vault in self.model.vaults:
            if vault is not self.main and not vault.get("deposited", token):
                continue
            owed = int.from_bytes(self.ground.view(vault.address, data), "big")
            held = self.balance(token, vault.address)
            assert held >= owed, "the vault holds less than it owes"
            assert owed == vault.owes(token), "the vault owes another amount"
            assert held == self.model.coins.held(token, vault.address), "the vault was robbed"

    def check_all(self) -> None:
        """Everybody has what the model says."""
        people = (*(user.address for user in USERS), RELAYER, THIEF, INSURANCE, *TREASURIES)
        for token in self.book.tokens:
            self.check_token(token)
            for owner in (*people, *(vault.distributor for vault in self.model.vaults)):
                found, expected = self.balance(token, owner), self.model.coins.held(token, owner)
                assert found == expected, f"{owner.hex()} has {found} of {token.hex()}"
        self.check_registry()

    def check_registry(self, sender: bytes = b"") -> None:
        """No stake was lost or made; the records of who leaves, and of the sender, are right."""
        registry, cells = self.scene.registry, self.model.cells
        data = selectors("ValidatorRegistry")["totalStake"]
        total = int.from_bytes(self.ground.view(registry, data), "big")
        assert total == cells.get("total stake"), "stake was lost or made"
        held = self.balance(self.scene.xom, registry)
        assert held == self.model.coins.held(self.scene.xom, registry) >= total
        for owner in OWNERS:
            if owner == sender or cells.get("exiting", owner):
                self.check_validator(owner)

    def check_validator(self, owner: bytes) -> None:
        """The registry says of an owner what the model says."""
        data = selectors("ValidatorRegistry")["validator"] + encode_words(owner)
        record = self.ground.view(self.scene.registry, data)
        words = tuple(int.from_bytes(record[i : i + 32], "big") for i in range(0, 224, 32))
        assert words == self.model.registry.record(owner), "a validator's record is another"
