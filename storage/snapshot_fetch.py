"""Fetch a state snapshot from peers, or else from gateways, chunk by chunk, verified and resumable.

Rule: only the CID is trusted (it comes from a certified header); a manifest that states another
height or root than expected is refused. Chunks that are here already are not fetched again.
Spec: docs/spec/storage.md#snapshots
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import trio

from primitives.cid import Cid
from primitives.errors import InvalidMessage, TransientError
from storage.bitswap import Bitswap
from storage.bitswap_want import Peer
from storage.gateway_client import GatewayClient
from storage.snapshots import Manifest, Snapshots, decode_manifest

CHUNKS_AT_ONCE: Final = 8


def rotate(peers: tuple[Peer, ...] | None, number: int) -> tuple[Peer, ...] | None:
    """Return the peers in another order for each chunk, so that all carry the load."""
    if not peers:
        return peers
    first = number % len(peers)
    return peers[first:] + peers[:first]


def _accept(_: Manifest) -> None:
    """Take any manifest of the right state."""


def _ignore(_: int) -> None:
    """Nobody watches."""


async def _fetch(
    bitswap: Bitswap, gateways: GatewayClient | None, cid: Cid, peers: tuple[Peer, ...] | None
) -> bytes:
    """Return a block from a peer, else from a gateway. Raises TransientError."""
    try:
        return await bitswap.fetch(cid, peers)
    except TransientError:
        if gateways is None:
            raise
    return await gateways.fetch(cid)


async def fetch_snapshot(
    bitswap: Bitswap,
    snapshots: Snapshots,
    cid: Cid,
    *,
    height: int,
    state_root: bytes | None = None,
    peers: Iterable[Peer] | None = None,
    on_manifest: Callable[[Manifest], None] = _accept,
    on_chunk: Callable[[int], None] = _ignore,
    gateways: GatewayClient | None = None,
) -> Manifest:
    """Return the manifest once every chunk is on disk and the snapshot is listed.

    Raises TransientError when a block does not come (what came is kept: call again), InvalidMessage
    when the manifest is not the expected state's, OperatorError when the disk or the quota refuses.
    `state_root` is None where the manifest itself is the proof. `on_manifest` may refuse by
    raising; `on_chunk` is told the bytes of every chunk that is here. What no peer gives is asked
    of the gateways.
    """
    known = None if peers is None else tuple(peers)
    manifest = decode_manifest(await _fetch(bitswap, gateways, cid, known))
    if manifest.height != height or state_root not in (None, manifest.state_root):
        raise InvalidMessage(f"snapshot {cid} is of another state than height {height}")
    on_manifest(manifest)
    failures: list[Exception] = []
    remaining = iter(enumerate(dict.fromkeys(manifest.chunks)))

    async def fetch_chunks() -> None:
        for number, chunk_cid in remaining:
            if failures:
                return
            try:
                chunk = await _fetch(bitswap, gateways, chunk_cid, rotate(known, number))
                on_chunk(len(chunk))
                await trio.to_thread.run_sync(snapshots.put_chunk, manifest, chunk_cid, chunk)
            except Exception as error:  # noqa: BLE001 - handed to the caller below, alone
                failures.append(error)

    async with trio.open_nursery() as nursery:
        for _ in range(CHUNKS_AT_ONCE):
            nursery.start_soon(fetch_chunks)
    if failures:
        raise failures[0]
    await trio.to_thread.run_sync(snapshots.finish, manifest)
    return manifest
