"""Facts about headers."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.header import (
    HEADER_BYTES,
    Header,
    decode_header,
    encode_header,
    hash_header,
)
from primitives.abi import encode_words
from primitives.errors import InvalidBlock, PeerError

INTEGERS = {
    "epoch",
    "view",
    "height",
    "parent_view",
    "time_ms",
    "executed_height",
    "proposer",
}


@st.composite
def headers(draw) -> Header:
    values = {}
    for item in fields(Header):
        if item.name == "proposer":
            values[item.name] = draw(st.integers(0, 127))
        elif item.name in INTEGERS:
            values[item.name] = draw(st.integers(0, (1 << 63) - 1))
        else:
            values[item.name] = draw(st.binary(min_size=32, max_size=32))
    return Header(**values)


@given(headers())
def test_a_header_is_sixteen_abi_words_and_back(header: Header):
    words = encode_header(header)
    assert words == encode_words(*(getattr(header, item.name) for item in fields(Header)))
    assert len(words) == HEADER_BYTES
    assert decode_header(words) == header


def test_the_hash_is_a_vector():
    header = Header(
        **{
            item.name: position if item.name in INTEGERS else bytes([position]) * 32
            for position, item in enumerate(fields(Header), 1)
        }
    )
    assert hash_header(encode_header(header)).hex() == VECTOR


@given(st.binary(max_size=600) | st.binary(min_size=HEADER_BYTES, max_size=HEADER_BYTES))
def test_random_words_are_a_header_or_a_peer_error(data: bytes):
    try:
        header = decode_header(data)
    except PeerError:
        return
    assert encode_header(header) == data


@pytest.mark.parametrize("position", [0, 1, 2, 3, 5, 7, 15])
def test_integers_beyond_63_bits_are_refused(position: int):
    words = bytearray(HEADER_BYTES)
    words[position * 32 + 24] = 0x80
    with pytest.raises(InvalidBlock):
        decode_header(bytes(words))


VECTOR = "dd09afed04dee514fc254ae3c3e84e84d4f2ffe5c45e482aa34435a716d2a100"
