"""Render blocks, transactions, receipts and logs as the Ethereum JSON-RPC says.

Rule: pure functions from py-evm's objects to JSON values; quantities are minimal hex.

Spec: Ethereum JSON-RPC (execution-apis); docs/spec/settlement.md §12
Deviations: none
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import rlp
from eth_utils import keccak

from contracts.chain.pool import PendingTransaction
from contracts.chain.store import StoredLog

Json = dict[str, Any]


def quantity(number: int) -> str:
    """Return a number as a minimal hex quantity."""
    return hex(number)


def data(value: bytes) -> str:
    """Return bytes as hex data."""
    return "0x" + value.hex()


def block(source: Any, hashes: Sequence[bytes]) -> Json:
    """Return a block with the hashes of its transactions."""
    header = source.header
    return {
        "number": quantity(header.block_number),
        "hash": data(header.hash),
        "parentHash": data(header.parent_hash),
        "sha3Uncles": data(header.uncles_hash),
        "stateRoot": data(header.state_root),
        "transactionsRoot": data(header.transaction_root),
        "receiptsRoot": data(header.receipt_root),
        "miner": data(header.coinbase),
        "logsBloom": "0x" + header.bloom.to_bytes(256, "big").hex(),
        "difficulty": quantity(header.difficulty),
        "totalDifficulty": "0x0",
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "extraData": data(header.extra_data),
        "mixHash": data(header.mix_hash),
        "nonce": data(header.nonce),
        "baseFeePerGas": quantity(header.base_fee_per_gas),
        "size": quantity(len(rlp.encode(source))),
        "transactions": [data(value) for value in hashes],
        "uncles": [],
    }


def transaction(item: PendingTransaction, chain_id: int | None) -> Json:
    """Return a transaction that is not in a block."""
    signed = item.signed
    kind = getattr(signed, "type_id", None) or 0
    body: Json = {
        "hash": data(item.hash),
        "type": quantity(kind),
        "from": data(item.sender),
        "to": data(signed.to) if signed.to else None,
        "nonce": quantity(signed.nonce),
        "value": quantity(signed.value),
        "gas": quantity(signed.gas),
        "input": data(signed.data),
        "r": quantity(signed.r),
        "s": quantity(signed.s),
        "v": quantity(signed.v if kind == 0 else signed.y_parity),
        "gasPrice": quantity(signed.max_fee_per_gas),
        "blockHash": None,
        "blockNumber": None,
        "transactionIndex": None,
    }
    if chain_id is not None:
        body["chainId"] = quantity(chain_id)
    if kind >= 1:
        body["yParity"] = quantity(signed.y_parity)
        body["accessList"] = [
            {"address": data(entry[0]), "storageKeys": [data(_word(key)) for key in entry[1]]}
            for entry in signed.access_list
        ]
    if kind >= 2:
        body["maxFeePerGas"] = quantity(signed.max_fee_per_gas)
        body["maxPriorityFeePerGas"] = quantity(signed.max_priority_fee_per_gas)
    return body


def mined_transaction(source: Any, index: int, item: PendingTransaction) -> Json:
    """Return a transaction of a block."""
    body = transaction(item, item.signed.chain_id)
    body["blockHash"] = data(source.hash)
    body["blockNumber"] = quantity(source.number)
    body["transactionIndex"] = quantity(index)
    body["gasPrice"] = quantity(effective_gas_price(source, item))
    return body


def effective_gas_price(source: Any, item: PendingTransaction) -> int:
    """Return what the sender pays per gas, wei."""
    base_fee = int(source.header.base_fee_per_gas)
    signed = item.signed
    return min(int(signed.max_fee_per_gas), base_fee + int(signed.max_priority_fee_per_gas))


def transaction_logs(
    source: Any, index: int, item: PendingTransaction, result: Any, first: int
) -> tuple[StoredLog, ...]:
    """Return the logs of a transaction, numbered within the block from `first`."""
    found: list[StoredLog] = []
    for offset, log in enumerate(result.logs):
        topics = tuple(_word(topic) for topic in log.topics)
        body = {
            "address": data(log.address),
            "topics": [data(topic) for topic in topics],
            "data": data(log.data),
            "blockNumber": quantity(source.number),
            "blockHash": data(source.hash),
            "transactionHash": data(item.hash),
            "transactionIndex": quantity(index),
            "logIndex": quantity(first + offset),
            "removed": False,
        }
        found.append(
            StoredLog(
                position=first + offset,
                address=bytes(log.address),
                topics=topics,
                body=json.dumps(body),
            )
        )
    return tuple(found)


def receipt(
    source: Any,
    index: int,
    item: PendingTransaction,
    result: Any,
    gas_before: int,
    logs: tuple[StoredLog, ...],
) -> Json:
    """Return the receipt of a transaction of a block."""
    signed = item.signed
    created = None if signed.to else _created_address(item.sender, signed.nonce)
    return {
        "transactionHash": data(item.hash),
        "transactionIndex": quantity(index),
        "blockHash": data(source.hash),
        "blockNumber": quantity(source.number),
        "from": data(item.sender),
        "to": data(signed.to) if signed.to else None,
        "cumulativeGasUsed": quantity(result.gas_used),
        "gasUsed": quantity(result.gas_used - gas_before),
        "effectiveGasPrice": quantity(effective_gas_price(source, item)),
        "contractAddress": None if created is None else data(created),
        "logs": [json.loads(log.body) for log in logs],
        "logsBloom": "0x" + result.bloom.to_bytes(256, "big").hex(),
        "type": quantity(getattr(signed, "type_id", None) or 0),
        "status": "0x1" if result.state_root == b"\x01" else "0x0",
    }


def _created_address(sender: bytes, nonce: int) -> bytes:
    """Address of the contract that a creation makes."""
    return bytes(keccak(rlp.encode([sender, nonce]))[12:])


def _word(value: int) -> bytes:
    """A 32-byte word."""
    return int(value).to_bytes(32, "big")
