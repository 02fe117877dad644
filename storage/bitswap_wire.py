"""Read and write Bitswap 1.2.0 messages.

Rule: every count and length of a message is bounded before it is kept; what this file returns is
typed and harmless, whatever the peer sent.
Spec: https://specs.ipfs.tech/bitswap-protocol/ (Bitswap 1.2.0)
Deviations: blocks in the field of 1.0.0 are ignored; `pendingBytes` is neither read nor sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from primitives.cid import Cid, encode_varint
from primitives.errors import InvalidMessage, LimitExceeded
from storage import limits
from storage.protobuf import (
    BYTES,
    VARINT,
    FieldBudget,
    encode_bytes,
    encode_number,
    read_fields,
    read_varint,
)

PROTOCOL: Final = "/ipfs/bitswap/1.2.0"

_WANTLIST, _PAYLOAD, _PRESENCES = 1, 3, 4
_ENTRIES, _FULL = 1, 2
_BLOCK, _PRIORITY, _CANCEL, _WANT_TYPE, _SEND_DONT_HAVE = 1, 2, 3, 4, 5
_PREFIX, _DATA = 1, 2
_CID, _TYPE = 1, 2
_SHA2_256: Final = 0x12


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a wantlist. `cid` stays in the peer's own bytes, so that it can be echoed."""

    cid: bytes
    priority: int = 1
    cancel: bool = False
    want_have: bool = False
    send_dont_have: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a peer wants, sends and tells; all may come together."""

    entries: tuple[Entry, ...] = ()
    full: bool = False
    """The entries replace what the peer wanted before."""
    blocks: tuple[bytes, ...] = ()
    haves: tuple[bytes, ...] = ()
    dont_haves: tuple[bytes, ...] = ()
    fields: int = field(default=0, compare=False)
    """How many protobuf fields were read for it."""


def encode_message(
    *,
    entries: Iterable[Entry] = (),
    full: bool = False,
    blocks: Iterable[tuple[bytes, bytes]] = (),
    haves: Iterable[bytes] = (),
    dont_haves: Iterable[bytes] = (),
) -> bytes:
    """Return a framed message; `blocks` are (cid as the peer asked for it, data)."""
    wantlist = b"".join(encode_bytes(_ENTRIES, encode_entry(entry)) for entry in entries)
    if full:
        wantlist += encode_number(_FULL, 1)
    parts = [encode_bytes(_WANTLIST, wantlist)] if wantlist else []
    for cid, data in blocks:
        payload = encode_bytes(_PREFIX, compute_prefix(cid)) + encode_bytes(_DATA, data)
        parts.append(encode_bytes(_PAYLOAD, payload))
    parts += [encode_bytes(_PRESENCES, encode_bytes(_CID, cid)) for cid in haves]
    parts += [
        encode_bytes(_PRESENCES, encode_bytes(_CID, cid) + encode_number(_TYPE, 1))
        for cid in dont_haves
    ]
    body = b"".join(parts)
    return encode_varint(len(body)) + body


def encode_entry(entry: Entry) -> bytes:
    encoded = encode_bytes(_BLOCK, entry.cid) + encode_number(_PRIORITY, entry.priority)
    if entry.cancel:
        encoded += encode_number(_CANCEL, 1)
    if entry.want_have:
        encoded += encode_number(_WANT_TYPE, 1)
    if entry.send_dont_have:
        encoded += encode_number(_SEND_DONT_HAVE, 1)
    return encoded


def compute_prefix(cid: bytes) -> bytes:
    """Return a CID's version, codec and hash kind: a block is named by them and its data."""
    if cid[:2] == b"\x12\x20":  # version 0 has no prefix of its own
        return b"\x00\x70\x12\x20"
    return cid[: len(cid) - 32]


def decode_message(body: bytes) -> Message:
    """Decode an unframed message. Raises InvalidMessage, LimitExceeded."""
    entries: list[Entry] = []
    blocks: list[bytes] = []
    haves: list[bytes] = []
    dont_haves: list[bytes] = []
    full = False
    budget = FieldBudget(limits.MESSAGE_FIELDS_MAX)
    for number, wire_type, value in read_fields(body, budget):
        if wire_type != BYTES or not isinstance(value, bytes):
            continue
        if number == _WANTLIST:
            full = decode_wantlist(value, entries, budget) or full
        elif number == _PAYLOAD:
            blocks.append(decode_payload(value, budget))
        elif number == _PRESENCES:
            is_absent, cid = decode_presence(value, budget)
            (dont_haves if is_absent else haves).append(cid)
        _check_counts(entries, blocks, haves, dont_haves)
    return Message(
        entries=tuple(entries),
        full=full,
        blocks=tuple(blocks),
        haves=tuple(haves),
        dont_haves=tuple(dont_haves),
        fields=budget.spent,
    )


def _check_counts(
    entries: list[Entry], blocks: list[bytes], haves: list[bytes], dont_haves: list[bytes]
) -> None:
    if len(entries) > limits.WANTLIST_ENTRIES_MAX:
        raise LimitExceeded(f"over {limits.WANTLIST_ENTRIES_MAX} wants in one message")
    if len(blocks) > limits.MESSAGE_BLOCKS_MAX:
        raise LimitExceeded(f"over {limits.MESSAGE_BLOCKS_MAX} blocks in one message")
    if len(haves) + len(dont_haves) > limits.PRESENCES_MAX:
        raise LimitExceeded(f"over {limits.PRESENCES_MAX} presences in one message")


def decode_wantlist(data: bytes, entries: list[Entry], budget: FieldBudget) -> bool:
    """Add a wantlist's entries; return whether it is a full one."""
    full = False
    for number, wire_type, value in read_fields(data, budget):
        if number == _ENTRIES and wire_type == BYTES and isinstance(value, bytes):
            if len(entries) >= limits.WANTLIST_ENTRIES_MAX:
                raise LimitExceeded(f"over {limits.WANTLIST_ENTRIES_MAX} wants in one message")
            entries.append(decode_entry(value, budget))
        elif number == _FULL and wire_type == VARINT:
            full = bool(value)
    return full


def decode_entry(data: bytes, budget: FieldBudget) -> Entry:
    cid = b""
    numbers = {_PRIORITY: 1, _CANCEL: 0, _WANT_TYPE: 0, _SEND_DONT_HAVE: 0}
    for number, wire_type, value in read_fields(data, budget):
        if number == _BLOCK and wire_type == BYTES and isinstance(value, bytes):
            cid = check_cid(value)
        elif number in numbers and wire_type == VARINT and isinstance(value, int):
            numbers[number] = value
    if not cid:
        raise InvalidMessage("a want without a CID")
    if numbers[_WANT_TYPE] > 1:
        raise InvalidMessage("an unknown kind of want")
    priority = numbers[_PRIORITY] & 0xFFFFFFFF
    return Entry(
        cid=cid,
        priority=priority - (1 << 32) if priority >= 1 << 31 else priority,
        cancel=bool(numbers[_CANCEL]),
        want_have=numbers[_WANT_TYPE] == 1,
        send_dont_have=bool(numbers[_SEND_DONT_HAVE]),
    )


def decode_payload(data: bytes, budget: FieldBudget) -> bytes:
    """Return a block's bytes, if its prefix says sha2-256, else nothing we asked for."""
    prefix = block = b""
    for number, wire_type, value in read_fields(data, budget):
        if wire_type == BYTES and isinstance(value, bytes):
            if number == _PREFIX:
                prefix = value
            elif number == _DATA:
                block = value
    if len(block) > limits.BLOCK_BYTES_MAX:
        raise LimitExceeded(f"a block of {len(block)} bytes")
    at = 0
    numbers: list[int] = []
    while at < len(prefix) and len(numbers) < 4:
        number, at = read_varint(prefix, at)
        numbers.append(number)
    if at != len(prefix) or len(numbers) != 4:
        raise InvalidMessage("a block without a proper prefix")
    if numbers[2:] != [_SHA2_256, 32]:
        raise InvalidMessage("a block that is not named by sha2-256")
    return block


def decode_presence(data: bytes, budget: FieldBudget) -> tuple[bool, bytes]:
    """Return (is it absent, cid)."""
    cid, kind = b"", 0
    for number, wire_type, value in read_fields(data, budget):
        if number == _CID and wire_type == BYTES and isinstance(value, bytes):
            cid = check_cid(value)
        elif number == _TYPE and wire_type == VARINT and isinstance(value, int):
            kind = value
    if not cid:
        raise InvalidMessage("a presence without a CID")
    return kind == 1, cid


def check_cid(data: bytes) -> bytes:
    """Bound a peer's CID. Raises LimitExceeded."""
    if len(data) > limits.CID_BYTES_MAX:
        raise LimitExceeded(f"a CID of {len(data)} bytes")
    return data


def parse_wanted(cid: bytes) -> Cid | None:
    """Return a want's CID; None when it is of a kind that we never hold."""
    try:
        return Cid.decode(cid)
    except InvalidMessage:
        return None


class Frames:
    """Cut a byte stream into messages, each led by its length as a varint."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_partial(self) -> bool:
        """True while a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what is complete now. Raises InvalidMessage, LimitExceeded."""
        self._buffer += data
        while (length_end := self._read_length()) is not None:
            length, start = length_end
            if len(self._buffer) < start + length:
                return
            frame = bytes(self._buffer[start : start + length])
            del self._buffer[: start + length]
            yield frame

    def _read_length(self) -> tuple[int, int] | None:
        head = bytes(self._buffer[:10])
        if not head or (len(head) < 10 and all(byte > 127 for byte in head)):
            return None
        length, start = read_varint(head, 0)
        if length > limits.MESSAGE_BYTES_MAX:
            raise LimitExceeded(f"a Bitswap message of {length} bytes")
        return length, start
