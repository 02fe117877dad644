"""Facts about `primitives.codec`."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from primitives.codec import decode, decode_json, encode
from primitives.errors import InvalidMessage, LimitExceeded, PeerError
from primitives.limits import MESSAGE_DEPTH_MAX
from primitives.nesting import check_msgpack_nesting


class Order(msgspec.Struct, frozen=True, array_like=True, tag=1, forbid_unknown_fields=True):
    price: int
    owner: bytes
    name: str


class Group(msgspec.Struct, frozen=True, array_like=True, tag=2, forbid_unknown_fields=True):
    orders: tuple[Order, ...]


Message = Order | Group
ORDER = Order(5, b"\1" * 20, "x")


def test_a_message_comes_back_as_it_was():
    assert encode(ORDER).hex() == "940105c414" + "01" * 20 + "a178"
    assert decode(encode(ORDER), Message) == ORDER
    assert decode(encode(Group((ORDER, ORDER))), Message) == Group((ORDER, ORDER))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        encode(ORDER) + b"\0",
        encode(ORDER)[:-1],
        encode([1, 5, "text", "x"]),
        encode([1, 5, b"", "x", "more"]),
        encode([1, 5]),
        encode([9, 5, b"", "x"]),
        encode([1, 5.0, b"", "x"]),
        encode([1, True, b"", "x"]),
        encode({"price": 5}),
        b"\x94\x01\x05\xc4\x00\xa2\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\x94\x01\x05\xc6\xff\xff\xff\xff",
    ],
)
def test_anything_else_is_refused(data):
    with pytest.raises(InvalidMessage):
        decode(data, Message)


def test_size_is_checked_before_anything_else():
    with pytest.raises(LimitExceeded):
        decode(encode(ORDER), Message, max_bytes=10)


@pytest.fixture
def _raised_recursion_limit():
    """What importing web3 does to a process (py_ecc)."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("_raised_recursion_limit")
@pytest.mark.parametrize(
    "opening", [b"\x91", b"\x81\xa0", b"\x81\x91", b"\xdc\x00\x01", b"\x92\x01"]
)
@pytest.mark.parametrize("schema", [object, list, dict, list[list[object]], Message])
def test_deep_nesting_is_an_invalid_message(opening, schema):
    with pytest.raises(InvalidMessage):
        decode(opening * 100_000 + b"\xc0", schema)


@pytest.mark.usefixtures("_raised_recursion_limit")
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'["\\"]",', b'[{"[":'])
def test_deep_nesting_of_json_is_an_invalid_message(opening):
    with pytest.raises(InvalidMessage):
        decode_json(opening * 100_000, object)


nested = st.recursive(
    st.one_of(
        st.none(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False),
        st.booleans(),
        st.text(max_size=300),
        st.binary(max_size=300),
    ),
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=20)
    ),
    max_leaves=40,
)


@given(nested, st.integers(0, 300))
def test_the_bound_on_nesting_counts_levels_and_nothing_else(value, more):
    def depth(item):
        inner = (
            item.values() if isinstance(item, dict) else item if isinstance(item, list) else None
        )
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    levels = depth(value)
    for i in range(more):
        value = [value, b"\x91" * 3] if i % 2 else {"key": value}
    data = encode([b"\x91" * MESSAGE_DEPTH_MAX, value])  # openers as content force the whole scan
    if levels + more + 1 > MESSAGE_DEPTH_MAX:
        with pytest.raises(InvalidMessage):
            check_msgpack_nesting(data)
    else:
        check_msgpack_nesting(data)
        assert decode(data, object)[1] == value


@given(st.binary(max_size=100))
def test_the_bound_on_nesting_lets_malformed_bytes_pass_to_the_decoder(data):
    check_msgpack_nesting(data + b"\x90" * (MESSAGE_DEPTH_MAX + 1))


def test_json_is_bounded_by_levels_not_by_brackets():
    text = json.dumps([["[{" * 300, '"[', [1]]] * 300).encode()
    assert decode_json(text, list)[0][0] == "[{" * 300
    assert decode_json(b"[" * MESSAGE_DEPTH_MAX + b"]" * MESSAGE_DEPTH_MAX, list)
    with pytest.raises(InvalidMessage):
        decode_json(b"[" * (MESSAGE_DEPTH_MAX + 1) + b"]" * (MESSAGE_DEPTH_MAX + 1), list)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_random_json_raises_nothing_but_peer_errors(data):
    with suppress(PeerError):
        decode_json(data, object)


@given(st.binary(max_size=200), st.sampled_from([object, Message, list[int], dict[str, bytes]]))
@example(b"\x81\x90\xc0", object)  # an unhashable key
@example(b"\xd6\xff\xff\xff\xff\xff", object)
@example(b"\xc7\x0c\xff\x3b\x9a\xca\x00" + b"\x7f" * 8, object)
@example(b"\xd7\xff" + b"\xff" * 8, object)
def test_random_bytes_raise_nothing_but_peer_errors(data, schema):
    with suppress(PeerError):
        decode(data, schema)


@given(st.integers(-(2**63), 2**64 - 1), st.binary(max_size=40), st.text(max_size=40))
def test_equal_values_have_equal_bytes(price, owner, name):
    order = Order(price, owner, name)
    data = encode(order)
    assert decode(data, Message) == order
    assert encode(decode(data, Message)) == data


@pytest.mark.data
def test_the_public_suite_is_read_in_all_its_encodings(data_dir: Path):
    suite = json.loads((data_dir / "vectors/msgpack/msgpack-test-suite.json").read_bytes())
    fields = ("nil", "bool", "number", "string", "array", "map", "binary")
    count = 0
    for cases in suite.values():
        for case in cases:
            field = next((name for name in fields if name in case), None)
            if field is None or "bignum" in case:
                continue
            expected = case[field]
            if field == "binary":
                expected = bytes.fromhex(expected.replace("-", ""))
            for text in case["msgpack"]:
                assert decode(bytes.fromhex(text.replace("-", "")), object) == expected
                count += 1
    assert count > 100
