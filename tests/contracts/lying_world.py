"""A confidential world that also has a private token which can be told to misbehave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contracts.artifact import load_artifact, signature
from contracts.decisions import DecisionKind
from contracts.private_inputs import DEPOSIT
from contracts.transaction import created_address
from primitives.address import to_checksum
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from tests.contracts.confidential_world import ConfidentialWorld
from tests.contracts.harness import (
    DEPLOYED,
    DEPLOYER,
    RELAYER,
    STRANGER,
    TRADER,
    Deployed,
    Evm,
    embedded_evm,
)
from tests.contracts.test_vault_decisions import decide

(HONEST, MOVES_NOTHING, SELF_MINTS, FREE_FOR_ALL, MOVES_LESS, MOVES_MORE, MOVES_BACKWARDS, DENIES,
 FAILS, REVERTS, REENTERS, KEEPS) = range(12)  # fmt: skip
LIAR = "LyingPrivateToken"
DOOR = "ConfidentialVault"
OWNED = 1_000
LYING = "a world with a lying private token"


@dataclass(frozen=True)
class LyingImage(Deployed):
    """A chain with everything deployed."""

    liar: bytes
    door: bytes


class LyingWorld(ConfidentialWorld):
    """Everybody has 1,000 atoms of `liar`, 500 of the stranger's are in the vault."""

    liar: bytes
    liars_door: bytes

    def __init__(self) -> None:
        super().__init__()
        self.fees[self.liars_door] = 0

    def _deploy_all(self, evm: Evm, extra_tokens: tuple[str, ...]) -> None:
        super()._deploy_all(evm, extra_tokens)
        known = DEPLOYED.get(LYING)
        if isinstance(known, LyingImage):
            self.liar, self.liars_door = known.liar, known.door
            self.evm = embedded_evm(known.image, mpc=True)
            return
        self.liar = self.deploy_contract(LIAR)
        for key in (DEPLOYER, TRADER, STRANGER, RELAYER):
            self.tell("mint", to_checksum(key.address), OWNED)
        self.liars_door = self.open_door(self.vault)
        decide(self, DecisionKind.LIST, self.liars_door, 1)
        stranger = self.confidential(STRANGER)
        stranger.deposit_private(self.liars_door, self.aes_key(STRANGER), 500)
        assert self.evm.store is not None
        image = self.evm.store._db.serialize()
        DEPLOYED[LYING] = LyingImage(
            self.deployment, [], self.vault, image, self.liar, self.liars_door
        )

    def open_door(self, vault: bytes) -> bytes:
        """Open a door of the liar for a vault."""
        wallet, aes_key = self.confidential(DEPLOYER), self.aes_key(DEPLOYER)
        nonce = self.evm.web3.eth.get_transaction_count(to_checksum(DEPLOYER.address))
        door = created_address(DEPLOYER.address, nonce + 1)
        wallet.allow_private(self.liar, door, aes_key, 1)
        names = (to_checksum(self.liar), to_checksum(vault), "Receipts", "R", 6)
        assert self.deploy_contract(DOOR, *names) == door
        return door

    def tell(self, function: str, *arguments: Any) -> None:
        """Make the liar do something."""
        done = self.send(DEPLOYER, self.liar, self.encode(LIAR, function, *arguments))
        assert done["status"] == 1

    def reenter(self, target: bytes, payload: bytes, extra: int = 0) -> None:
        """Let the liar call back in its next transfer."""
        self.tell("reenter", to_checksum(target), payload, extra)

    def answered(self) -> str:
        """What became of the call back: empty if it succeeded, else the door's error."""
        if self.view(LIAR, self.liar, "reentered"):
            return ""
        answer = bytes(self.view(LIAR, self.liar, "answer"))
        errors = [one for one in load_artifact(DOOR).abi if one["type"] == "error"]
        names = {keccak256(signature(one).encode())[:4]: one["name"] for one in errors}
        return str(names.get(answer[:4], answer.hex()))

    def deposit_call(self, amount: int, key: PrivateKey = TRADER, door: bytes = b"") -> bytes:
        """Approve, and encrypt a deposit that is not sent yet."""
        door = door or self.liars_door
        wallet, aes_key = self.confidential(key), self.aes_key(key)
        wallet.allow_private(self.liar, door, aes_key, amount)
        terms = wallet.encrypt(door, DEPOSIT, aes_key, amount)
        return self.encode(DOOR, DEPOSIT, terms, to_checksum(key.address))

    def lies(self, key: PrivateKey) -> int:
        """An account's balance of the liar."""
        return self.confidential(key).private_balance(self.liar, self.aes_key(key))

    def receipts(self, door: bytes = b"") -> int:
        """Receipts of the liar's door in existence."""
        return int(self.view(DOOR, door or self.liars_door, "totalSupply"))
