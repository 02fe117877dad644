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

    chain_id: int = 5
    height: int = 10
    fork: int = 0
    nonce: int = 0
    owner: bytes = bytes(20)
    taken: dict[int, bytes] = field(default_factory=dict)
    keeps_history: bool = True
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

    def eth_chainId(self) -> str:
        return quantity(self.chain_id)

    def eth_getTransactionCount(self, address: str, tag: str) -> str:
        assert tag != "pending", "COTI knows no pending block"
        self.owner = bytes.fromhex(address[2:])
        at = self.height if tag == "latest" else int(tag, 16)
        if at != self.height and not self.keeps_history:
            raise RpcRefused(-32000, "missing trie node")
        used = [number for number in (*self.taken, *self.mined.values()) if number <= at]
        return quantity(self.nonce + len(used))

    def eth_maxPriorityFeePerGas(self) -> str:
        if not self.has_tip_method:
            raise RpcRefused(-32601, "the method does not exist")
        return quantity(3)

    def eth_blockNumber(self) -> str:
        return quantity(self.height)

    def eth_getBlockByNumber(self, tag: str, full: bool) -> Any:
        number = self.height if tag == "latest" else int(tag, 16)
        if number > self.height:
            return None
        block: dict[str, Any] = {
            "number": quantity(number),
            "hash": data(self.hash_of(number)),
            "baseFeePerGas": "0x7",
        }
        if full:
            block["transactions"] = self.transactions_in(number)
        return block

    def transactions_in(self, number: int) -> list[dict[str, str]]:
        """The account's transactions in a block, and a stranger's."""
        hashes = [one for one, block in self.mined.items() if block == number]
        hashes += [self.taken[number]] if number in self.taken else []
        before = sum(block < number for block in (*self.taken, *self.mined.values()))
        stranger = {
            "from": data(b"\x99" * 20),
            "nonce": quantity(self.nonce),
            "hash": data(bytes(32)),
        }
        return [stranger] + [
            {"from": data(self.owner), "nonce": quantity(self.nonce + before), "hash": data(one)}
            for one in hashes
        ]

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

    def take_nonce(self) -> None:
        """Another program's transaction of the account gets into a new block."""
        self.height += 1
        self.taken[self.height] = keccak256(b"another" + bytes([len(self.taken)]))

    def reorganise(self) -> None:
        """Replace all blocks; what was mined is gone."""
        self.fork += 1
        self.mined.clear()
