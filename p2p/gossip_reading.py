"""Read gossip RPCs from a stream, and bound what one of them, and one peer, makes the router do.

Rule: an RPC is weighed before the library sees it. One of too many entries ends its stream; a peer
that sends more than its rate is read more slowly, and its own queue drops what is too much.

Spec: docs/spec/p2p.md §9 (Gossip), §8 (The library).
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import libp2p.pubsub.pubsub as pubsub_module
from libp2p.io.exceptions import MessageTooLarge
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.pubsub.pb import rpc_pb2

from p2p.limits import GOSSIP_RPC_ENTRIES_MAX, GOSSIP_RPC_IDS_MAX, READ_BYTES

Gate = Callable[[int], Awaitable[None]]
"""Wait until a peer may do so much more (entries of an RPC)."""

_IDS_PER_ENTRY = 16  # so much less is an id than a message


def weigh(rpc: Any) -> int:
    """Return how many entries an RPC counts for. Raises MessageTooLarge above the limits."""
    control = rpc.control
    ids = sum(len(one.messageIDs) for one in control.ihave)
    ids += sum(len(one.messageIDs) for one in control.iwant)
    entries = len(rpc.publish) + len(rpc.subscriptions)
    entries += sum(
        len(part)
        for part in (
            control.ihave,
            control.iwant,
            control.graft,
            control.prune,
            control.idontwant,
        )
    )
    if entries > GOSSIP_RPC_ENTRIES_MAX or ids > GOSSIP_RPC_IDS_MAX:
        raise MessageTooLarge(f"a gossip RPC of {entries} entries and {ids} ids")
    return entries + ids // _IDS_PER_ENTRY


def set_gate(stream: Any, gate: Gate) -> None:
    """Weigh what comes on a stream from now on."""
    stream._rpc_gate = gate


def read_rpcs_buffered() -> None:
    """Read RPCs through a buffer: one read, and one window frame back, instead of three."""

    async def read(stream: Any, length_max: int) -> bytes:
        message = await _read_message(stream, length_max)
        gate: Gate | None = getattr(stream, "_rpc_gate", None)
        if gate is not None:
            await gate(weigh(rpc_pb2.RPC.FromString(message)))
        return message

    pubsub_module.read_varint_prefixed_bytes_limited = read


async def _read_message(stream: Any, length_max: int) -> bytes:
    buffer: bytearray | None = getattr(stream, "_rpc_buffer", None)
    if buffer is None:
        buffer = stream._rpc_buffer = bytearray()
    while True:
        prefix = _decode_varint(buffer)
        if prefix is not None:
            start, length = prefix
            if length > length_max:
                raise MessageTooLarge(f"{length} > {length_max}")
            if len(buffer) >= start + length:
                message = bytes(buffer[start : start + length])
                del buffer[: start + length]
                return message
        chunk = await stream.read(READ_BYTES)
        if not chunk:
            raise StreamEOF("the stream ended")
        buffer += chunk


def _decode_varint(buffer: bytearray) -> tuple[int, int] | None:
    """Return (bytes of the prefix, its value), or None when it is not complete yet."""
    value = 0
    for i, byte in enumerate(buffer[:10]):
        value |= (byte & 127) << (7 * i)
        if byte < 128:
            return i + 1, value
    if len(buffer) >= 10:
        raise MessageTooLarge("the length prefix is longer than ten bytes")
    return None
