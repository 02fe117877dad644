"""Facts about `primitives.dag_cbor`."""

from __future__ import annotations

import json
import lzma
import math
from contextlib import suppress
from pathlib import Path

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from primitives.cid import DAG_CBOR, RAW, Cid, decode_varint
from primitives.dag_cbor import ForeignLink, decode, encode, links
from primitives.errors import InvalidMessage, LimitExceeded, PeerError

LINK = Cid.raw(b"x")
LINK_HEX = "d82a582500" + LINK.encode().hex()

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.binary(max_size=40),
    st.builds(Cid, st.sampled_from([RAW, DAG_CBOR]), st.binary(min_size=32, max_size=32)),
)
nodes = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=6), inner, max_size=6)
    ),
    max_leaves=30,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "f6"),
        (True, "f5"),
        (False, "f4"),
        (0, "00"),
        (24, "1818"),
        (2**64 - 1, "1bffffffffffffffff"),
        (-(2**64), "3bffffffffffffffff"),
        (1.5, "fb3ff8000000000000"),
        (b"\1\2", "420102"),
        ("ü", "62c3bc"),
        ([1, [2]], "82018102"),
        ({"b": 1, "a": 2, "aa": 3}, "a3616102616201626161" + "03"),
        (LINK, LINK_HEX),
    ],
)
def test_values_are_written_in_their_one_form(value, text):
    assert encode(value).hex() == text
    assert decode(bytes.fromhex(text)) == value


@pytest.mark.parametrize(
    "text",
    ["", "18", "1817", "190017", "1a00000017", "1b0000000000000017",  # longer than needed
     "5f4101ff", "7f6161ff", "9f01ff", "bf616101ff",  # indefinite
     "f7", "f0", "f818", "f93c00", "fa3f800000", "fb7ff8000000000000", "fb7ff0000000000000",
     "fbfff0000000000000", "ff", "1c", "fc",
     "c001", "c11a514b67b0", "c24101", "c48221196ab3", "d81c80", "d81d00", "d9d9f700", "d8234161",
     "d90100820102", "d82a00", "d82a40", "d82a4101", "d82a4100", "d82a6100", "d82b4100",
     "d82a58230012" + "21" + "00" * 32, "d82a582400" + "02551220" + "00" * 31,
     "d82a582500" + "01551221" + "00" * 32, "d82a582600" + "0155920020" + "00" * 32,
     "a2616201616102", "a2616101616101", "a10102", "a1414101", "a2626161016162" + "02",
     "81", "a1", "a16161", "0000", "61ff", "63eda080", "9bffffffffffffffff", "bbffffffffffffffff",
     "5bffffffffffffffff", "7affffffff"],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidMessage):
        decode(bytes.fromhex(text))


@pytest.mark.parametrize("opening", ["81", "a16161", "d82a", "a1"])
def test_deep_nesting_is_refused_without_exhausting_the_stack(opening):
    with pytest.raises(PeerError):
        decode(bytes.fromhex(opening) * 100_000 + b"\xf6")


def test_size_is_checked_before_anything_else():
    with pytest.raises(LimitExceeded):
        decode(bytes(20), max_bytes=19)


@pytest.mark.parametrize(
    "value", [2**64, -(2**64) - 1, math.nan, math.inf, {1: 2}, {b"a": 2}, set(), object()]
)
def test_what_cannot_be_said_is_not_written(value):
    with pytest.raises((ValueError, TypeError)):
        encode(value)


@given(nodes)
def test_values_come_back_and_have_one_form(value):
    data = encode(value)
    assert decode(data) == value
    assert encode(decode(data)) == data


@given(nodes)
def test_a_general_decoder_reads_the_same(value):
    def plain(item):
        if isinstance(item, Cid):
            return cbor2.CBORTag(42, b"\0" + item.encode())
        if isinstance(item, dict):
            return {key: plain(inner) for key, inner in item.items()}
        return [plain(inner) for inner in item] if isinstance(item, list) else item

    assert cbor2.loads(encode(value)) == plain(value)


@given(st.binary(max_size=100))
@example(bytes.fromhex("a2616101616101"))
def test_what_is_read_would_be_written_the_same(data):
    with suppress(PeerError):
        assert encode(decode(data)) == data


@given(nodes, st.data())
def test_a_changed_byte_is_refused_or_another_value(value, data):
    good = encode(value)
    i = data.draw(st.integers(0, len(good) - 1))
    bad = good[:i] + bytes([good[i] ^ data.draw(st.integers(1, 255))]) + good[i + 1 :]
    with suppress(PeerError):
        assert encode(decode(bad)) == bad


def test_links_are_found_in_the_order_of_the_bytes():
    first, second, third = (Cid.raw(bytes([i])) for i in range(3))
    value = decode(encode({"bb": [second, {"x": third}], "a": first, "c": 1}))
    assert links(value) == [first, second, third]


def test_links_of_other_kinds_are_carried_as_they_are():
    version_0 = ForeignLink(b"\x12\x20" + bytes(32))
    identity = ForeignLink(bytes.fromhex("01550003") + b"abc")
    data = encode([version_0, identity, LINK])
    assert decode(data) == [version_0, identity, LINK]
    assert encode(decode(data)) == data
    assert links(decode(data)) == [LINK]


def read_car(data: bytes) -> list[tuple[Cid, bytes]]:
    """Blocks of a CARv1 archive."""
    blocks = []
    size, data = decode_varint(data)
    data = data[size:]
    while data:
        size, data = decode_varint(data)
        blocks.append(Cid.decode_prefix(data[:size]))
        data = data[size:]
    return blocks


@pytest.mark.data
def test_all_blocks_of_the_codec_fixtures_have_their_cid(data_dir: Path):
    archive = lzma.decompress((data_dir / "vectors/ipld/fixtures.car.xz").read_bytes())
    blocks = read_car(archive)
    assert len(blocks) == 273
    count = 0
    for cid, block in blocks:
        cid.verify(block)
        if cid.codec == DAG_CBOR:
            assert encode(decode(block)) == block
            count += 1
    assert count == 128


@pytest.mark.data
def test_the_negative_fixtures_are_refused(data_dir: Path):
    files = sorted((data_dir / "vectors/ipld/negative-fixtures/dag-cbor/decode").glob("*.json"))
    assert files
    for file in files:
        for case in json.loads(file.read_bytes()):
            with pytest.raises(InvalidMessage):
                decode(bytes.fromhex(case["hex"]))
