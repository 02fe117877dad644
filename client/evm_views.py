"""Ask an EVM node of the trader's choice for one word of a contract's view.

Rule: the trader names the EVM node; no relay is asked for what a wallet signs, or believed in what
it says that it did. An answer that is no word of 32 bytes is none.
Spec: Ethereum JSON-RPC (eth_call); docs/spec/settlement.md §14. Deviations: none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, cast

import httpx
import msgspec

from client.errors import ConnectionLost
from client.limits import CONNECT_TIMEOUT_S, REQUEST_TIMEOUT_S, RPC_ANSWER_BYTES_MAX
from primitives.keccak import keccak256

WORD: Final = 32
IS_PAID: Final = keccak256(b"isPaid(uint32)")[:4]
IS_ORDER_DONE: Final = keccak256(b"isOrderDone(bytes32)")[:4]
YES: Final = (1).to_bytes(WORD, "big")


async def is_paid(rpc_url: str, vault: bytes, index: int) -> bool:
    """Return whether a vault has paid a withdrawal. Raises ConnectionLost."""
    return await read_word(rpc_url, vault, IS_PAID + index.to_bytes(WORD, "big")) == YES


async def is_order_done(rpc_url: str, vault: bytes, digest: bytes) -> bool:
    """Return whether a vault has carried out a signed deposit. Raises ConnectionLost."""
    return await read_word(rpc_url, vault, IS_ORDER_DONE + digest) == YES


async def read_word(rpc_url: str, to: bytes, data: bytes) -> bytes | None:
    """Return one word of a view, None for any other answer. Raises ConnectionLost."""
    timeout = httpx.Timeout(REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    call = {"to": "0x" + to.hex(), "data": "0x" + data.hex()}
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
    text = b""
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, trust_env=False) as connection,
            connection.stream("POST", rpc_url, json=body) as response,
        ):
            stream = cast("AsyncGenerator[bytes, None]", response.aiter_bytes())
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    text += piece
                    if len(text) > RPC_ANSWER_BYTES_MAX:
                        return None
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise ConnectionLost(f"no answer from {rpc_url}: {why}") from error
    return _parse_word(text)


def _parse_word(text: bytes) -> bytes | None:
    try:
        answer: Any = msgspec.json.decode(text)
        word = bytes.fromhex(answer["result"].removeprefix("0x"))
    except (msgspec.DecodeError, RecursionError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return word if len(word) == WORD else None
