"""Keep snapshots of the exchange's state as IPFS blocks under one manifest.

Rule: the manifest is a pure function of height, state root and chunks, so every validator gets the
same CID; its digest is what the header at height + 32 states. A snapshot is listed only when every
chunk of it is on disk: what a crash leaves half-written is under another name, and dropped.
Spec: docs/spec/storage.md#snapshots
Deviations: none.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from primitives import dag_cbor
from primitives.cid import DAG_CBOR, RAW, Cid
from primitives.errors import InvalidMessage, LimitExceeded, TransientError
from storage import limits
from storage.block_store import SNAPSHOT, BlockStore

VERSION: Final = 1
COMPLETE: Final = "snapshot/"
PARTIAL: Final = "snapshot-partial/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a snapshot consists of."""

    height: int
    state_root: bytes
    size_bytes: int  # of all chunks
    chunks: tuple[Cid, ...]

    def encode(self) -> bytes:
        """Return the DAG-CBOR block."""
        return dag_cbor.encode(
            {
                "chunks": list(self.chunks),
                "height": self.height,
                "size": self.size_bytes,
                "stateRoot": self.state_root,
                "version": VERSION,
            }
        )

    @property
    def cid(self) -> Cid:
        return Cid.of(DAG_CBOR, self.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotName:
    """A snapshot on disk."""

    height: int
    cid: Cid


def make_manifest(height: int, state_root: bytes, chunks: Iterable[bytes]) -> Manifest:
    """Return the manifest of a state; each chunk has 1 byte to 1 MiB."""
    cids: list[Cid] = []
    size_bytes = 0
    for chunk in chunks:
        assert 0 < len(chunk) <= limits.CHUNK_BYTES_MAX, "a chunk has 1 byte to 1 MiB"
        cids.append(Cid.raw(chunk))
        size_bytes += len(chunk)
    assert len(cids) <= limits.SNAPSHOT_CHUNKS_MAX, "the state has outgrown its snapshot format"
    assert len(state_root) == 32
    return Manifest(height=height, state_root=state_root, size_bytes=size_bytes, chunks=tuple(cids))


def decode_manifest(block: bytes) -> Manifest:
    """Decode a manifest from a peer. Raises InvalidMessage, LimitExceeded."""
    value = dag_cbor.decode(block, limits.MANIFEST_BYTES_MAX)
    if not isinstance(value, dict) or value.keys() != {
        "chunks",
        "height",
        "size",
        "stateRoot",
        "version",
    }:
        raise InvalidMessage("not a snapshot manifest")
    if type(value["version"]) is not int or value["version"] != VERSION:
        raise InvalidMessage(f"snapshot version {value['version']!r}, this program knows {VERSION}")
    _check_manifest(value)
    return Manifest(
        height=value["height"],
        state_root=value["stateRoot"],
        size_bytes=value["size"],
        chunks=tuple(value["chunks"]),
    )


def _check_manifest(value: dict[str, Any]) -> None:
    height, root, size, chunks = (value[k] for k in ("height", "stateRoot", "size", "chunks"))
    if type(height) is not int or not 0 <= height < 1 << 63:
        raise InvalidMessage("a manifest's height is a number")
    if not isinstance(root, bytes) or len(root) != 32:
        raise InvalidMessage("a state root has 32 bytes")
    if not isinstance(chunks, list) or not all(
        isinstance(chunk, Cid) and chunk.codec == RAW for chunk in chunks
    ):
        raise InvalidMessage("a manifest's chunks are links to raw blocks")
    if len(chunks) > limits.SNAPSHOT_CHUNKS_MAX:
        raise LimitExceeded(f"{len(chunks)} chunks, the limit is {limits.SNAPSHOT_CHUNKS_MAX}")
    if type(size) is not int or not len(chunks) <= size <= len(chunks) * limits.CHUNK_BYTES_MAX:
        raise InvalidMessage("a manifest's size does not fit its chunks")


class Snapshots:
    """The snapshots in a block store."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self._held: dict[int, float] = {}  # height → until when; replaced, never changed
        for name in store.pins(PARTIAL):  # left by a crash
            store.unpin(name)

    def write(self, height: int, state_root: bytes, chunks: Iterable[bytes]) -> Manifest:
        """Store a snapshot. Raises TransientError or OperatorError, then it is not listed."""
        partial = f"{PARTIAL}{height:016d}"
        cids: list[Cid] = []
        size_bytes = 0
        for chunk in chunks:
            cid = Cid.raw(chunk)
            self._store.put(cid, chunk, SNAPSHOT, pin=partial)
            cids.append(cid)
            size_bytes += len(chunk)
        manifest = Manifest(
            height=height, state_root=state_root, size_bytes=size_bytes, chunks=tuple(cids)
        )
        self._finish(manifest, partial)
        return manifest

    def put_chunk(self, manifest: Manifest, cid: Cid, chunk: bytes) -> None:
        """Store a chunk that was fetched for `manifest`; it is held until `finish` or a restart."""
        self._store.put(cid, chunk, SNAPSHOT, pin=f"{PARTIAL}{manifest.height:016d}")

    def finish(self, manifest: Manifest) -> None:
        """List a fetched snapshot. Raises TransientError while a chunk is missing."""
        for cid in manifest.chunks:
            if not self._store.has(cid):
                raise TransientError(f"snapshot {manifest.height}: chunk {cid} is missing")
        self._finish(manifest, f"{PARTIAL}{manifest.height:016d}")

    def _finish(self, manifest: Manifest, partial: str) -> None:
        block = manifest.encode()
        cid = Cid.of(DAG_CBOR, block)
        self._store.put(cid, block, SNAPSHOT, pin=partial)
        self._store.rename_pin(partial, f"{COMPLETE}{manifest.height:016d}/{cid}")

    def sync(self) -> None:
        """Make what is listed survive a power cut. Raises TransientError, OperatorError.

        Before the chain store lets go of the blocks that an older snapshot needs.
        """
        self._store.sync()

    def complete(self) -> list[SnapshotName]:
        """Return the complete snapshots, newest first."""
        names = []
        for name in reversed(self._store.pins(COMPLETE)):
            height, _, cid = name.removeprefix(COMPLETE).partition("/")
            names.append(SnapshotName(height=int(height), cid=Cid.parse(cid)))
        return names

    def manifest(self, cid: Cid) -> Manifest | None:
        """Return the manifest of a snapshot; None = not here."""
        block = self._store.get(cid)
        return None if block is None else decode_manifest(block)

    def has_chunk(self, cid: Cid) -> bool:
        return self._store.has(cid)

    def chunk(self, cid: Cid) -> bytes | None:
        """Return one chunk, hashed; None = missing or damaged."""
        return self._store.get(cid)

    def chunks(self, manifest: Manifest) -> Iterator[bytes]:
        """Yield the chunks in order, each one hashed. Raises TransientError when one is missing."""
        for cid in manifest.chunks:
            chunk = self._store.get(cid)
            if chunk is None:
                raise TransientError(
                    f"snapshot {manifest.height}: chunk {cid} is missing or damaged; fetch it again"
                )
            yield chunk

    def verify(self, cid: Cid) -> Manifest:
        """Read and hash everything. Raises TransientError when something is missing or damaged."""
        manifest = self.manifest(cid)
        if manifest is None:
            raise TransientError(f"snapshot manifest {cid} is missing or damaged")
        if sum(len(chunk) for chunk in self.chunks(manifest)) != manifest.size_bytes:
            raise InvalidMessage(f"snapshot {cid} states another size than it has")
        return manifest

    def hold(self, height: int) -> bool:
        """Keep a snapshot that a peer has begun to fetch for a while; False = too many are held."""
        now_s = time.monotonic()
        held = {one: until for one, until in self._held.items() if until > now_s}
        if height not in held and len(held) >= limits.SNAPSHOTS_HELD_MAX:
            return False
        self._held = held | {height: now_s + limits.SNAPSHOT_HOLD_S}
        return True

    def held(self) -> list[int]:
        """Return the heights of the snapshots that are held, newest first."""
        now_s = time.monotonic()
        return sorted((one for one, until in self._held.items() if until > now_s), reverse=True)

    def prune(self, keep: int) -> list[SnapshotName]:
        """Drop all but the newest `keep` snapshots and those held; return what was dropped."""
        assert 1 <= keep <= limits.SNAPSHOTS_MAX
        held = self.held()
        dropped = [name for name in self.complete()[keep:] if name.height not in held]
        for name in dropped:
            self._store.unpin(f"{COMPLETE}{name.height:016d}/{name.cid}")
        if dropped:
            self._store.collect(SNAPSHOT)
        return dropped
