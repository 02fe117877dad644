"""A vault with the door of a private token, on a chain with the emulated precompile."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.confidential_deployment import deploy_confidential
from contracts.confidential_plan import CoinPlan, Confidential
from contracts.confidential_wallet import ConfidentialWallet
from contracts.decisions import DecisionKind
from primitives.address import to_checksum
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import (
    CHAIN_ID,
    DEPLOYED,
    DEPLOYER,
    TRADER,
    Deployed,
    Evm,
    World,
    embedded_evm,
)
from tests.contracts.test_vault_decisions import decide

KEYS: dict[bytes, bytes] = {}
"""AES keys by address: onboarding gives the same one every time."""


CONFIDENTIAL = "a world with private tokens"


@dataclass(frozen=True)
class ConfidentialImage(Deployed):
    """A chain with everything deployed."""

    parts: Confidential


class ConfidentialWorld(World):
    """The usual world with `parts.coin` over USDX and its door, listed by the committee."""

    parts: Confidential

    def __init__(self) -> None:
        super().__init__(embedded_evm(mpc=True))
        self.fees[self.parts.door] = 0

    def _deploy_all(self, evm: Evm, extra_tokens: tuple[str, ...]) -> None:
        known = DEPLOYED.get(CONFIDENTIAL)
        if isinstance(known, ConfidentialImage):
            self.evm = embedded_evm(known.image, mpc=True)
            self.deployment, self.parts, self.extra = known.deployment, known.parts, []
            self.vault = known.vault
            return
        evm.rpc.call("evm_mine")  # so that nothing of another chain is taken
        super()._deploy_all(evm, extra_tokens)
        web3 = self.evm.web3
        usdx = next(token.address for token in self.deployment.tokens if token.symbol == "USDX")
        wallet = self.confidential(DEPLOYER)
        wallet.mint(usdx, DEPLOYER.address, 1)
        plan = CoinPlan(name="Private USDX", symbol="pUSDX", decimals=6, underlying=usdx, scale=1)
        nonce = web3.eth.get_transaction_count(to_checksum(DEPLOYER.address))
        self.parts = deploy_confidential(
            web3, plan, self.vault, DEPLOYER, chain_id=CHAIN_ID, nonce=nonce
        )
        assert self.evm.store is not None
        decide(self, DecisionKind.LIST, self.parts.door, 1)
        image = self.evm.store._db.serialize()
        DEPLOYED[CONFIDENTIAL] = ConfidentialImage(
            self.deployment, [], self.vault, image, self.parts
        )

    def confidential(self, key: PrivateKey) -> ConfidentialWallet:
        """A wallet that can use private tokens."""
        return ConfidentialWallet(self.evm.web3, key, chain_id=CHAIN_ID)

    def aes_key(self, key: PrivateKey) -> bytes:
        """An account's AES key, asked for once."""
        if key.address not in KEYS:
            KEYS[key.address] = self.confidential(key).onboard()
        return KEYS[key.address]

    def private_balance(self, key: PrivateKey) -> int:
        """An account's private balance, as it sees it itself."""
        return self.confidential(key).private_balance(self.parts.coin, self.aes_key(key))

    def wrap(self, amount: int, key: PrivateKey = TRADER) -> None:
        """Give an account private tokens."""
        wallet = self.confidential(key)
        wallet.mint(self.usdx, key.address, amount)
        wallet.wrap(self.parts.coin, amount)

    def deposit_private(self, amount: int, key: PrivateKey = TRADER, to: bytes = b"") -> int:
        """Wrap and deposit."""
        self.wrap(amount, key)
        wallet = self.confidential(key)
        return wallet.deposit_private(self.parts.door, self.aes_key(key), amount, to or key.address)
