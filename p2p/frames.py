"""Cut messages into frames and put them together again.

Rule: a length is checked before a byte is kept for it; this file does no input or output.

A frame is four bytes, big-endian, and a body. The top bit says that more frames of the same message
follow, the other 31 bits are the length of the body. An empty frame between messages is a
heartbeat.

Spec: docs/spec/p2p.md §3 (Frames).
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from p2p.limits import FRAME_BYTES_CUT, FRAME_BYTES_MAX
from primitives.errors import InvalidMessage, LimitExceeded

HEADER_BYTES: Final = 4
HEARTBEAT: Final = bytes(HEADER_BYTES)
_MORE: Final = 0x8000_0000


def encode_message(body: bytes, *, bytes_max: int) -> bytes:
    """Return the frames of one message. Raises ValueError when empty or too long: our bug."""
    if not 0 < len(body) <= bytes_max:
        raise ValueError(f"a message of {len(body)} bytes, between 1 and {bytes_max} are allowed")
    if len(body) <= FRAME_BYTES_CUT:
        return len(body).to_bytes(HEADER_BYTES, "big") + body
    pieces = []
    for start in range(0, len(body), FRAME_BYTES_CUT):
        piece = body[start : start + FRAME_BYTES_CUT]
        more = _MORE if start + FRAME_BYTES_CUT < len(body) else 0
        pieces += [(len(piece) | more).to_bytes(HEADER_BYTES, "big"), piece]
    return b"".join(pieces)


class Deframer:
    """Turn the bytes of one stream into messages."""

    __slots__ = ("_buffer", "_bytes_max", "_partial", "_partial_bytes")

    def __init__(self, *, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._partial: list[bytes] = []
        self._partial_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that `data` completes. Raises LimitExceeded and InvalidMessage.

        After an exception the stream cannot be read on: there is no way to find the next frame.
        """
        buffer = self._buffer
        buffer += data
        messages: list[bytes] = []
        start = 0
        while len(buffer) - start >= HEADER_BYTES:
            word = int.from_bytes(buffer[start : start + HEADER_BYTES], "big")
            size = word & ~_MORE
            self._check(size, more=bool(word & _MORE))
            end = start + HEADER_BYTES + size
            if end > len(buffer):
                break
            if size:
                message = self._join(bytes(buffer[start + HEADER_BYTES : end]), word & _MORE)
                if message:
                    messages.append(message)
            start = end
        del buffer[:start]
        return messages

    def _check(self, size: int, *, more: bool) -> None:
        if size > FRAME_BYTES_MAX:
            raise LimitExceeded(f"a frame of {size} bytes, at most {FRAME_BYTES_MAX} are allowed")
        if self._partial_bytes + size > self._bytes_max:
            raise LimitExceeded(f"a message above {self._bytes_max} bytes")
        if not size and (more or self._partial):
            raise InvalidMessage("an empty frame inside a message")

    def _join(self, piece: bytes, more: int) -> bytes:
        """Return the message that `piece` ends, or nothing."""
        if not more and not self._partial:
            return piece
        self._partial.append(piece)
        self._partial_bytes += len(piece)
        if more:
            return b""
        message = b"".join(self._partial)
        self._partial.clear()
        self._partial_bytes = 0
        return message
