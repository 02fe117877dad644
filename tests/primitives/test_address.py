"""Facts about `primitives.address`."""

from __future__ import annotations

from contextlib import suppress

import pytest
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from primitives.address import parse_address, to_checksum
from primitives.errors import InvalidMessage

EIP_55_EXAMPLES = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("text", EIP_55_EXAMPLES)
def test_the_examples_of_the_standard_are_read_and_written(text):
    assert to_checksum(parse_address(text)) == text
    assert parse_address(text.lower()) == parse_address(text)


def test_a_mistyped_letter_is_noticed():
    with pytest.raises(InvalidMessage):
        parse_address(EIP_55_EXAMPLES[0].replace("A", "a", 1))


@pytest.mark.parametrize(
    "text",
    ["", "0x", "00" * 20, "0x" + "00" * 19, "0x" + "00" * 21, "0x" + "0g" * 20, "0x" + "0 " * 20],
)
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidMessage):
        parse_address(text)


@given(st.binary(min_size=20, max_size=20))
def test_the_checksum_is_the_one_of_the_ethereum_library(address):
    assert to_checksum(address) == to_checksum_address(address)
    assert parse_address(to_checksum(address)) == address


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_invalid_message(text):
    with suppress(InvalidMessage):
        parse_address(text)
