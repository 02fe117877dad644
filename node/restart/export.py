"""Read the last final state out of a stopped node's data directory.

Rule: the newest block with a certificate counts, and the archive begins at or below the root that
this block states, so that the certificate proves the snapshot too.
Spec: docs/spec/restart.md (Export). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from node.blocks.records import decode_stored_block, decode_stored_seals
from node.committee.epoch_book import EpochBook, make_genesis_epoch
from node.datadir import DataDir
from node.network_file import NetworkFile
from node.restart.check import OwnBlocks
from node.restart.record import Export, write_car
from node.settlement.escape_archive import Archive, Parts, read_parts
from primitives.cid import RAW, Cid
from primitives.errors import ConfigError
from storage.block_store import BlockStore
from storage.car import encode_section
from storage.chain_reader import ChainReader
from storage.records import StoredBlock
from storage.snapshots import SnapshotName, Snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What lies on the disk of a stopped node."""

    genesis_hash: bytes
    reader: ChainReader
    snapshots: Snapshots
    book: EpochBook

    def committee_hash(self, epoch: int) -> bytes | None:
        """Return the hash of the committee of an epoch that this node has seen."""
        found = self.book.get(epoch)
        return None if found is None else found.committee.hash

    @property
    def own_blocks(self) -> OwnBlocks:
        """What an export must not contradict."""
        last = find_last(self.reader)
        return OwnBlocks(
            height=0 if last is None else last.summary.height, hash_at=self.reader.block_hash
        )


def open_chain(stack: ExitStack, data: DataDir, file: NetworkFile) -> Chain:
    """Open the stores of a stopped node, until the stack ends. Raises OperatorError."""
    path = data.chain / "chain.sqlite"
    if not path.is_file():
        raise ConfigError(
            f"no chain lies in {data.root}",
            code="RST001",
            fix="use the data directory of a node that has taken part",
        )
    stack.enter_context(data.lock())
    reader = stack.enter_context(closing(ChainReader.open(path)))
    blocks = stack.enter_context(closing(BlockStore(data.chain / "blocks.sqlite")))
    book = EpochBook(make_genesis_epoch(file))
    book.load(reader.epochs())
    return Chain(
        genesis_hash=file.genesis_hash, reader=reader, snapshots=Snapshots(blocks), book=book
    )


def export_last_state(chain: Chain, network: bytes, file: Path) -> Export:
    """Write the export into a new file. Raises ConfigError when something for it is missing."""
    last = find_last(chain.reader)
    if last is None:
        raise _lacking("no final block comes with a certificate")
    block = decode_stored_block(last.encoded)
    snapshot = _find_start(chain, block.header.executed_height)
    start = 0 if snapshot is None else snapshot.height
    parts = read_parts(chain.reader, start + 1, block.height)
    executed = chain.reader.executed(block.height)
    if parts is None or executed is None:
        raise _lacking("blocks since the newest snapshot are missing, or not executed")
    archive = Archive(
        height=block.height,
        state_root=executed.state_root,
        snapshot=None if snapshot is None else snapshot.cid,
        blocks=tuple(Cid.raw(body) for body in parts.bodies),
        bundles=tuple(Cid(RAW, digest) for digest in parts.bundles),
    )
    seals = decode_stored_seals(last.seals)
    export = Export(
        network=Cid.raw(network),
        archive=archive.cid,
        headers=(block.body.header, *(seal.header for seal in seals)),
        certificate=last.certificate,
        members=chain.book.committee(block.header.epoch).members,
    )
    write_car(file, export, _sections(chain, network, archive, parts))
    return export


def find_last(reader: ChainReader) -> StoredBlock | None:
    """Return the newest final block that comes with a certificate."""
    for height in range(reader.latest_final_height(), 0, -1):
        found = reader.block(height)
        if found is None:
            break
        if found.certificate:
            return found
    return None


def _find_start(chain: Chain, stated: int) -> SnapshotName | None:
    """Return the newest snapshot at or below a height; None to begin at genesis."""
    names = [name for name in chain.snapshots.complete() if name.height <= stated]
    return max(names, key=lambda name: name.height, default=None)


def _sections(chain: Chain, network: bytes, archive: Archive, parts: Parts) -> Iterator[bytes]:
    yield encode_section(Cid.raw(network), network)
    yield encode_section(archive.cid, archive.encode())
    if archive.snapshot is not None:
        manifest = chain.snapshots.verify(archive.snapshot)
        yield encode_section(manifest.cid, manifest.encode())
        for chunk in chain.snapshots.chunks(manifest):
            yield encode_section(Cid.raw(chunk), chunk)
    for data in (*parts.bodies, *parts.bundles.values()):
        yield encode_section(Cid.raw(data), data)


def _lacking(what: str) -> ConfigError:
    return ConfigError(
        what,
        code="RST001",
        fix="start the node once more and stop it in order, or export from another survivor",
    )
