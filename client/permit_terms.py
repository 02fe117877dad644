"""Ask a token on the EVM chain what its permit must be signed over.

Rule: the trader names the EVM node; no relay is asked for what a wallet signs. An answer that is no
word of 32 bytes is a refusal.
Spec: ERC-2612 (DOMAIN_SEPARATOR, nonces). Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from client.errors import RequestRefused
from client.evm_views import read_word
from primitives.keccak import keccak256

DOMAIN_SEPARATOR: Final = keccak256(b"DOMAIN_SEPARATOR()")[:4]
NONCES: Final = keccak256(b"nonces(address)")[:4]


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitTerms:
    """What a token says about the permits of one owner."""

    domain: bytes  # the token's EIP-712 domain separator
    nonce: int  # of the owner's next permit


async def read_permit_terms(rpc_url: str, token: bytes, owner: bytes) -> PermitTerms:
    """Ask an EVM node over JSON-RPC.

    Raises RequestRefused for a token without permits, ConnectionLost when nobody answers.
    """
    domain = await _read(rpc_url, token, DOMAIN_SEPARATOR)
    nonce = await _read(rpc_url, token, NONCES + bytes(12) + owner)
    return PermitTerms(domain=domain, nonce=int.from_bytes(nonce, "big"))


async def _read(rpc_url: str, token: bytes, data: bytes) -> bytes:
    word = await read_word(rpc_url, token, data)
    if word is None:
        raise RequestRefused(
            "no_permits",
            "the token does not answer as ERC-2612 says",
            risk="nothing was signed or sent",
            fix="Approve the vault and deposit with gas.",
        )
    return word
