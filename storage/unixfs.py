"""Import files into IPFS: content ids equal to Kubo's, streamed.

Rule: a file is cut into fixed chunks, each a raw leaf; leaves are grouped, `links_max` at a time,
into DAG-PB nodes until one root is left. The id depends on both numbers, so a profile pins them.
Spec: docs/spec/storage.md#unixfs. https://specs.ipfs.tech/unixfs/ (UnixFS 1.5, balanced layout);
IPIP-499 (profiles).
Deviations: files only (no directories, modes or times).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from primitives.cid import DAG_PB, RAW, Cid
from primitives.errors import InvalidMessage, LimitExceeded
from storage import limits
from storage.dag_pb import Link, decode_node, encode_node
from storage.protobuf import FieldBudget, encode_number, read_fields

Put = Callable[[Cid, bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Two numbers that decide a file's id."""

    chunk_bytes: int
    links_max: int


UNIXFS_V1_2025: Final = Profile(chunk_bytes=1 << 20, links_max=1_024)
"""Default of Kubo from 0.40 on."""
LEGACY_CID_V1: Final = Profile(chunk_bytes=256 << 10, links_max=174)
"""`ipfs add --cid-version=1` of older Kubo versions."""

FILE_TYPE: Final = 2
_TYPE, _DATA, _FILE_SIZE, _BLOCK_SIZES = 1, 2, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A subtree, as its parent must know it."""

    cid: Cid
    file_bytes: int  # of the file under this node
    dag_bytes: int  # of all blocks under this node, itself included (Tsize)


def import_file(source: BinaryIO, put: Put, profile: Profile = UNIXFS_V1_2025) -> Imported:
    """Import what `source` yields; `put` gets every block, leaves first. Raises LimitExceeded."""
    return import_chunks(read_chunks(source, profile.chunk_bytes), put, profile)


def import_bytes(data: bytes, put: Put, profile: Profile = UNIXFS_V1_2025) -> Imported:
    """Import a file held in memory."""
    size = profile.chunk_bytes
    chunks = (data[i : i + size] for i in range(0, len(data) or 1, size))
    return import_chunks(chunks, put, profile)


def read_chunks(source: BinaryIO, chunk_bytes: int) -> Iterator[bytes]:
    """Yield full chunks and a last shorter one; an empty file is one empty chunk."""
    total = 0
    while True:
        chunk = read_fully(source, chunk_bytes)
        total += len(chunk)
        if total > limits.FILE_BYTES_MAX:
            raise LimitExceeded(f"a file over {limits.FILE_BYTES_MAX} bytes")
        if chunk or total == 0:
            yield chunk
        if len(chunk) < chunk_bytes:
            return


def read_fully(source: BinaryIO, count: int) -> bytes:
    """Read until `count` bytes or the end; a pipe gives less at a time."""
    parts: list[bytes] = []
    while count and (part := source.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def import_chunks(chunks: Iterable[bytes], put: Put, profile: Profile) -> Imported:
    """Import chunks in order, at least one. Keeps one row of nodes per level in memory."""
    levels: list[list[Imported]] = [[]]
    for chunk in chunks:
        assert len(chunk) <= profile.chunk_bytes
        cid = Cid.raw(chunk)
        put(cid, chunk)
        leaf = Imported(cid=cid, file_bytes=len(chunk), dag_bytes=len(chunk))
        _append(levels, 0, leaf, put, profile.links_max)
    assert any(levels), "an empty file is one empty chunk, not no chunk"
    return _close(levels, put, profile.links_max)


def _append(
    levels: list[list[Imported]], level: int, node: Imported, put: Put, links_max: int
) -> None:
    """Add a node to a level; a level that was full becomes one node of the level above."""
    while True:
        if level == len(levels):
            levels.append([])
        if len(levels[level]) < links_max:
            levels[level].append(node)
            return
        full, levels[level] = levels[level], [node]
        node = _make_inner(full, put)
        level += 1


def _close(levels: list[list[Imported]], put: Put, links_max: int) -> Imported:
    """Join what is left, upwards; a last group of one child still gets a node of its own."""
    level = 0
    while level < len(levels) - 1 or len(levels[level]) > 1:
        row, levels[level] = levels[level], []
        _append(levels, level + 1, _make_inner(row, put), put, links_max)
        level += 1
    return levels[level][0]


def _make_inner(children: Sequence[Imported], put: Put) -> Imported:
    file_bytes = sum(child.file_bytes for child in children)
    unixfs = encode_number(_TYPE, FILE_TYPE) + encode_number(_FILE_SIZE, file_bytes)
    unixfs += b"".join(encode_number(_BLOCK_SIZES, child.file_bytes) for child in children)
    links = [Link(cid=child.cid, dag_bytes=child.dag_bytes) for child in children]
    block = encode_node(links, unixfs)
    cid = Cid.of(DAG_PB, block)
    put(cid, block)
    dag_bytes = len(block) + sum(child.dag_bytes for child in children)
    return Imported(cid=cid, file_bytes=file_bytes, dag_bytes=dag_bytes)


def export_file(root: Cid, get: Callable[[Cid], bytes | None]) -> Iterator[bytes]:
    """Yield a file's bytes in order. Raises InvalidMessage when a block is missing or no file."""
    total = 0
    for part in _export(root, get, 0):
        total += len(part)
        if total > limits.FILE_BYTES_MAX:
            raise LimitExceeded(f"a file over {limits.FILE_BYTES_MAX} bytes")
        yield part


def _export(cid: Cid, get: Callable[[Cid], bytes | None], depth: int) -> Iterator[bytes]:
    if depth > limits.FILE_LEVELS_MAX:
        raise LimitExceeded("a file with too many levels")
    block = get(cid)
    if block is None:
        raise InvalidMessage(f"block {cid} is missing")
    if cid.codec == RAW:
        yield block
        return
    if cid.codec != DAG_PB:
        raise InvalidMessage(f"{cid} is no UnixFS file")
    node = decode_node(block)
    yield decode_file_data(node.data or b"")
    for link in node.links:
        yield from _export(link.cid, get, depth + 1)


def decode_file_data(data: bytes) -> bytes:
    """Return the bytes of the file that a node itself holds. Raises InvalidMessage."""
    kind, inline = None, b""
    for number, _, value in read_fields(data, FieldBudget(limits.NODE_FIELDS_MAX)):
        if number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _DATA and isinstance(value, bytes):
            inline = value
    if kind not in (0, FILE_TYPE):  # 0 = raw, which old importers wrote for leaves
        raise InvalidMessage("a UnixFS node that is no file")
    return inline
