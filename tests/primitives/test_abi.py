"""Facts about `primitives.abi`."""

from __future__ import annotations

import pytest
from eth_abi import encode as reference_encode
from hypothesis import given
from hypothesis import strategies as st

from primitives.abi import decode_words, encode_words
from primitives.errors import InvalidMessage

words = st.one_of(
    st.integers(0, 2**256 - 1).map(lambda value: ("uint256", value)),
    st.binary(min_size=20, max_size=20).map(lambda value: ("address", value)),
    st.binary(min_size=32, max_size=32).map(lambda value: ("bytes32", value)),
)


@given(st.lists(words, min_size=1, max_size=20))
def test_words_equal_those_of_the_ethereum_library(pairs):
    kinds, values = zip(*pairs, strict=True)
    as_abi = [v.hex() if kind == "address" else v for kind, v in pairs]
    encoded = encode_words(*values)
    assert encoded == reference_encode(kinds, as_abi)
    assert b"".join(decode_words(encoded)) == encoded


@pytest.mark.parametrize("value", [-1, 2**256, b"", b"\0" * 19, b"\0" * 33])
def test_what_is_not_one_word_is_refused(value):
    with pytest.raises(InvalidMessage):
        encode_words(value)


def test_a_ragged_end_is_refused():
    with pytest.raises(InvalidMessage):
        decode_words(bytes(33))
