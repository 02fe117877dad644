"""Use a private token: get the key, see the balance, wrap, unwrap, deposit into the vault.

Rule: amounts are encrypted and signed here, by the key that sends the transaction; what is public
all the same is said in docs/explanation/confidential.md. Every method waits for its receipt; a
crash in between is not remembered, so people's own amounts go through `ConfidentialSender`.

Spec: docs/spec/confidential.md §2 and §3
Deviations: none
"""

from __future__ import annotations

from typing import Any, Final

from web3 import Web3
from web3.exceptions import BadFunctionCallOutput, ContractLogicError

from contracts.artifact import topics
from contracts.confidential_cipher import (
    ONBOARDING,
    OnboardingKey,
    decrypt_amount,
    encrypt_amount,
    sign_input,
)
from contracts.errors import ContractRefused
from contracts.evm_web3 import translated_errors
from contracts.limits import PRIVATE_GAS
from contracts.outbox import Outbox
from contracts.private_inputs import APPROVE, DEPOSIT, UNWRAP
from contracts.settlement_calls import as_integer
from contracts.wallet import Wallet
from primitives.address import to_checksum
from primitives.errors import TransientError
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

CREATION_GAS: Final = 6_000_000


class ConfidentialWallet(Wallet):
    """One account that can use private tokens."""

    def __init__(
        self,
        web3: Web3,
        key: PrivateKey,
        *,
        chain_id: int,
        mine_at_once: bool = False,
        outbox: Outbox | None = None,
    ) -> None:
        """As `Wallet`."""
        super().__init__(web3, key, chain_id=chain_id, mine_at_once=mine_at_once, outbox=outbox)
        self._key = key

    def onboard(self, onboarding: bytes = ONBOARDING) -> bytes:
        """Return this account's AES key, the same every time. Raises ContractRefused."""
        rsa = OnboardingKey()
        contract = self._contract("Onboarding", onboarding)
        payload = contract.encode_abi("onboardAccount", args=[rsa.public, rsa.sign(self._key)])
        receipt = self._send(onboarding, payload, PRIVATE_GAS)
        event = contract.events.AccountOnboarded()
        for log in receipt["logs"]:
            if log["address"] == contract.address and len(log["topics"]) == 2:
                told = event.process_log(log)["args"]
                if told["_from"] == to_checksum(self.address):
                    return rsa.recover(told["userKey1"], told["userKey2"])
        raise TransientError("the account was onboarded without its event")

    def has_code(self, address: bytes) -> bool:
        """Whether there is a contract at an address."""
        with translated_errors():
            return bool(self._web3.eth.get_code(to_checksum(address)))

    def token_of_door(self, door: bytes) -> bytes:
        """Return the private token behind a door. Raises ContractRefused if there is none."""
        return self._address(self._contract("ConfidentialVault", door), "token")

    def private_balance(self, token: bytes, aes_key: bytes) -> int:
        """Return the account's own balance, atoms. Raises ValueError for a wrong key."""
        contract = self._contract("ConfidentialCoin", token)
        reader = contract.get_function_by_signature("balanceOf(address)")
        with translated_errors():
            ciphertext = int(reader(to_checksum(self.address)).call())
        return decrypt_amount(aes_key, ciphertext)

    def wrap(self, coin: bytes, amount: int) -> None:
        """Make private tokens of public ones; the amount is public. Raises ContractRefused."""
        contract = self._contract("ConfidentialCoin", coin)
        underlying = self._address(contract, "underlying")
        with translated_errors():
            cost = amount * int(contract.functions.scale().call())
        self._allow(underlying, coin, cost)
        self._send(coin, contract.encode_abi("wrap", args=[amount]), PRIVATE_GAS)

    def unwrap(self, coin: bytes, aes_key: bytes, amount: int) -> None:
        """Make public tokens of private ones; the amount becomes public. Raises ContractRefused."""
        contract = self._contract("ConfidentialCoin", coin)
        terms = self.encrypt(coin, UNWRAP, aes_key, amount)
        self._send(coin, contract.encode_abi(UNWRAP, args=[terms]), PRIVATE_GAS)

    def allow_private(self, token: bytes, spender: bytes, aes_key: bytes, amount: int) -> None:
        """Let a contract take private tokens; how many is not public. Raises ContractRefused."""
        terms = self.encrypt(token, APPROVE, aes_key, amount)
        contract = self._contract("ConfidentialCoin", token)
        payload = contract.encode_abi(APPROVE, args=[to_checksum(spender), terms])
        self._send(token, payload, PRIVATE_GAS)

    def deposit_private(
        self, door: bytes, aes_key: bytes, amount: int, beneficiary: bytes | None = None
    ) -> int:
        """Approve and deposit; return the deposit's id. The amount becomes public.

        Raises ContractRefused, TransientError.
        """
        contract = self._contract("ConfidentialVault", door)
        self.allow_private(self.token_of_door(door), door, aes_key, amount)
        terms = self.encrypt(door, DEPOSIT, aes_key, amount)
        credited = to_checksum(self.address if beneficiary is None else beneficiary)
        payload = contract.encode_abi(DEPOSIT, args=[terms, credited])
        receipt = self._send(door, payload, PRIVATE_GAS)
        entered = topics("ConfidentialVault")["Entered"]
        for log in receipt["logs"]:
            if log["address"] == contract.address and bytes(log["topics"][0]) == entered:
                return as_integer(bytes(log["topics"][2]))
        raise TransientError("the deposit was mined without its event")

    def create(self, payload: str) -> bytes:
        """Create a contract and return its address. Raises ContractRefused, TransientError."""
        return bytes.fromhex(self._send(None, payload, CREATION_GAS)["contractAddress"][2:])

    def encrypt(
        self, contract: bytes, function: str, aes_key: bytes, amount: int
    ) -> tuple[int, bytes]:
        """Return an amount as an input of one function of one contract: ciphertext, signature."""
        ciphertext = encrypt_amount(aes_key, amount)
        selector = keccak256(function.encode())[:4]
        return ciphertext, sign_input(self._key, contract, selector, ciphertext)

    def _address(self, contract: Any, function: str) -> bytes:
        """Ask a contract for an address; one that does not know has another purpose."""
        with translated_errors():
            try:
                return bytes.fromhex(contract.functions[function]().call()[2:])
            except (BadFunctionCallOutput, ContractLogicError) as error:
                raise ContractRefused(
                    f"{contract.address} has no {function}: it is not for private tokens"
                ) from error

    def _allow(self, token: bytes, spender: bytes, amount: int) -> None:
        """Approve public tokens unless they are."""
        contract: Any = self._contract("TestToken", token)
        names = to_checksum(self.address), to_checksum(spender)
        with translated_errors():
            allowance = int(contract.functions.allowance(*names).call())
        if allowance < amount:
            payload = contract.encode_abi("approve", args=[names[1], amount])
            self._send(token, payload, PRIVATE_GAS)
