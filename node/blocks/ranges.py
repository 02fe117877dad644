"""Serve ranges of old final blocks to validators that are behind.

Rule: reading and sending happen in a task of their own and in the bulk lane, so that whoever
catches up
never slows down those who are not behind.
Spec: docs/spec/consensus.md (Catching up). Deviations: none.
"""

from __future__ import annotations

import logging

import trio

from consensus.block import BlockBody
from consensus.header import decode_header
from consensus.limits import RANGE_BLOCKS_MAX, RANGE_BYTES_MAX
from consensus.messages import Range, encode_message
from node.blocks.records import decode_stored_certificate, decode_stored_seals
from node.limits import RANGE_REQUESTS_MAX
from node.peers import PeerWire
from node.wire import FrameKind, encode_frame
from primitives import codec
from storage.chain_reader import ChainReader
from storage.records import StoredBlock
from storage.writer import ReadPool

log = logging.getLogger("omnibazaar.ranges")


class RangeServer:
    """Answers `ServeRange` from the chain store."""

    def __init__(self, readers: ReadPool[ChainReader], wire: PeerWire) -> None:
        self._readers = readers
        self._wire = wire
        self._put, self._take = trio.open_memory_channel[tuple[bytes, int]](RANGE_REQUESTS_MAX)

    def serve(self, to: bytes, from_height: int) -> None:
        """Queue an answer; what does not fit is asked again by the peer."""
        try:
            self._put.send_nowait((to, from_height))
        except trio.WouldBlock:
            log.debug("a request for blocks from height %d was dropped", from_height)

    async def run(self) -> None:
        """Answer until cancelled."""
        async for to, from_height in self._take:
            rows = await self._readers.run(ChainReader.block_range, from_height, RANGE_BLOCKS_MAX)
            message = make_range(rows)
            if message is not None:
                frame = encode_frame(FrameKind.CONSENSUS, encode_message(message))
                self._wire.send((to,), frame, bulk=True)


def make_range(rows: list[StoredBlock]) -> Range | None:
    """Return the longest range within the limits that ends with a certified block.

    It stays within one epoch; a boundary block that seals prove comes with them.
    """
    blocks: list[BlockBody] = []
    size = 0
    best: Range | None = None
    for row in rows:
        size += len(row.encoded) + len(row.seals)
        if size > RANGE_BYTES_MAX:
            break
        body = codec.decode(row.encoded, BlockBody)
        if blocks and height_of(body) != height_of(blocks[-1]) + 1:
            break  # a state was fetched in between
        blocks.append(body)
        certificate = decode_stored_certificate(row.certificate)
        if certificate is not None and certificate.epoch != epoch_of(blocks[0]):
            break
        proven = (*blocks, *decode_stored_seals(row.seals))
        if certificate is not None and len(proven) <= RANGE_BLOCKS_MAX:
            best = Range(proven, certificate)
    return best


def height_of(body: BlockBody) -> int:
    """Return the height of a block."""
    return decode_header(body.header).height


def epoch_of(body: BlockBody) -> int:
    """Return the epoch of a block."""
    return decode_header(body.header).epoch
