from __future__ import annotations

import hashlib
import io

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given
from hypothesis import strategies as st

from primitives.cid import DAG_PB, RAW, Cid
from primitives.errors import InvalidMessage, LimitExceeded, PeerError
from storage import limits
from storage.dag_pb import Link, Node, decode_node, encode_node
from storage.protobuf import FieldBudget, read_fields
from storage.unixfs import (
    LEGACY_CID_V1,
    UNIXFS_V1_2025,
    Imported,
    Profile,
    _make_inner,
    export_file,
    import_bytes,
    import_file,
)

MIB = 1 << 20


class KeyStream(io.RawIOBase):
    """ChaCha20's key stream under sha256(seed): the files of Kubo's and IPIP-499's vectors."""

    def __init__(self, seed, size):
        key = hashlib.sha256(seed.encode()).digest()
        self._stream = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor()
        self._left = size

    def read(self, count=-1):
        count = min(self._left, count)
        self._left -= count
        return self._stream.update(bytes(count))


def ignore(cid, block):
    pass


SMALL = [
    ("chunk-v1-seed", MIB, "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta"),
    ("chunk-v1-seed", MIB + 1, "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"),
]
GIB = [
    ("v1-2025-seed", 1024 * MIB, "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm"),
    ("v1-2025-seed", 1024 * MIB + 1, "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe"),
]


def test_ids_equal_the_published_vectors(soak):
    """The two of a gibibyte take some seconds: only when soaking."""
    for seed, size, expected in SMALL + (GIB if soak > 1 else []):
        assert str(import_file(KeyStream(seed, size), ignore).cid) == expected


def test_small_file_is_one_raw_block():
    imported = import_bytes(b"hello", ignore)
    assert imported == Imported(cid=Cid.raw(b"hello"), file_bytes=5, dag_bytes=5)


def test_empty_file_is_one_empty_block():
    empty = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    assert str(import_bytes(b"", ignore).cid) == empty
    assert str(import_file(io.BytesIO(b""), ignore).cid) == empty


@pytest.mark.parametrize(
    ("mebibytes", "profile", "expected"),
    [
        (3, LEGACY_CID_V1, "bafybeid6cfsaebdlldcfoaqszmw4k2qtxh6swwzw4tyf43e7seylmat3hy"),
        (3, UNIXFS_V1_2025, "bafybeigdsjup7aizxrrjn7yqtcmqg6ffksaugwr7is2ind3cf7esaqrz4m"),
        (50, LEGACY_CID_V1, "bafybeihaqwdzbwwcswc7zm3ohduemxxuqebbvzr7gs6hphxxkbc2mp666y"),
        (50, UNIXFS_V1_2025, "bafybeigenopvi7eoa5gu4xzg6mmsevm2eeq4d34qbof7buut6zkupc7z2u"),
    ],
)
def test_ids_of_zeros_equal_those_of_kubo(mebibytes, profile, expected):
    """Kubo 0.36.0: `ipfs add --cid-version=1 [--chunker=size-1048576 --max-file-links=1024]`."""
    assert str(import_bytes(bytes(mebibytes * MIB), ignore, profile).cid) == expected


def group_by_group(data, profile):
    """The definition: leaves, then level upon level, every group of children one node."""
    size = profile.chunk_bytes
    chunks = [data[i : i + size] for i in range(0, len(data), size)] or [b""]
    level = [Imported(cid=Cid.raw(c), file_bytes=len(c), dag_bytes=len(c)) for c in chunks]
    while len(level) > 1:
        step = profile.links_max
        level = [_make_inner(level[i : i + step], ignore) for i in range(0, len(level), step)]
    return level[0]


@given(st.binary(max_size=200), st.integers(1, 7), st.integers(2, 5))
def test_streaming_import_equals_the_definition(data, chunk_bytes, links_max):
    profile = Profile(chunk_bytes=chunk_bytes, links_max=links_max)
    expected = group_by_group(data, profile)
    blocks: dict[Cid, bytes] = {}
    assert import_bytes(data, blocks.__setitem__, profile) == expected
    assert import_file(io.BytesIO(data), ignore, profile) == expected
    assert b"".join(export_file(expected.cid, blocks.get)) == data
    assert all(cid == Cid.of(cid.codec, block) for cid, block in blocks.items())


def test_full_levels_spill_like_the_definition():
    for leaves in range(1, 70):
        profile = Profile(chunk_bytes=1, links_max=2)
        assert import_bytes(bytes(leaves), ignore, profile) == group_by_group(
            bytes(leaves), profile
        )


def test_missing_block_is_named():
    blocks: dict[Cid, bytes] = {}
    imported = import_bytes(b"abc", blocks.__setitem__, Profile(chunk_bytes=1, links_max=2))
    del blocks[Cid.raw(b"b")]
    with pytest.raises(InvalidMessage, match="missing"):
        list(export_file(imported.cid, blocks.get))


def test_file_that_multiplies_itself_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "FILE_BYTES_MAX", 10_000)
    blocks = {Cid.raw(b"x" * 1_000): b"x" * 1_000}
    child = next(iter(blocks))
    for _ in range(limits.FILE_LEVELS_MAX):
        node = encode_node([Link(cid=child)] * 50, b"\x08\x02")
        child = Cid.of(DAG_PB, node)
        blocks[child] = node
    with pytest.raises(LimitExceeded):
        list(export_file(child, blocks.get))
    node = encode_node([Link(cid=child)], b"\x08\x02")
    child = Cid.of(DAG_PB, node)
    blocks[child] = node
    with pytest.raises(LimitExceeded):
        list(export_file(child, blocks.get))


def test_file_over_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(limits, "FILE_BYTES_MAX", 100)
    with pytest.raises(LimitExceeded):
        import_file(io.BytesIO(bytes(101)), ignore, Profile(chunk_bytes=10, links_max=2))


links = st.builds(
    Link,
    cid=st.builds(Cid, st.sampled_from([RAW, DAG_PB]), st.binary(min_size=32, max_size=32)),
    name=st.none() | st.text(max_size=5),
    dag_bytes=st.none() | st.integers(0, (1 << 64) - 1),
)


@given(st.lists(links, max_size=5), st.none() | st.binary(max_size=50))
def test_dag_pb_node_comes_back(links, data):
    block = encode_node(links, data)
    assert decode_node(block) == Node(links=tuple(links), data=data)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_dag_pb_node_or_a_peers_fault(data):
    try:
        node = decode_node(data)
    except PeerError:
        return
    decode_node(encode_node(node.links, node.data))


def test_protobuf_lengths_beyond_the_end_are_refused():
    for data in (
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x0b",
        b"\x00",
    ):
        with pytest.raises(InvalidMessage):
            list(read_fields(data, FieldBudget(9)))
