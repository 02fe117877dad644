"""Wrap, unwrap and deposit private tokens so that a crash cannot do it twice.

Rule: everything goes through the account's outbox; the same call after a crash finishes what was on
its way. An encrypted amount makes every payload another one, so what is on its way is decrypted to
see whether it is the same.

Spec: docs/spec/confidential.md §3; docs/spec/settlement.md §10
Deviations: nothing is tried for free first: COTI's nodes cannot compute on encrypted values then.
"""

from __future__ import annotations

from contracts.artifact import selectors, topics
from contracts.errors import ContractRefused, RpcRefused
from contracts.limits import APPROVE_GAS, PRIVATE_GAS
from contracts.private_inputs import APPROVE, DEPOSIT, UNWRAP, PrivateCall
from contracts.receipts import Receipt
from contracts.rpc import Rpc
from contracts.rpc_values import data, parse_data, parse_list, parse_object
from contracts.settlement_calls import Event, as_integer, encode_view, revert_reason
from contracts.transactor import Transactor
from primitives.abi import WORD_BYTES, encode_words
from primitives.address import to_checksum
from primitives.errors import TransientError
from primitives.secp256k1 import PrivateKey


class ConfidentialSender:
    """What one account does with its private tokens on one chain, paying the gas."""

    def __init__(self, rpc: Rpc, transactor: Transactor, key: PrivateKey) -> None:
        """`key` is the transactor's: inputs are signed by whoever sends the transaction."""
        self._rpc = rpc
        self._transactor = transactor
        self._key = key

    def token_of_door(self, door: bytes) -> bytes:
        """Return the private token behind a door. Raises ContractRefused if there is none."""
        return self._ask(door, "ConfidentialVault", "token")[-20:]

    def wrap(self, coin: bytes, amount: int) -> None:
        """Make private tokens of public ones; the amount is public.

        Raises ContractRefused, TransientError (repeat the call), GasAccountEmpty.
        """
        payload = selectors("ConfidentialCoin")["wrap"] + encode_words(amount)
        left = self._transactor.find_left()
        if left is None or not left.matches(coin, payload, 0):
            underlying = self._ask(coin, "ConfidentialCoin", "underlying")[-20:]
            cost = amount * as_integer(self._ask(coin, "ConfidentialCoin", "scale"))
            owner = self._transactor.address
            allowed = self._ask(underlying, "TestToken", "allowance", owner, coin)
            if as_integer(allowed) < cost:
                approval = encode_view("TestToken", "approve", coin, cost)
                self._send(underlying, approval, APPROVE_GAS)
        self._send(coin, payload, PRIVATE_GAS)

    def unwrap(self, coin: bytes, aes_key: bytes, amount: int) -> None:
        """Make public tokens of private ones; the amount becomes public. Raises like `wrap`."""
        self._send_private(PrivateCall(to=coin, function=UNWRAP, amount=amount), aes_key)

    def deposit(
        self, door: bytes, aes_key: bytes, amount: int, beneficiary: bytes | None = None
    ) -> int | None:
        """Approve and deposit; return the deposit's id, None if it cannot be read now.

        The amount becomes public. Raises like `wrap`.
        """
        credited = self._transactor.address if beneficiary is None else beneficiary
        call = PrivateCall(to=door, function=DEPOSIT, amount=amount, account=credited)
        if self._find_left(call, aes_key) is None:
            token = self.token_of_door(door)
            approval = PrivateCall(to=token, function=APPROVE, amount=amount, account=door)
            self._send_private(approval, aes_key)
        receipt = self._send_private(call, aes_key)
        try:
            return self._entered(door, receipt)
        except TransientError:  # it has happened, so nobody must be told to repeat it
            return None

    def _send_private(self, call: PrivateCall, aes_key: bytes) -> Receipt:
        """Send a call, or finish the one on its way that means the same."""
        payload = self._find_left(call, aes_key)
        if payload is None:
            payload = call.encode(self._key, aes_key)
        return self._send(call.to, payload, PRIVATE_GAS)

    def _find_left(self, call: PrivateCall, aes_key: bytes) -> bytes | None:
        """The payload on its way that means the same as a call."""
        left = self._transactor.find_left()
        if left is None or left.wei or not call.means(left.to, left.payload, aes_key):
            return None
        return left.payload

    def _send(self, to: bytes, payload: bytes, gas: int) -> Receipt:
        receipt = self._transactor.send(to, payload, gas=gas)
        if not receipt.succeeded:
            raise ContractRefused(f"transaction 0x{receipt.transaction_hash.hex()} was reverted")
        return receipt

    def _entered(self, door: bytes, receipt: Receipt) -> int | None:
        """The id of the deposit that a transaction made. Raises TransientError."""
        try:
            answer = self._rpc.call("eth_getTransactionReceipt", data(receipt.transaction_hash))
        except RpcRefused as problem:
            raise TransientError(str(problem)) from problem
        entered = data(topics("ConfidentialVault")["Entered"])
        for log in parse_list(parse_object(answer).get("logs")):
            fields = parse_object(log)
            if parse_data(fields.get("address"), 20) != door:
                continue
            if parse_list(fields.get("topics"))[:1] == [entered]:
                event = Event(log, "ConfidentialVault", "Entered", data_words=1, indexed=2)
                return as_integer(event.topics[2])
        return None

    def _ask(self, contract: bytes, name: str, function: str, *arguments: bytes) -> bytes:
        """One word; a contract that does not know has another purpose."""
        message = {"to": data(contract), "data": data(encode_view(name, function, *arguments))}
        try:
            answer = parse_data(self._rpc.call("eth_call", message, "latest"))
        except RpcRefused as problem:
            if revert_reason(problem) is None:
                raise TransientError(str(problem)) from problem
            answer = b""
        if len(answer) != WORD_BYTES:
            raise ContractRefused(
                f"{to_checksum(contract)} has no {function}: it is not for private tokens"
            )
        return answer
