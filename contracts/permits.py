"""Sign a token's own permit (ERC-2612), so that a deposit needs no approval.

Rule: the spender is the vault and nobody else; the token says its domain and nonce itself.

Spec: ERC-2612; docs/spec/settlement.md §3
Deviations: none
"""

from __future__ import annotations

from typing import Final

from contracts.deposit_orders import Permit
from primitives.abi import encode_words
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

PERMIT_TYPEHASH: Final = keccak256(
    b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)


def sign_permit(
    key: PrivateKey, *, domain: bytes, vault: bytes, value: int, nonce: int, deadline_s: int
) -> Permit:
    """Let the vault take `value` atoms; `domain` and `nonce` are what the token answers."""
    struct = keccak256(PERMIT_TYPEHASH + encode_words(key.address, vault, value, nonce, deadline_s))
    signature = key.sign(keccak256(b"\x19\x01" + domain + struct))
    return Permit(
        value=value,
        deadline_s=deadline_s,
        v=signature[64],
        r=signature[:32],
        s=signature[32:64],
    )
