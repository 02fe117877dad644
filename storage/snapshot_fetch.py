"""Fetch a state snapshot from peers, chunk by chunk, verified and resumable.

Rule: only the CID is trusted (it comes from a certified header); a manifest that states another
height or root than expected is refused. Chunks that are here already are not fetched again.
Spec: docs/spec/storage.md#snapshots
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import trio

from primitives.cid import Cid
from primitives.errors import InvalidMessage
from storage.bitswap import Bitswap
from storage.bitswap_want import Peer
from storage.snapshots import Manifest, Snapshots, decode_manifest

CHUNKS_AT_ONCE: Final = 8


async def fetch_snapshot(
    bitswap: Bitswap,
    snapshots: Snapshots,
    cid: Cid,
    *,
    height: int,
    state_root: bytes,
    peers: Iterable[Peer] | None = None,
) -> Manifest:
    """Return the manifest once every chunk is on disk and the snapshot is listed.

    Raises TransientError when a block does not come (what came is kept: call again), InvalidMessage
    when the manifest is not the expected state's, OperatorError when the disk or the quota refuses.
    """
    known = None if peers is None else tuple(peers)
    manifest = decode_manifest(await bitswap.fetch(cid, known))
    if (manifest.height, manifest.state_root) != (height, state_root):
        raise InvalidMessage(f"snapshot {cid} is of another state than height {height}")
    failures: list[Exception] = []
    remaining = iter(dict.fromkeys(manifest.chunks))

    async def fetch_chunks() -> None:
        for chunk_cid in remaining:
            if failures:
                return
            try:
                chunk = await bitswap.fetch(chunk_cid, known)
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
