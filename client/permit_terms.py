"""Ask a token on the EVM chain what its permit must be signed over.

Rule: the trader names the EVM node; no relay is asked for what a wallet signs. An answer that is no
word of 32 bytes is a refusal.
Spec: ERC-2612 (DOMAIN_SEPARATOR, nonces). Deviations: none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, cast

import httpx
import msgspec

from client.errors import ConnectionLost, RequestRefused
from client.limits import CONNECT_TIMEOUT_S, REQUEST_TIMEOUT_S, RPC_ANSWER_BYTES_MAX
from primitives.keccak import keccak256

DOMAIN_SEPARATOR: Final = keccak256(b"DOMAIN_SEPARATOR()")[:4]
NONCES: Final = keccak256(b"nonces(address)")[:4]
WORD: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitTerms:
    """What a token says about the permits of one owner."""

    domain: bytes  # the token's EIP-712 domain separator
    nonce: int  # of the owner's next permit


async def read_permit_terms(rpc_url: str, token: bytes, owner: bytes) -> PermitTerms:
    """Ask an EVM node over JSON-RPC.

    Raises RequestRefused for a token without permits, ConnectionLost when nobody answers.
    """
    timeout = httpx.Timeout(REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as connection:
        domain = await _call(connection, rpc_url, token, DOMAIN_SEPARATOR)
        nonce = await _call(connection, rpc_url, token, NONCES + bytes(12) + owner)
    return PermitTerms(domain=domain, nonce=int.from_bytes(nonce, "big"))


async def _call(connection: httpx.AsyncClient, url: str, to: bytes, data: bytes) -> bytes:
    """Return one word of a view."""
    call = {"to": "0x" + to.hex(), "data": "0x" + data.hex()}
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
    try:
        async with connection.stream("POST", url, json=body) as response:
            text = b""
            stream = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    text += piece
                    if len(text) > RPC_ANSWER_BYTES_MAX:
                        break
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise ConnectionLost(f"no answer from {url}: {why}") from error
    word = _read_word(text)
    if word is None:
        raise RequestRefused(
            "no_permits",
            "the token does not answer as ERC-2612 says",
            risk="nothing was signed or sent",
            fix="Approve the vault and deposit with gas.",
        )
    return word


def _read_word(text: bytes) -> bytes | None:
    try:
        answer: Any = msgspec.json.decode(text)
        word = bytes.fromhex(answer["result"].removeprefix("0x"))
    except (msgspec.DecodeError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return word if len(word) == WORD else None
