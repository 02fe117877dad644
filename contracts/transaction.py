"""Build and sign EIP-1559 transactions.

Rule: what is signed is a pure function of its fields; the chain id is always in it.

Spec: EIP-1559, EIP-2718, RLP (Ethereum yellow paper, appendix B)
Deviations: access lists are always empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from contracts.limits import FEE_BUMP_PERCENT, MAX_FEE_WEI
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

TYPE = b"\x02"

RlpItem = bytes | Sequence["RlpItem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What is offered per gas, wei."""

    tip: int
    maximum: int

    def bump(self) -> Fees:
        """Return the fees of the next submission of the same transaction, below the ceiling."""
        raised = [value + value * FEE_BUMP_PERCENT // 100 + 1 for value in (self.tip, self.maximum)]
        return Fees(tip=min(raised[0], MAX_FEE_WEI), maximum=min(raised[1], MAX_FEE_WEI))

    def at_least(self, other: Fees) -> Fees:
        """Return fees that offer no less than either."""
        return Fees(tip=max(self.tip, other.tip), maximum=max(self.maximum, other.maximum))


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """An unsigned transaction; `to` None creates a contract."""

    chain_id: int
    nonce: int
    fees: Fees
    gas: int
    to: bytes | None
    value: int
    data: bytes

    def with_fees(self, fees: Fees) -> Transaction:
        """Return the same transaction at another price."""
        return replace(self, fees=fees)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTransaction:
    """What is sent, and the hash by which it is found again."""

    raw: bytes
    hash: bytes


def sign_transaction(transaction: Transaction, key: PrivateKey) -> SignedTransaction:
    """Return the signed transaction."""
    fields: list[RlpItem] = [
        _integer(transaction.chain_id),
        _integer(transaction.nonce),
        _integer(transaction.fees.tip),
        _integer(transaction.fees.maximum),
        _integer(transaction.gas),
        transaction.to or b"",
        _integer(transaction.value),
        transaction.data,
        [],
    ]
    signature = key.sign(keccak256(TYPE + encode_rlp(fields)))
    parity = signature[64] - 27
    values = (
        parity,
        int.from_bytes(signature[:32], "big"),
        int.from_bytes(signature[32:64], "big"),
    )
    raw = TYPE + encode_rlp([*fields, *(_integer(value) for value in values)])
    return SignedTransaction(raw=raw, hash=keccak256(raw))


def created_address(sender: bytes, nonce: int) -> bytes:
    """Return the address of the contract that `sender`'s transaction `nonce` creates."""
    return keccak256(encode_rlp([sender, _integer(nonce)]))[12:]


def encode_rlp(item: RlpItem) -> bytes:
    """Return the RLP of bytes or of a nested list of bytes."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _length(len(item), 0x80) + item
    body = b"".join(encode_rlp(part) for part in item)
    return _length(len(body), 0xC0) + body


def _length(size: int, offset: int) -> bytes:
    """An RLP length prefix."""
    if size < 56:
        return bytes([offset + size])
    encoded = _integer(size)
    return bytes([offset + 55 + len(encoded)]) + encoded


def _integer(number: int) -> bytes:
    """Minimal big-endian bytes; zero is empty."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
