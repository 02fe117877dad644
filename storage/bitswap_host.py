"""Give Bitswap its streams from a py-libp2p host.

Rule: libp2p is imported only when the first stream is needed; nothing else in this room knows it.
Spec: docs/spec/storage.md#bitswap
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from storage.bitswap_conversation import Stream
from storage.bitswap_want import Peer
from storage.bitswap_wire import PROTOCOL


class HostStreams:
    """The streams of a host that somebody else runs; peers are libp2p ids."""

    def __init__(self, host: Any) -> None:
        self._host = host

    async def open(self, peer: Peer) -> Stream:
        """Open a stream over the existing connection, or dial. May raise anything."""
        stream: Stream = await self._host.new_stream(peer, [PROTOCOL])
        return stream

    def peers(self) -> Sequence[Peer]:
        """Return the ids of the connected peers."""
        return tuple(self._host.get_connected_peers())

    def serve(self, handler: Callable[[Peer, Stream], Awaitable[None]]) -> None:
        async def on_stream(stream: Any) -> None:
            await handler(stream.muxed_conn.peer_id, stream)

        self._host.set_stream_handler(PROTOCOL, on_stream)

    def stop(self) -> None:
        self._host.remove_stream_handler(PROTOCOL)


def parse_peer(text: str) -> Peer:
    """Return the id that `Bitswap.fetch` takes for a peer named in base58. Raises ValueError."""
    from libp2p.peer.id import ID

    peer: Peer = ID.from_string(text)
    return peer
