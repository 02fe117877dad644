"""Move a trader's own tokens: balances, deposits into a vault, transfers, test money.

Rule: the key stays in this process; amounts are atoms; every method waits for its receipt. With an
outbox, programs that use one key take turns, and none of them sends twice after a crash.

Spec: docs/spec/settlement.md §3
Deviations: none
"""

from __future__ import annotations

from typing import Any

from web3 import Web3

from contracts.artifact import load_artifact, topics
from contracts.evm_web3 import translated_errors
from contracts.limits import (
    APPROVE_GAS,
    DEPOSIT_GAS,
    VALUE_TRANSFER_GAS,
)
from contracts.outbox import Outbox
from contracts.settlement_calls import as_integer
from contracts.web3_sender import Web3Sender
from primitives.address import to_checksum
from primitives.errors import TransientError
from primitives.secp256k1 import PrivateKey

TRANSFER_GAS = 150_000


class Wallet:
    """One account on one EVM chain; calls may come from several threads."""

    def __init__(
        self,
        web3: Web3,
        key: PrivateKey,
        *,
        chain_id: int,
        mine_at_once: bool = False,
        outbox: Outbox | None = None,
    ) -> None:
        """Use a connected web3; `mine_at_once` asks a devnet chain for a block after sending."""
        self.address = key.address
        self._web3 = web3
        self._sender = Web3Sender(
            web3, key, chain_id=chain_id, mine_at_once=mine_at_once, outbox=outbox
        )

    def native_balance(self) -> int:
        """Return the balance that pays for gas, wei."""
        with translated_errors():
            return int(self._web3.eth.get_balance(to_checksum(self.address)))

    def token_balance(self, token: bytes, owner: bytes | None = None) -> int:
        """Return a token balance, of this account if no owner is named, atoms."""
        holder = to_checksum(self.address if owner is None else owner)
        with translated_errors():
            return int(self._contract("TestToken", token).functions.balanceOf(holder).call())

    def deposit(
        self, vault: bytes, token: bytes, amount: int, beneficiary: bytes | None = None
    ) -> int:
        """Approve and deposit; return the deposit's id. Raises ContractRefused, TransientError."""
        contract = self._contract("TestToken", token)
        owner, spender = to_checksum(self.address), to_checksum(vault)
        with translated_errors():
            allowance = int(contract.functions.allowance(owner, spender).call())
        if allowance < amount:
            self._send(token, contract.encode_abi("approve", args=[spender, amount]), APPROVE_GAS)
        credited = to_checksum(self.address if beneficiary is None else beneficiary)
        payload = self._contract("Settlement", vault).encode_abi(
            "depositFor", args=[to_checksum(token), amount, credited]
        )
        receipt = self._send(vault, payload, DEPOSIT_GAS)
        for log in receipt["logs"]:
            deposited = bytes(log["topics"][0]) == topics("Settlement")["Deposited"]
            if deposited and log["address"] == spender:
                return as_integer(bytes(log["topics"][1]))
        raise TransientError("the deposit was mined without its event")

    def transfer(self, token: bytes, to: bytes, amount: int) -> None:
        """Send tokens; raises ContractRefused, TransientError."""
        payload = self._contract("TestToken", token).encode_abi(
            "transfer", args=[to_checksum(to), amount]
        )
        self._send(token, payload, TRANSFER_GAS)

    def mint(self, token: bytes, to: bytes, amount: int) -> None:
        """Make test tokens (devnet only; real tokens refuse); raises ContractRefused."""
        payload = self._contract("TestToken", token).encode_abi(
            "mint", args=[to_checksum(to), amount]
        )
        self._send(token, payload, TRANSFER_GAS)

    def send_native(self, to: bytes, wei: int) -> None:
        """Send the coin that pays for gas; raises TransientError, GasAccountEmpty."""
        self._send(to, "0x", VALUE_TRANSFER_GAS, wei)

    def _contract(self, name: str, address: bytes) -> Any:
        """web3's contract object."""
        return self._web3.eth.contract(
            address=to_checksum(address), abi=list(load_artifact(name).abi)
        )

    def _send(self, to: bytes | None, payload: str, gas: int, value: int = 0) -> Any:
        """Send a transaction, to nobody for a new contract, and return its receipt."""
        return self._sender.send(to, payload, gas=gas, value=value)
