"""Keep what is needed to prove every balance under the root that a vault has accepted last.

Rule: an archive is a pure function of the chain, so all nodes name it by the same CID: the newest
snapshot at or below the accepted height, the blocks from there to it, and their bundles. Whoever
has it and the network file needs no node.
Spec: docs/spec/settlement.md §6 (Archive). Deviations: none.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from primitives import dag_cbor
from primitives.cid import DAG_CBOR, RAW, Cid
from primitives.errors import InvalidMessage, OperatorError, TransientError
from storage.block_store import SNAPSHOT, BlockStore
from storage.chain_reader import ChainReader
from storage.chain_store import ChainStore
from storage.limits import DAG_LINKS_MAX, MANIFEST_BYTES_MAX
from storage.snapshots import Snapshots
from storage.writer import ReadPool, StoreWriter

log = logging.getLogger("omnibazaar.settlement")

VERSION: Final = 1
PIN: Final = "escape/"
DRAFT: Final = "escape-draft/"
KEPT: Final = 2  # per chain: the EVM chain may take the newest acceptance back


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What leads to the state of one height."""

    height: int
    state_root: bytes
    snapshot: Cid | None  # the manifest; None = begin at genesis
    blocks: tuple[Cid, ...]  # bodies as the wire carries them, in order of height
    bundles: tuple[Cid, ...]  # each once, in order of first use

    def encode(self) -> bytes:
        """Return the DAG-CBOR block."""
        return dag_cbor.encode(
            {
                "blocks": list(self.blocks),
                "bundles": list(self.bundles),
                "height": self.height,
                "snapshot": self.snapshot,
                "stateRoot": self.state_root,
                "version": VERSION,
            }
        )

    @property
    def cid(self) -> Cid:
        """The name of all of it."""
        return Cid.of(DAG_CBOR, self.encode())


def decode_archive(block: bytes) -> Archive:
    """Decode an archive's root. Raises InvalidMessage, LimitExceeded."""
    value = dag_cbor.decode(block, MANIFEST_BYTES_MAX)
    keys = {"blocks", "bundles", "height", "snapshot", "stateRoot", "version"}
    if not isinstance(value, dict) or value.keys() != keys or value["version"] != VERSION:
        raise InvalidMessage("this is no archive to escape with")
    snapshot, root = value["snapshot"], value["stateRoot"]
    if type(value["height"]) is not int or not isinstance(root, bytes) or len(root) != 32:
        raise InvalidMessage("an archive has a height and a state root")
    if snapshot is not None and not isinstance(snapshot, Cid):
        raise InvalidMessage("an archive's snapshot is a link")
    return Archive(
        height=value["height"],
        state_root=root,
        snapshot=snapshot,
        blocks=_links(value["blocks"]),
        bundles=_links(value["bundles"]),
    )


def _links(value: Any) -> tuple[Cid, ...]:
    if not isinstance(value, list) or len(value) > DAG_LINKS_MAX:
        raise InvalidMessage("an archive's parts are a list of links")
    if not all(isinstance(one, Cid) and one.codec == RAW for one in value):
        raise InvalidMessage("an archive's parts are links to raw blocks")
    return tuple(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The blocks after a snapshot as they lie in the chain store."""

    bodies: tuple[bytes, ...]
    bundles: dict[bytes, bytes]  # by digest, in order of first use


def read_parts(reader: ChainReader, first: int, last: int) -> Parts | None:
    """Read the blocks of a range with their bundles; None when some are not here."""
    bodies: list[bytes] = []
    bundles: dict[bytes, bytes] = {}
    for height in range(first, last + 1):
        block = reader.block(height)
        if block is None:
            return None
        bodies.append(block.encoded)
        for digest in block.bundles:
            stored = None if digest in bundles else reader.bundle(digest)
            if digest not in bundles:
                if stored is None or stored.data is None:
                    return None
                bundles[digest] = stored.data
    return Parts(bodies=tuple(bodies), bundles=bundles)


def find_kept(store: BlockStore, chain_id: int) -> tuple[int, Cid] | None:
    """Return height and name of the newest archive kept for a chain."""
    names = store.pins(f"{PIN}{chain_id}/")
    if not names:
        return None
    height, _, cid = names[-1].removeprefix(f"{PIN}{chain_id}/").partition("/")
    return int(height), Cid.parse(cid)


def keep_archive(
    store: BlockStore,
    snapshots: Snapshots,
    *,
    chain_id: int,
    height: int,
    state_root: bytes,
    snapshot: Cid | None,
    parts: Parts,
) -> Cid:
    """Pin an archive and let the older ones but one go. Raises TransientError, OperatorError."""
    archive = Archive(
        height=height,
        state_root=state_root,
        snapshot=snapshot,
        blocks=tuple(Cid.raw(body) for body in parts.bodies),
        bundles=tuple(Cid(RAW, digest) for digest in parts.bundles),
    )
    prefix, draft = f"{PIN}{chain_id}/", f"{DRAFT}{chain_id}"
    store.unpin(draft)
    for data in (*parts.bodies, *parts.bundles.values()):
        store.put(Cid.raw(data), data, SNAPSHOT, pin=draft)
    if snapshot is not None:
        store.pin(draft, [snapshot, *snapshots.verify(snapshot).chunks])
    store.put(archive.cid, archive.encode(), SNAPSHOT, pin=draft)
    store.rename_pin(draft, f"{prefix}{height:016d}/{archive.cid}")
    for name in store.pins(prefix)[:-KEPT]:
        store.unpin(name)
    return archive.cid


class ArchiveKeeper:
    """Keeps the archive of one vault's newest accepted root."""

    def __init__(
        self,
        chain_id: int,
        *,
        interval: int,
        store: BlockStore,
        snapshots: Snapshots,
        readers: ReadPool[ChainReader],
        writer: StoreWriter[ChainStore],
    ) -> None:
        self._chain_id = chain_id
        self._interval = interval
        self._store = store
        self._snapshots = snapshots
        self._readers = readers
        self._writer = writer
        self.newest = find_kept(store, chain_id)
        self._absent = 0  # height that was said not to be here; a node that lags looks often

    @property
    def cid_text(self) -> str:
        """The newest archive's name; empty if there is none."""
        return "" if self.newest is None else str(self.newest[1])

    async def keep(self, height: int, state_root: bytes) -> None:
        """Keep what leads to the root of an executed height, if this node has it."""
        if self.newest is not None and self.newest[0] == height:
            return
        start = height // self._interval * self._interval
        found = [name for name in self._snapshots.complete() if name.height == start]
        parts = await self._readers.run(read_parts, start + 1, height)
        if parts is None or (start and not found):
            if height != self._absent:
                log.warning("the state settled at height %d is not here to be kept", height)
            self._absent = height
            return

        def write(_: ChainStore) -> Cid:
            return keep_archive(
                self._store,
                self._snapshots,
                chain_id=self._chain_id,
                height=height,
                state_root=state_root,
                snapshot=found[0].cid if start else None,
                parts=parts,
            )

        try:
            self.newest = height, await self._writer.run(write)
        except (TransientError, OperatorError) as error:
            log.warning("the state settled at height %d is not kept: %s", height, error)
