"""Answer Ethereum JSON-RPC methods from an EVM chain.

Rule: every parameter is untrusted and checked here; problems become JSON-RPC errors with the codes
and messages that wallets and libraries know.

Spec: Ethereum JSON-RPC (execution-apis), EIP-1474; docs/spec/settlement.md §12
Deviations: `pending`, `safe` and `finalized` mean `latest`; no filters, no subscriptions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from contracts.chain import json_forms
from contracts.chain.evm import Call, CallResult, EvmChain
from contracts.chain.json_forms import Json, data, quantity
from contracts.chain.pool import RefusedTransaction
from contracts.chain.store import StoredLog
from contracts.limits import (
    CHAIN_CALL_GAS,
    CHAIN_GAS_LIMIT,
    FEE_HISTORY_BLOCKS_MAX,
    LOG_RANGE_BLOCKS_MAX,
    LOG_RESULTS_MAX,
    MINE_BLOCKS_MAX,
    TIP_WEI,
)
from primitives.keccak import keccak256

CLIENT_VERSION = "omnibazaar-devnet/py-evm/paris"

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
LIMIT_EXCEEDED = -32005
EXECUTION_REVERTED = 3

PANIC_OR_REASON = bytes.fromhex("08c379a0")


class RpcProblem(Exception):
    """A JSON-RPC error answer."""

    def __init__(self, code: int, message: str, details: str | None = None) -> None:
        """Keep the three parts of the answer."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class RpcMethods:
    """The methods, one lock around the chain."""

    def __init__(self, chain: EvmChain, accounts: Sequence[bytes], automine: bool) -> None:
        """Serve a chain; `automine` makes a block for each transaction (tests)."""
        self._chain = chain
        self._accounts = tuple(accounts)
        self._automine = automine
        self._lock = threading.RLock()
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: CLIENT_VERSION,
            "web3_sha3": lambda value: data(keccak256(_bytes(value))),
            "net_version": lambda: str(chain.chain_id),
            "net_listening": lambda: True,
            "net_peerCount": lambda: "0x0",
            "eth_chainId": lambda: quantity(chain.chain_id),
            "eth_protocolVersion": lambda: "0x41",
            "eth_syncing": lambda: False,
            "eth_mining": lambda: True,
            "eth_coinbase": lambda: data(bytes(20)),
            "eth_accounts": lambda: [data(address) for address in self._accounts],
            "eth_blockNumber": lambda: quantity(chain.head_number),
            "eth_gasPrice": lambda: quantity(2 * chain.base_fee() + TIP_WEI),
            "eth_maxPriorityFeePerGas": lambda: quantity(TIP_WEI),
            "eth_feeHistory": self._fee_history,
            "eth_getBalance": self._balance,
            "eth_getCode": self._code,
            "eth_getStorageAt": self._storage_at,
            "eth_getTransactionCount": self._transaction_count,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockTransactionCountByNumber": self._block_transaction_count,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getLogs": self._logs,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate_gas,
            "eth_sendRawTransaction": self._send_raw_transaction,
            "evm_mine": self._evm_mine,
            "evm_reorg": self._evm_reorg,
            "evm_increaseTime": self._evm_increase_time,
        }

    def answer(self, method: str, parameters: Any) -> Any:
        """Return a method's result; raises RpcProblem."""
        handler = self._methods.get(method)
        if handler is None:
            raise RpcProblem(METHOD_NOT_FOUND, f"the method {method[:64]} does not exist")
        if not isinstance(parameters, list):
            raise RpcProblem(INVALID_PARAMS, "params must be an array")
        try:
            with self._lock:
                return handler(*parameters)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                raise
            raise RpcProblem(INVALID_PARAMS, "wrong number of params") from error

    def mine(self) -> None:
        """Make the next block (called by the clock)."""
        with self._lock:
            self._chain.mine()

    # --- blocks and transactions ---------------------------------------------------------------

    def _block_by_number(self, tag: Any, full: Any = False) -> Json | None:
        """eth_getBlockByNumber."""
        number = self._number(tag, must_exist=False)
        return None if number is None else self._block(number, bool(full))

    def _block_by_hash(self, block_hash: Any, full: Any = False) -> Json | None:
        """eth_getBlockByHash."""
        number = self._chain.block_number(_bytes(block_hash, 32))
        return None if number is None else self._block(number, bool(full))

    def _block(self, number: int, full: bool) -> Json | None:
        """A block, with hashes of transactions or whole ones."""
        body = self._chain.block_body(number)
        if body is not None and full:
            stored = self._chain.block_transactions(number)
            body["transactions"] = [json.loads(one.body) for one in stored]
        return body

    def _block_transaction_count(self, tag: Any) -> str | None:
        """eth_getBlockTransactionCountByNumber."""
        body = self._block_by_number(tag)
        return None if body is None else quantity(len(body["transactions"]))

    def _transaction(self, transaction_hash: Any) -> Json | None:
        """eth_getTransactionByHash: mined or waiting."""
        key = _bytes(transaction_hash, 32)
        stored = self._chain.transaction(key)
        if stored is not None:
            body: Json = json.loads(stored.body)
            return body
        waiting = self._chain.pool.get(key)
        if waiting is None:
            return None
        return json_forms.transaction(waiting, waiting.signed.chain_id)

    def _receipt(self, transaction_hash: Any) -> Json | None:
        """eth_getTransactionReceipt."""
        stored = self._chain.transaction(_bytes(transaction_hash, 32))
        if stored is None:
            return None
        body: Json = json.loads(stored.receipt)
        return body

    def _block_receipts(self, tag: Any) -> list[Json] | None:
        """eth_getBlockReceipts."""
        number = self._number(tag, must_exist=False)
        if number is None:
            return None
        return [json.loads(one.receipt) for one in self._chain.block_transactions(number)]

    # --- state ---------------------------------------------------------------------------------

    def _balance(self, address: Any, tag: Any = "latest") -> str:
        """eth_getBalance."""
        return quantity(self._state(tag).get_balance(_bytes(address, 20)))

    def _code(self, address: Any, tag: Any = "latest") -> str:
        """eth_getCode."""
        return data(bytes(self._state(tag).get_code(_bytes(address, 20))))

    def _storage_at(self, address: Any, slot: Any, tag: Any = "latest") -> str:
        """eth_getStorageAt."""
        value = self._state(tag).get_storage(_bytes(address, 20), _integer(slot))
        return data(int(value).to_bytes(32, "big"))

    def _transaction_count(self, address: Any, tag: Any = "latest") -> str:
        """eth_getTransactionCount; `pending` counts what waits."""
        key = _bytes(address, 20)
        nonce = int(self._state(tag).get_nonce(key))
        if tag == "pending":
            nonce = self._chain.pool.next_nonce(key, nonce)
        return quantity(nonce)

    def _state(self, tag: Any) -> Any:
        """py-evm's state after a block."""
        return self._chain.state_at(self._existing(tag))

    # --- calls and transactions ----------------------------------------------------------------

    def _call(self, fields: Any, tag: Any = "latest", *_overrides: Any) -> str:
        """eth_call."""
        result = self._chain.call(_parse_call(fields), self._existing(tag))
        if result.reverted:
            raise _revert_problem(result)
        return data(result.output)

    def _estimate_gas(self, fields: Any, tag: Any = "latest", *_overrides: Any) -> str:
        """eth_estimateGas."""
        gas, result = self._chain.estimate_gas(_parse_call(fields), self._existing(tag))
        if result.reverted:
            raise _revert_problem(result)
        return quantity(gas)

    def _send_raw_transaction(self, raw: Any) -> str:
        """eth_sendRawTransaction."""
        try:
            transaction_hash = self._chain.add_raw(_bytes(raw))
        except RefusedTransaction as error:
            raise RpcProblem(SERVER_ERROR, str(error)) from error
        if self._automine:
            self._chain.mine()
        return data(transaction_hash)

    # --- logs and fees -------------------------------------------------------------------------

    def _logs(self, fields: Any) -> list[Json]:
        """eth_getLogs."""
        if not isinstance(fields, dict):
            raise RpcProblem(INVALID_PARAMS, "the filter must be an object")
        first, last = self._log_range(fields)
        addresses = _addresses(fields.get("address"))
        topics = _topics(fields.get("topics"))
        only = next(iter(addresses)) if len(addresses) == 1 else None
        found: list[Json] = []
        for log in self._chain.logs(first, last, only):
            if (not addresses or log.address in addresses) and _matches(log, topics):
                if len(found) == LOG_RESULTS_MAX:
                    raise RpcProblem(LIMIT_EXCEEDED, f"more than {LOG_RESULTS_MAX} results")
                found.append(json.loads(log.body))
        return found

    def _log_range(self, fields: Json) -> tuple[int, int]:
        """First and last block of a filter."""
        if fields.get("blockHash") is not None:
            number = self._chain.block_number(_bytes(fields["blockHash"], 32))
            if number is None:
                raise RpcProblem(SERVER_ERROR, "unknown block")
            return number, number
        head = self._chain.head_number
        first = self._bound(fields.get("fromBlock"), head)
        last = min(self._bound(fields.get("toBlock"), head), head)
        if last - first >= LOG_RANGE_BLOCKS_MAX:
            raise RpcProblem(LIMIT_EXCEEDED, f"more than {LOG_RANGE_BLOCKS_MAX} blocks")
        return first, last

    def _bound(self, tag: Any, head: int) -> int:
        """One end of a range; it may lie ahead of the chain."""
        if tag is None or tag in ("latest", "pending", "safe", "finalized"):
            return head
        return 0 if tag == "earliest" else _integer(tag)

    def _fee_history(self, count: Any, newest: Any, percentiles: Any = None) -> Json:
        """eth_feeHistory: one constant tip."""
        last = self._existing(newest)
        blocks = min(_integer(count), FEE_HISTORY_BLOCKS_MAX, last + 1)
        bodies = [self._chain.block_body(n) or {} for n in range(last - blocks + 1, last + 1)]
        following = self._chain.block_body(last + 1)
        next_fee = following["baseFeePerGas"] if following else quantity(self._chain.base_fee())
        answer: Json = {
            "oldestBlock": quantity(last - blocks + 1),
            "baseFeePerGas": [body["baseFeePerGas"] for body in bodies] + [next_fee],
            "gasUsedRatio": [int(body["gasUsed"], 16) / CHAIN_GAS_LIMIT for body in bodies],
        }
        if isinstance(percentiles, list):
            answer["reward"] = [[quantity(TIP_WEI)] * len(percentiles) for _ in bodies]
        return answer

    # --- for tests -----------------------------------------------------------------------------

    def _evm_mine(self, count: Any = 1) -> str:
        """evm_mine: make blocks at once."""
        for _ in range(min(_integer(count), MINE_BLOCKS_MAX)):
            self._chain.mine()
        return "0x0"

    def _evm_reorg(self, depth: Any, keep: Any = True) -> str:
        """evm_reorg: undo so many blocks and make others; `keep` puts their transactions back."""
        count = _integer(depth)
        if not 1 <= count <= MINE_BLOCKS_MAX or not isinstance(keep, bool):
            raise RpcProblem(INVALID_PARAMS, "depth and whether to keep transactions")
        return quantity(self._chain.reorganise(count, keep=keep))

    def _evm_increase_time(self, seconds: Any) -> str:
        """evm_increaseTime: the time of later blocks."""
        self._chain.advance_clock(_integer(seconds))
        return quantity(_integer(seconds))

    # --- block tags ----------------------------------------------------------------------------

    def _existing(self, tag: Any) -> int:
        """Number of a block that must exist."""
        number = self._number(tag, must_exist=True)
        assert number is not None
        return number

    def _number(self, tag: Any, *, must_exist: bool) -> int | None:
        """Number that a tag stands for; None for an unknown block, if that is allowed."""
        head = self._chain.head_number
        if isinstance(tag, dict) and "blockHash" in tag:
            number = self._chain.block_number(_bytes(tag["blockHash"], 32))
        else:
            tag = tag.get("blockNumber") if isinstance(tag, dict) else tag
            number = self._bound(tag, head)
        if number is None or number > head:
            if must_exist:
                raise RpcProblem(SERVER_ERROR, "header not found")
            return None
        return number


def _revert_problem(result: CallResult) -> RpcProblem:
    """The error of a call that did not succeed."""
    if result.problem != "Revert":
        return RpcProblem(SERVER_ERROR, f"execution failed: {result.problem}")
    message = "execution reverted"
    if result.output[:4] == PANIC_OR_REASON and len(result.output) >= 68:
        size = int.from_bytes(result.output[36:68], "big")
        message += ": " + result.output[68 : 68 + min(size, 256)].decode(errors="replace")
    return RpcProblem(EXECUTION_REVERTED, message, data(result.output))


def _parse_call(fields: Any) -> Call:
    """The message of an eth_call or an estimate."""
    if not isinstance(fields, dict):
        raise RpcProblem(INVALID_PARAMS, "the call must be an object")
    payload = fields.get("input") or fields.get("data") or "0x"
    to = fields.get("to")
    gas = CHAIN_CALL_GAS if fields.get("gas") is None else _integer(fields["gas"])
    return Call(
        sender=_bytes(fields.get("from") or "0x" + "00" * 20, 20),
        to=None if to is None else _bytes(to, 20),
        data=_bytes(payload),
        value=_integer(fields.get("value") or "0x0"),
        gas=min(gas, CHAIN_GAS_LIMIT),
    )


def _bytes(value: Any, size: int | None = None) -> bytes:
    """Bytes from hex data of a fixed or any size."""
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError
        decoded = bytes.fromhex(value[2:])
    except ValueError as error:
        raise RpcProblem(INVALID_PARAMS, "invalid hex data") from error
    if size is not None and len(decoded) != size:
        raise RpcProblem(INVALID_PARAMS, f"expected {size} bytes, got {len(decoded)}")
    return decoded


def _integer(value: Any) -> int:
    """A number from a hex quantity (or a plain JSON integer)."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**256:
        return value
    if isinstance(value, str) and value.startswith("0x") and 2 < len(value) <= 66:
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise RpcProblem(INVALID_PARAMS, "invalid quantity")


def _addresses(value: Any) -> frozenset[bytes]:
    """Emitters of a filter; empty means any."""
    if value is None:
        return frozenset()
    listed = value if isinstance(value, list) else [value]
    return frozenset(_bytes(one, 20) for one in listed[:LOG_RESULTS_MAX])


def _topics(value: Any) -> tuple[frozenset[bytes], ...]:
    """Allowed topics by position; an empty set means any."""
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > 4:
        raise RpcProblem(INVALID_PARAMS, "topics must be an array of at most 4")
    positions: list[frozenset[bytes]] = []
    for one in value:
        choices = one if isinstance(one, list) else [] if one is None else [one]
        positions.append(frozenset(_bytes(choice, 32) for choice in choices))
    return tuple(positions)


def _matches(log: StoredLog, topics: tuple[frozenset[bytes], ...]) -> bool:
    """Whether a log has the wanted topics."""
    if len(topics) > len(log.topics):
        return False
    pairs = zip(topics, log.topics, strict=False)
    return all(not wanted or topic in wanted for wanted, topic in pairs)
