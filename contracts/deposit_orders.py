"""Encode deposits that their owner signs and anyone brings, with or without an ERC-2612 permit.

Rule: an order is bound to one network, chain and vault and carried out once; whoever brings it can
alter nothing and gets the fee that was signed.

Spec: docs/spec/settlement.md §3
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts.artifact import selectors
from primitives.abi import encode_words
from primitives.eip712 import StructType, network_domain, typed_digest

DEPOSIT_TYPE: Final = StructType(
    "DepositOrder(address depositor,address token,uint256 amount,uint256 fee,address beneficiary,"
    "uint256 nonce,uint256 deadline,uint256 chainId,address vault)"
)
NATIVE: Final = bytes.fromhex("ee" * 20)
"""Address that stands for the chain's own coin (Money.NATIVE)."""
WORD = 32
HEAD_WORDS = 7 + 1 + 5
"""The order, the signature's offset and the permit."""
SIGNATURE_BYTES = 65


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositOrder:
    """A deposit, as its owner signs it."""

    depositor: bytes
    token: bytes
    amount: int  # atoms taken from the depositor
    fee: int  # atoms of them for whoever brings the order
    beneficiary: bytes  # is credited with the rest
    nonce: int  # equal orders need different ones
    deadline_s: int  # EVM time, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """A token's own permit for the vault (ERC-2612); `v` zero stands for none."""

    value: int = 0  # atoms
    deadline_s: int = 0
    v: int = 0
    r: bytes = bytes(32)
    s: bytes = bytes(32)


NO_PERMIT: Final = Permit()


def compute_deposit_digest(
    order: DepositOrder, *, network_id: bytes, chain_id: int, vault: bytes
) -> bytes:
    """Compute what the depositor signs."""
    struct_hash = DEPOSIT_TYPE.hash(*_values(order), chain_id, vault)
    return typed_digest(network_domain(network_id), struct_hash)


def encode_deposit_order(
    order: DepositOrder, signature: bytes, permit: Permit = NO_PERMIT
) -> bytes:
    """Return the calldata of `depositBySignature`."""
    assert len(signature) == SIGNATURE_BYTES
    head = encode_words(*_values(order), HEAD_WORDS * WORD) + encode_permit(permit)
    tail = encode_words(len(signature)) + signature + bytes(-len(signature) % WORD)
    return selectors("Settlement")["depositBySignature"] + head + tail


def encode_deposit_with_permit(
    token: bytes, amount: int, beneficiary: bytes, permit: Permit
) -> bytes:
    """Return the calldata of `depositWithPermit`."""
    words = encode_words(token, amount, beneficiary) + encode_permit(permit)
    return selectors("Settlement")["depositWithPermit"] + words


def encode_permit(permit: Permit) -> bytes:
    """Return a permit's words."""
    return encode_words(permit.value, permit.deadline_s, permit.v, permit.r, permit.s)


def _values(order: DepositOrder) -> tuple[bytes, bytes, int, int, bytes, int, int]:
    """The order's values as they are typed."""
    return (
        order.depositor,
        order.token,
        order.amount,
        order.fee,
        order.beneficiary,
        order.nonce,
        order.deadline_s,
    )
