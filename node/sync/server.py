"""Answer nodes that catch up: where we are, which snapshot we have, how epochs ended.

Rule: every answer comes from the store, in a reading thread, and is bounded; a peer can make us
keep a snapshot longer, never more of them than a fixed number.
Spec: docs/spec/state-sync.md (Serving). Deviations: none.
"""

from __future__ import annotations

import logging

from consensus.block import BlockBody
from consensus.header import HEADER_BYTES
from consensus.limits import CHECKPOINT_LAG
from node.blocks.records import decode_stored_certificate
from node.committee.epoch_book import EpochBook
from node.limits import SYNC_ANSWER_BYTES_MAX
from node.settlement.boundaries import BoundaryProof
from node.sync.messages import (
    PROOF_HEADERS_MAX,
    Answer,
    Base,
    Border,
    Checkpoint,
    GetBase,
    GetBorder,
    GetHeaders,
    Headers,
    Members,
    Nothing,
    Offer,
    decode_request,
    encode,
)
from node.sync.proofs import list_members
from primitives import codec
from storage.chain_reader import ChainReader
from storage.snapshots import Snapshots
from storage.writer import ReadPool

log = logging.getLogger("omnibazaar.sync")


class SyncServer:
    """What this node gives to others; knows nothing of the network."""

    def __init__(
        self, readers: ReadPool[ChainReader], snapshots: Snapshots, book: EpochBook
    ) -> None:
        self._readers = readers
        self._snapshots = snapshots
        self._book = book

    async def answer(self, peer: str, data: bytes) -> bytes:
        """Answer a request. Raises PeerError for a bad one."""
        request = decode_request(data)
        encoded = encode(await self._readers.run(self._find, request))
        return encoded if len(encoded) <= SYNC_ANSWER_BYTES_MAX else encode(Nothing())

    def _find(self, reader: ChainReader, request: object) -> Answer:
        found: Answer | None
        if isinstance(request, GetHeaders):
            found = read_headers(reader, request)
        elif isinstance(request, GetBorder):
            found = self._read_border(reader, request.number)
        elif isinstance(request, GetBase):
            found = read_base(reader, request.height)
        else:
            found = self._make_offer(reader)
        return Nothing() if found is None else found

    def _make_offer(self, reader: ChainReader) -> Offer:
        heights = [name.height for name in self._snapshots.complete()]
        checkpoint = None
        for height in heights:
            checkpoint = self._prove(reader, height)
            if checkpoint is not None:
                self._snapshots.hold(height)
                break
        return Offer(reader.latest_final_height(), reader.oldest_height() or 0, checkpoint)

    def _prove(self, reader: ChainReader, height: int) -> Checkpoint | None:
        """Return the shortest proof of a snapshot; None while nothing certifies its digest."""
        headers: list[bytes] = []
        for row in reader.block_range(height, PROOF_HEADERS_MAX):
            if row.summary.height != height + len(headers):
                return None
            headers.append(codec.decode(row.encoded, BlockBody).header)
            certificate = decode_stored_certificate(row.certificate)
            if len(headers) <= CHECKPOINT_LAG or certificate is None:
                continue
            epoch = self._book.get(row.summary.epoch)
            if certificate.block_hash == row.summary.block_hash and epoch is not None:
                return Checkpoint(tuple(headers), certificate, list_members(epoch.committee))
        return None

    def _read_border(self, reader: ChainReader, number: int) -> Border | None:
        data, epoch = reader.boundary(number), self._book.get(number)
        if data is None:
            return None
        members: Members
        if epoch is not None:
            members = list_members(epoch.committee)
        elif (stored := reader.committee(number)) is not None:
            members = codec.decode(stored, Members)
        else:
            return None
        proof: BoundaryProof = codec.decode(data, BoundaryProof)
        return Border(proof.headers, proof.certificate, members)


def read_headers(reader: ChainReader, request: GetHeaders) -> Headers | None:
    """Return headers upwards from a height, as many as are on record without a gap."""
    words = b""
    for row in reader.block_range(request.first, request.count):
        if row.summary.height != request.first + len(words) // HEADER_BYTES:
            break
        words += codec.decode(row.encoded, BlockBody).header
    return Headers(words) if words else None


def read_base(reader: ChainReader, height: int) -> Base | None:
    """Return a final block."""
    row = reader.block(height)
    return None if row is None else Base(codec.decode(row.encoded, BlockBody))
