"""Facts about `primitives.cid`."""

from __future__ import annotations

from contextlib import suppress

import pytest
from cid import make_cid
from hypothesis import given
from hypothesis import strategies as st

from primitives.cid import DAG_CBOR, DAG_PB, RAW, Cid, decode_varint, encode_varint
from primitives.errors import InvalidMessage

HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"  # ipfs add --raw-leaves
EMPTY_DIRECTORY = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
cids = st.builds(
    Cid, st.sampled_from([RAW, DAG_PB, DAG_CBOR, 0x0129]), st.binary(min_size=32, max_size=32)
)


def test_a_known_text_is_written_and_read():
    assert str(Cid.raw(b"hello world")) == HELLO
    assert Cid.parse(HELLO) == Cid.raw(b"hello world")
    Cid.parse(HELLO).verify(b"hello world")


def test_a_version_0_cid_is_read_as_its_version_1_twin():
    cid = Cid.parse(EMPTY_DIRECTORY)
    assert cid == Cid.of(DAG_PB, bytes.fromhex("0a020801"))
    assert str(cid) == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
    assert Cid.decode(b"\x12\x20" + cid.digest) == cid


def test_other_data_is_refused():
    with pytest.raises(InvalidMessage):
        Cid.raw(b"hello world").verify(b"hello worlD")


@pytest.mark.parametrize(
    "text",
    ["", "b", HELLO[:-1], HELLO + "a", HELLO.upper(), HELLO[:-1] + "f", " " + HELLO, HELLO[1:],
     "f015512 20" + "00" * 32, "z" + HELLO, "Qm" + "0" * 44, "b" + "a" * 500, "m" + "A" * 40,
     "f01550020" + "00" * 32, "f0155122021" + "00" * 32, "f02551220" + "00" * 32,
     "f0180005512" + "20" + "00" * 32],
)  # fmt: skip
def test_any_other_text_is_refused(text):
    with pytest.raises(InvalidMessage):
        Cid.parse(text)


@given(cids)
def test_all_forms_come_back_as_they_were(cid):
    assert Cid.decode(cid.encode()) == Cid.parse(str(cid)) == cid
    assert Cid.parse("f" + cid.encode().hex()) == cid
    assert Cid.decode_prefix(cid.encode() + b"rest") == (cid, b"rest")


@given(cids)
def test_texts_equal_those_of_the_reference_library(cid):
    reference = make_cid(cid.encode())
    assert reference.encode("base32").decode() == str(cid)
    assert Cid.parse(reference.encode("base58btc").decode()) == cid


@given(st.integers(0, 2**63 - 1), st.binary(max_size=5))
def test_varints_come_back_as_they_were(number, rest):
    assert decode_varint(encode_varint(number) + rest) == (number, rest)


@given(st.binary(max_size=60), st.text(max_size=80))
def test_random_input_raises_nothing_but_invalid_message(data, text):
    with suppress(InvalidMessage):
        assert Cid.decode(data).encode() == data or data.startswith(b"\x12")
    with suppress(InvalidMessage):
        Cid.parse(text)
