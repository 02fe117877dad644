"""An RPC whose chain a test moves by hand: it mines, forks, forgets and fails when told to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from contracts.errors import RpcRefused
from contracts.rpc_values import data, quantity
from primitives.errors import TransientError
from primitives.keccak import keccak256


@dataclass
class FakeRpc:
    """Implements what the transactor asks for."""

    height: int = 10
    fork: int = 0
    nonce: int = 0
    sent: list[bytes] = field(default_factory=list)
    mined: dict[bytes, int] = field(default_factory=dict)
    status: int = 1
    refuse_sending: list[str] = field(default_factory=list)
    fail_calls: int = 0
    has_tip_method: bool = True
    mine_after_sending: int | None = 1
    on_poll: list[Any] = field(default_factory=list)

    def call(self, method: str, *parameters: Any) -> Any:
        if self.fail_calls:
            self.fail_calls -= 1
            raise TransientError("the line is down")
        return getattr(self, method)(*parameters)

    def eth_getTransactionCount(self, _address: str, tag: str) -> str:
        assert tag == "latest", "COTI knows no pending block"
        return quantity(self.nonce)

    def eth_maxPriorityFeePerGas(self) -> str:
        if not self.has_tip_method:
            raise RpcRefused(-32601, "the method does not exist")
        return quantity(3)

    def eth_blockNumber(self) -> str:
        return quantity(self.height)

    def eth_getBlockByNumber(self, tag: str, _full: bool) -> Any:
        number = self.height if tag == "latest" else int(tag, 16)
        if number > self.height:
            return None
        return {
            "number": quantity(number),
            "hash": data(self.hash_of(number)),
            "baseFeePerGas": "0x7",
        }

    def eth_sendRawTransaction(self, raw: str) -> str:
        transaction = bytes.fromhex(raw[2:])
        if self.refuse_sending:
            message = self.refuse_sending.pop(0)
            if message:
                raise RpcRefused(-32000, message)
        self.sent.append(transaction)
        if self.mine_after_sending is not None and len(self.sent) >= self.mine_after_sending:
            self.mine(transaction)
        return data(keccak256(transaction))

    def eth_getTransactionReceipt(self, transaction_hash: str) -> Any:
        if self.on_poll:
            self.on_poll.pop(0)()
        number = self.mined.get(bytes.fromhex(transaction_hash[2:]))
        if number is None:
            return None
        return {
            "blockNumber": quantity(number),
            "blockHash": data(self.hash_of(number)),
            "status": quantity(self.status),
            "gasUsed": quantity(21_000),
        }

    def hash_of(self, number: int) -> bytes:
        """Hash of a block of the present fork."""
        return keccak256(f"{self.fork}/{number}".encode())

    def mine(self, transaction: bytes) -> None:
        """Put a transaction into a new block."""
        self.height += 1
        self.mined[keccak256(transaction)] = self.height

    def reorganise(self) -> None:
        """Replace all blocks; what was mined is gone."""
        self.fork += 1
        self.mined.clear()
