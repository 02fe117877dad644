"""Serve ranges of old final blocks to validators that are behind.

Rule: reading and sending happen in a task of their own and in the bulk lane, so that whoever
catches up never slows down those who are not behind. One request per peer waits, and every other
answer goes to a member: nobody keeps the others from catching up by asking very often.
Spec: docs/spec/consensus.md (Catching up). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

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
from primitives.errors import NodeError
from storage.chain_reader import ChainReader
from storage.records import StoredBlock
from storage.writer import ReadPool

log = logging.getLogger("omnibazaar.ranges")


class Requests:
    """What peers asked for and nobody read yet: members and others in two lines."""

    def __init__(self, is_member: Callable[[bytes], bool]) -> None:
        self._is_member = is_member
        self._members: dict[bytes, int] = {}  # address → first height
        self._others: dict[bytes, int] = {}
        self._was_member = False

    def put(self, peer: bytes, from_height: int) -> bool:
        """Keep a request, in place of the peer's older one; False when the line is full."""
        line = self._members if self._is_member(peer) else self._others
        if peer not in line and len(line) >= RANGE_REQUESTS_MAX:
            return False
        line[peer] = from_height
        return True

    def take(self) -> tuple[bytes, int] | None:
        """Return the next request: from the two lines in turn, each in order of arrival."""
        lines = (self._members, self._others)
        for line in reversed(lines) if self._was_member else lines:
            for peer in line:
                self._was_member = line is self._members
                return peer, line.pop(peer)
        return None


class RangeServer:
    """Answers `ServeRange` from the chain store."""

    def __init__(
        self,
        readers: ReadPool[ChainReader],
        wire: PeerWire,
        is_member: Callable[[bytes], bool],
    ) -> None:
        self._readers = readers
        self._wire = wire
        self._requests = Requests(is_member)
        self._has_request = trio.Event()

    def serve(self, to: bytes, from_height: int) -> None:
        """Note a request; what does not fit is asked again by the peer."""
        if self._requests.put(to, from_height):
            self._has_request.set()
        else:
            log.debug("a request for blocks from height %d was dropped", from_height)

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            await self._has_request.wait()
            self._has_request = trio.Event()
            while (request := self._requests.take()) is not None:
                await self._answer(*request)

    async def _answer(self, to: bytes, from_height: int) -> None:
        try:
            rows = await self._readers.run(ChainReader.block_range, from_height, RANGE_BLOCKS_MAX)
            message = make_range(rows)
        except NodeError as error:
            log.warning("blocks that a peer asked for cannot be read: %s", error)
            return
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
