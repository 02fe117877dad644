"""Encode the call that brings a withdrawal for the fee which its receiver signed.

Rule: what is signed stands in primitives/vault_orders.py; this only lays it out for the vault.

Spec: docs/spec/settlement.md §5
Deviations: none
"""

from __future__ import annotations

from contracts.artifact import selectors
from contracts.limits import WITHDRAWAL_TREE_DEPTH
from contracts.settlement_calls import encode_state_words
from contracts.settlement_types import WithdrawalClaim
from primitives.abi import encode_words
from primitives.vault_orders import ClaimFee

WORD = 32
HEAD_WORDS = 7 + 4 + WITHDRAWAL_TREE_DEPTH + 3
"""State words, the withdrawal, its path, fee, deadline and the signature's offset."""
SIGNATURE_BYTES = 65


def encode_withdraw_for_fee(claim: WithdrawalClaim, fee: ClaimFee, signature: bytes) -> bytes:
    """Return the calldata of `withdrawForFee`."""
    assert len(claim.siblings) == WITHDRAWAL_TREE_DEPTH
    assert len(signature) == SIGNATURE_BYTES
    assert fee.index == claim.index
    head = (
        encode_state_words(claim.words)
        + encode_words(claim.index, claim.token, claim.amount, claim.to)
        + encode_words(*claim.siblings)
        + encode_words(fee.atoms, fee.deadline_s, HEAD_WORDS * WORD)
    )
    tail = encode_words(len(signature)) + signature + bytes(-len(signature) % WORD)
    return selectors("Settlement")["withdrawForFee"] + head + tail
