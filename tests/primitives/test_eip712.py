"""Facts about EIP-712 digests: `primitives.eip712`, `eip712_atoms` and `typed_data`."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from pathlib import Path

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from primitives.eip712 import StructType, network_domain, typed_data_digest, typed_digest
from primitives.errors import InvalidMessage, PeerError
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

# The example of the standard itself: https://eips.ethereum.org/EIPS/eip-712
MAIL = {
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"},
            {"name": "verifyingContract", "type": "address"},
        ],
        "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
        "Mail": [
            {"name": "from", "type": "Person"},
            {"name": "to", "type": "Person"},
            {"name": "contents", "type": "string"},
        ],
    },
    "primaryType": "Mail",
    "domain": {
        "name": "Ether Mail",
        "version": "1",
        "chainId": 1,
        "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
    },
    "message": {
        "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
        "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
        "contents": "Hello, Bob!",
    },
}
NETWORK = keccak256(b"a test network")


def reference_digest(document):
    return bytes(_hash_eip191_message(encode_typed_data(full_message=document)))


def one_member(kind, value):
    """A document of a single member."""
    types = {
        "EIP712Domain": [{"name": "name", "type": "string"}],
        "A": [{"name": "a", "type": kind}],
    }
    return {"types": types, "primaryType": "A", "domain": {"name": "x"}, "message": {"a": value}}


def test_the_example_of_the_standard_has_its_digest():
    expected = "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    assert typed_data_digest(MAIL).hex() == expected == reference_digest(MAIL).hex()


def test_the_domain_type_is_derived_when_the_document_lacks_it():
    types = {name: members for name, members in MAIL["types"].items() if name != "EIP712Domain"}
    assert typed_data_digest(MAIL | {"types": types}) == typed_data_digest(MAIL)


def test_the_domain_of_a_network_is_the_generic_one_with_its_salt():
    document = one_member("uint8", 1) | {
        "domain": {"name": "OmniBazaar", "version": "1", "salt": "0x" + NETWORK.hex()}
    }
    del document["types"]["EIP712Domain"]
    expected = typed_digest(network_domain(NETWORK), StructType("A(uint8 a)").hash(1))
    assert typed_data_digest(document) == expected


integers = st.integers(1, 32).flatmap(
    lambda size: st.one_of(
        st.tuples(st.just(f"uint{8 * size}"), st.integers(0, 256**size - 1)),
        st.tuples(st.just(f"int{8 * size}"), st.integers(-(256**size) // 2, 256**size // 2 - 1)),
        st.tuples(st.just(f"bytes{size}"), st.binary(min_size=size, max_size=size)),
    )
)
atoms = st.one_of(
    integers,
    st.tuples(st.just("bool"), st.booleans()),
    st.tuples(st.just("address"), st.binary(min_size=20, max_size=20)),
    st.tuples(st.just("string"), st.text(max_size=40)),
    st.tuples(st.just("bytes"), st.binary(max_size=80)),
)


def as_json(value):
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value


@given(st.lists(atoms, max_size=12))
def test_structs_hash_as_the_ethereum_library_hashes_them(pairs):
    members = [{"name": f"m{i}", "type": kind} for i, (kind, _) in enumerate(pairs)]
    struct = StructType(f"Thing({','.join(m['type'] + ' ' + m['name'] for m in members)})")
    document = {
        "types": {"EIP712Domain": [{"name": "name", "type": "string"}], "Thing": members},
        "primaryType": "Thing",
        "domain": {"name": "x"},
        "message": {f"m{i}": as_json(value) for i, (_, value) in enumerate(pairs)},
    }
    separator = StructType("EIP712Domain(string name)").hash("x")
    digest = typed_digest(separator, struct.hash(*(value for _, value in pairs)))
    assert digest == reference_digest(document) == typed_data_digest(document)


@st.composite
def documents(draw):
    """Structs that refer to later ones, in arrays of up to two dimensions."""
    count = draw(st.integers(1, 4))
    types, builders = {}, {}
    for i in reversed(range(count)):
        members, values = [], {}
        for j in range(draw(st.integers(1, 4))):
            if builders and draw(st.booleans()):
                kind = draw(st.sampled_from(sorted(builders)))
                value = builders[kind]
            else:
                kind, value = draw(atoms)
                value = as_json(value)
            for _ in range(draw(st.integers(0, 2))):
                size = draw(st.integers(0, 3))
                kind += f"[{size}]" if size and draw(st.booleans()) else "[]"
                value = [value] * size
            members.append({"name": f"p{j}", "type": kind})
            values[f"p{j}"] = value
        types[f"S{i}"], builders[f"S{i}"] = members, values
    referred = {member["type"].split("[")[0] for members in types.values() for member in members}
    while unused := set(types) - referred - {"S0"}:  # the library wants to guess the primary type
        types = {name: members for name, members in types.items() if name not in unused}
        referred = {
            member["type"].split("[")[0] for members in types.values() for member in members
        }
    types["EIP712Domain"] = [{"name": "chainId", "type": "uint256"}]
    return {
        "types": types,
        "primaryType": "S0",
        "domain": {"chainId": 7},
        "message": builders["S0"],
    }


@given(documents())
def test_whole_documents_hash_as_the_ethereum_library_hashes_them(document):
    assert typed_data_digest(document) == reference_digest(document)


@pytest.mark.parametrize(
    ("declaration", "values"),
    [
        ("A(uint8 a)", (256,)),
        ("A(uint8 a)", (-1,)),
        ("A(uint64 a)", (2**64,)),
        ("A(uint64 a)", ("7 ",)),
        ("A(uint64 a)", (b"7",)),
        ("A(uint64 a)", (1.0,)),
        ("A(uint64 a)", (None,)),
        ("A(uint128 a)", (2**128,)),
        ("A(uint256 a)", (2**256,)),
        ("A(int8 a)", (128,)),
        ("A(int8 a)", (-129,)),
        ("A(address a)", (b"\1" * 19,)),
        ("A(address a)", (5,)),
        ("A(bytes32 a)", (b"\1" * 31,)),
        ("A(bytes32 a)", ("1" * 32,)),
        ("A(bytes4 a)", (b"\1" * 5,)),
        ("A(bool a)", (2,)),
        ("A(string a)", (b"x",)),
        ("A(string a)", ("\ud800",)),
        ("A(uint8 a)", ()),
        ("A(uint8 a)", (1, 2)),
    ],
)
def test_a_value_that_does_not_fit_is_refused(declaration, values):
    with pytest.raises(InvalidMessage):
        StructType(declaration).hash(*values)


@pytest.mark.parametrize(
    "declaration",
    ["", "A", "A(", "A()x", "A(uint8)", "A(uint7 a)", "A(uint08 a)", "A(uint264 a)", "A(bytes0 a)",
     "A(bytes33 a)", "A(B b)", "A(uint8[] a)", "A(uint8 a, uint8 b)"],
)  # fmt: skip
def test_a_struct_has_atomic_members_in_the_exact_form_that_is_hashed(declaration):
    with pytest.raises(InvalidMessage):
        StructType(declaration)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        one_member("uint8", "0x100"),
        one_member("uint8", "1_0"),
        one_member("uint8", " 1"),
        one_member("uint8", True),
        one_member("uint8", "9" * 5000),
        one_member("uint8[2]", [1]),
        one_member("uint8[]", "123"),
        one_member("uint8[]", {"1": 1}),
        one_member("uint8[" + "9" * 5000 + "]", []),
        one_member("bytes", "0x123"),
        one_member("bytes", "0x 12"),
        one_member("bytes" + "9" * 5000, "0x"),
        one_member("string", None),
        one_member("B", {}),
        one_member("A", None),
        MAIL | {"primaryType": "Nothing"},
        MAIL | {"types": {"Mail": None}},
        MAIL | {"types": {"Mail": [None]}},
        MAIL | {"types": {"Mail": [{"name": 1, "type": "uint8"}]}},
        MAIL | {"message": {}},
        MAIL | {"message": None},
        MAIL | {"types": {str(i): [] for i in range(1000)}},
        MAIL | {"types": {"Mail": [{"name": f"a{i}", "type": "bool"} for i in range(1000)]}},
    ],
)
def test_a_malformed_document_is_refused(document):
    with pytest.raises(PeerError):
        typed_data_digest(document)


@pytest.mark.parametrize("kind", ["A", "A[]", "uint8" + "[]" * 3000])
def test_nesting_is_bounded(kind):
    value: object = {} if kind == "A" else []
    for _ in range(3000):
        value = [value] if "uint8" in kind else {"a": [value] if kind == "A[]" else value}
    with pytest.raises(PeerError):
        typed_data_digest(one_member(kind, value))


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values, values, values, st.text(max_size=12))
def test_random_documents_raise_nothing_but_peer_errors(types, domain, message, kind):
    for document in (
        types,
        {"types": types, "domain": domain, "message": message, "primaryType": "A"},
        one_member(kind, message),
        MAIL | {"message": message},
    ):
        with suppress(PeerError):
            typed_data_digest(document)


@pytest.mark.data
def test_documents_of_ethers_have_their_digests(data_dir: Path):
    file = data_dir / "vectors/ethers/typed-data.json.gz"
    cases = json.loads(gzip.decompress(file.read_bytes()))
    assert len(cases) == 130
    for case in cases:
        document = {key: case[key] for key in ("types", "primaryType", "domain")}
        assert (
            "0x" + typed_data_digest(document | {"message": case["data"]}).hex() == case["digest"]
        )


@pytest.mark.data
def test_signatures_of_another_exchange_are_reproduced(data_dir: Path):
    cases = json.loads((data_dir / "vectors/hyperliquid/signing.json").read_bytes())
    assert len(cases) == 20
    for case in cases:
        digest = typed_data_digest(case["typedData"])
        assert "0x" + digest.hex() == case["digest"]
        signature = PrivateKey(bytes.fromhex(case["privateKey"][2:])).sign(digest)
        r, s = int(case["r"], 16), int(case["s"], 16)
        assert signature == r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([case["v"]])
