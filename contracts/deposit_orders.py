"""Encode calls that bring signed deposits, with or without an ERC-2612 permit.

Rule: what is signed stands in primitives/vault_orders.py; this only lays it out for the vault.

Spec: docs/spec/settlement.md §3
Deviations: none
"""

from __future__ import annotations

from typing import Final

from contracts.artifact import selectors
from primitives.abi import encode_words
from primitives.vault_orders import NO_PERMIT, DepositOrder, Permit

NATIVE: Final = bytes.fromhex("ee" * 20)
"""Address that stands for the chain's own coin (Money.NATIVE)."""
WORD = 32
HEAD_WORDS = 7 + 1 + 5
"""The order, the signature's offset and the permit."""
SIGNATURE_BYTES = 65


def encode_deposit_order(
    order: DepositOrder, signature: bytes, permit: Permit = NO_PERMIT
) -> bytes:
    """Return the calldata of `depositBySignature`."""
    assert len(signature) == SIGNATURE_BYTES
    head = encode_words(*order.values(), HEAD_WORDS * WORD) + encode_permit(permit)
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
