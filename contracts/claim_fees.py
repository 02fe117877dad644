"""Encode a withdrawal that somebody else brings for a fee, and what its receiver signs for that.

Rule: a promise is bound to one network, chain, vault and withdrawal, which is paid once; nobody but
the address that the ledger's leaf names can make it.

Spec: docs/spec/settlement.md §5
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts.artifact import selectors
from contracts.limits import WITHDRAWAL_TREE_DEPTH
from contracts.settlement_calls import encode_state_words
from contracts.settlement_types import WithdrawalClaim
from primitives.abi import encode_words
from primitives.eip712 import StructType, network_domain, typed_digest

CLAIM_FEE_TYPE: Final = StructType(
    "ClaimFee(uint32 index,uint256 fee,uint256 deadline,uint256 chainId,address vault)"
)
WORD = 32
HEAD_WORDS = 7 + 4 + WITHDRAWAL_TREE_DEPTH + 3
"""State words, the withdrawal, its path, fee, deadline and the signature's offset."""
SIGNATURE_BYTES = 65


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFee:
    """What the receiver of a withdrawal promises to whoever brings it."""

    index: int  # of the withdrawal
    atoms: int  # at most its amount
    deadline_s: int  # EVM time, seconds


def compute_claim_fee_digest(
    fee: ClaimFee, *, network_id: bytes, chain_id: int, vault: bytes
) -> bytes:
    """Compute what the receiver signs."""
    struct_hash = CLAIM_FEE_TYPE.hash(fee.index, fee.atoms, fee.deadline_s, chain_id, vault)
    return typed_digest(network_domain(network_id), struct_hash)


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
