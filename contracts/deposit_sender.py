"""Deposit one's own tokens, paying the gas, so that a crash cannot deposit twice.

Rule: everything goes through the account's outbox; the same call after a crash finishes the deposit
that was on its way and returns its id instead of making another one.

Spec: docs/spec/settlement.md §3, §10
Deviations: none
"""

from __future__ import annotations

from contracts.artifact import selectors
from contracts.deposit_orders import NATIVE
from contracts.errors import ContractRefused, RpcRefused
from contracts.limits import APPROVE_GAS, DEPOSIT_GAS
from contracts.receipts import Receipt
from contracts.rpc import Rpc
from contracts.rpc_values import data, parse_data
from contracts.settlement_calls import as_integer, encode_view, revert_reason
from contracts.settlement_client import SettlementClient
from contracts.transactor import Transactor
from primitives.abi import encode_words
from primitives.errors import TransientError


class DepositSender:
    """Deposits of one account into one vault."""

    def __init__(
        self, rpc: Rpc, client: SettlementClient, transactor: Transactor, *, vault: bytes
    ) -> None:
        self._rpc = rpc
        self._client = client
        self._transactor = transactor
        self._vault = vault

    def deposit(self, token: bytes, amount: int, beneficiary: bytes) -> int | None:
        """Approve if necessary and deposit; return the deposit's id, None if it cannot be read now.

        Raises ContractRefused, TransientError (repeat the call), GasAccountEmpty, WrongNetwork.
        """
        self._client.connect()
        if token == NATIVE:
            payload = selectors("Settlement")["depositNative"] + encode_words(beneficiary)
            return self._send_deposit(payload, amount)
        payload = selectors("Settlement")["depositFor"] + encode_words(token, amount, beneficiary)
        left = self._transactor.find_left()
        if left is not None and left.matches(self._vault, payload, 0):
            return self._send_deposit(payload, 0)
        allowance = encode_view("TestToken", "allowance", self._transactor.address, self._vault)
        if as_integer(self._call(token, allowance)) < amount:
            approval = encode_view("TestToken", "approve", self._vault, amount)
            self._verify(self._transactor.send(token, approval, gas=APPROVE_GAS))
        self._call(self._vault, payload, sender=self._transactor.address)  # for free first
        return self._send_deposit(payload, 0)

    def _send_deposit(self, payload: bytes, value: int) -> int | None:
        receipt = self._transactor.send(self._vault, payload, gas=DEPOSIT_GAS, value=value)
        self._verify(receipt)
        try:
            found = self._client.deposits_in(receipt.block_number, receipt.block_number)
        except TransientError:  # it has happened, so nobody must be told to repeat it
            return None
        mine = (one.id for one in found if one.transaction_hash == receipt.transaction_hash)
        return next(mine, None)

    def _verify(self, receipt: Receipt) -> None:
        if not receipt.succeeded:
            raise ContractRefused(f"transaction 0x{receipt.transaction_hash.hex()} was reverted")

    def _call(self, to: bytes, payload: bytes, sender: bytes = b"") -> bytes:
        message = {"to": data(to), "data": data(payload)}
        if sender:
            message["from"] = data(sender)
        try:
            return parse_data(self._rpc.call("eth_call", message, "latest"))
        except RpcRefused as problem:
            reason = revert_reason(problem)
            if reason is not None:
                raise reason from problem
            raise TransientError(str(problem)) from problem
