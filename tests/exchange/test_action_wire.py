"""Actions: digests that wallets agree with, and bytes that never crash a node."""

from __future__ import annotations

import msgspec
import pytest
from eth_account.messages import _hash_eip191_message
from eth_account.messages import encode_typed_data as eth_encode
from hypothesis import given
from hypothesis import strategies as st

from exchange import limits
from exchange.actions import (
    Action,
    Attest,
    Cancel,
    Commit,
    Grant,
    Open,
    Place,
    Revoke,
    SignedAction,
    Transfer,
    Withdraw,
    decode_action,
    decode_bundle,
    encode_action,
    encode_amount,
    encode_bundle,
    encode_signed,
    sign,
    verify,
)
from exchange.reasons import Reason
from exchange.typed_data import encode_typed_data
from primitives.eip712 import network_domain, typed_data_digest
from primitives.errors import InvalidMessage, LimitExceeded
from tests.exchange.world import DOMAIN, NETWORK_ID, make_key

KEY = make_key("wallet")
PLACE = Place(0, 0, 5, 6)


def make(*ops: object, domain: bytes = DOMAIN, sub: int = 0) -> Action:
    return Action(domain, KEY.address, sub, 1_000, 2_000, False, ops)  # type: ignore[arg-type]


addresses = st.binary(min_size=20, max_size=20)
amounts = st.integers(0, limits.AMOUNT_ATOMS_MAX).map(encode_amount)
wallet_ops = st.one_of(
    st.builds(
        Grant,
        addresses,
        st.integers(0, limits.TIME_MS_MAX),
        st.integers(0, 2**32 - 1),
        st.lists(st.integers(0, 1023), max_size=5).map(tuple),
        amounts,
        st.booleans(),
    ),
    st.builds(Revoke, addresses),
    st.builds(Withdraw, st.integers(0, 255), amounts, addresses),
    st.builds(Transfer, st.integers(0, 255), amounts, addresses, st.integers(0, 127)),
)


@given(wallet_ops, st.integers(0, 127))
def test_wallet_operations_hash_as_every_wallet_does(op: object, sub: int) -> None:
    sub = 0 if isinstance(op, Grant | Revoke) else sub
    action = make(op, sub=sub)
    document = encode_typed_data(NETWORK_ID, action)
    verified = verify(sign(action, KEY), DOMAIN)
    assert verified.error == 0
    assert verified.signer == KEY.address
    assert verified.id == _hash_eip191_message(eth_encode(full_message=document))
    assert verified.id == typed_data_digest(document)


def test_typed_data_is_for_wallet_operations_only() -> None:
    with pytest.raises(ValueError, match="wallet"):
        encode_typed_data(NETWORK_ID, make(PLACE))


def test_trading_action_round_trips_and_its_id_is_its_digest() -> None:
    ops = (PLACE, Cancel(1, 7), Commit(0, 2, 3, bytes(32)), Open(0, bytes(32), (PLACE,), bytes(32)))
    action = make(*ops)
    assert decode_action(encode_action(action)) == action
    signed = sign(action, KEY)
    one, two = verify(signed, DOMAIN), verify(encode_signed(signed), DOMAIN)
    assert verify((signed.payload, signed.signature), DOMAIN).id == one.id
    assert one.error == two.error == 0
    assert one.id == two.id
    assert one.ops == ops


def test_action_of_another_network_is_refused() -> None:
    other = network_domain(b"\x07" * 32)
    assert verify(sign(make(PLACE, domain=other), KEY), DOMAIN).error == Reason.WRONG_DOMAIN


def test_wallet_operation_needs_the_wallet_and_stands_alone() -> None:
    session = make_key("session")
    withdraw = Withdraw(0, encode_amount(5), b"\x01" * 20)
    assert verify(sign(make(withdraw), session), DOMAIN).error == Reason.NEEDS_WALLET
    assert verify(sign(make(PLACE, withdraw), KEY), DOMAIN).error == Reason.MIXED_OPERATIONS
    attest = Attest(1, bytes(20), 0, bytes(32), bytes(32), (), ())
    assert verify(sign(make(PLACE, attest), KEY), DOMAIN).error == Reason.MIXED_OPERATIONS
    assert verify(sign(make(attest), session), DOMAIN).error == Reason.NOT_VALIDATOR


def test_changed_signature_is_another_signer_or_none() -> None:
    signed = sign(make(PLACE), KEY)
    flipped = bytearray(signed.signature)
    flipped[40] ^= 1
    verified = verify(SignedAction(signed.payload, bytes(flipped)), DOMAIN)
    assert verified.error == Reason.BAD_SIGNATURE or verified.signer != KEY.address
    none = verify(SignedAction(signed.payload, bytes(65)), DOMAIN)
    assert none.error == Reason.BAD_SIGNATURE


HOSTILE = [
    b"",
    b"\xc1",
    b"\x91" * 100_000,
    b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff\xff\xfe",
    bytes(1_000),
    msgspec.msgpack.encode([1, 2, 3]),
    msgspec.msgpack.encode({"a": 1}),
]


@pytest.mark.parametrize("data", HOSTILE)
def test_hostile_bytes_become_malformed(data: bytes) -> None:
    assert verify(data, DOMAIN).error == Reason.MALFORMED
    assert verify(SignedAction(data, bytes(65)), DOMAIN).error == Reason.MALFORMED
    assert decode_bundle(data) == ()


@given(st.binary(max_size=300))
def test_random_bytes_never_raise(data: bytes) -> None:
    assert verify(data, DOMAIN).error != 0
    assert verify(SignedAction(data, bytes(65)), DOMAIN).error != 0
    assert isinstance(decode_bundle(data), tuple)


@given(st.integers(0, 500), st.integers(0, 255))
def test_mutated_actions_never_raise(position: int, value: int) -> None:
    signed = sign(make(PLACE, Cancel(1, 7)), KEY)
    data = bytearray(encode_signed(signed))
    data[position % len(data)] = value
    verify(bytes(data), DOMAIN)


@pytest.mark.parametrize(
    "op",
    [
        [1, 0, 0, 1 << 40, 6, 0, 0, 0],
        [1, 0, 0, 5, 1 << 63, 0, 0, 0],
        [1, 0, 0, 0, 6, 0, 0, 0],
        [1, 0, 0, -5, 6, 0, 0, 0],
        [1, 0, 2, 5, 6, 0, 0, 0],
        [1, 0, 0, 5, 6, 4, 0, 0],
        [1, 0, 0, 5, 6, 0, 0, -1],
        [1, 0, 0, 5, 6, 0, 0, 0, 0],
        [1, 0, 0, 5.0, 6, 0, 0, 0],
        [1, 5000, 0, 5, 6, 0, 0, 0],
        [8, 0],
        [0],
        [],
        [12, 0, b"\x01", b"\x01" * 20],
        [12, 0, 5, b"\x01" * 20],
        [7, 0, bytes(32), [[1, 0, 0, 5, 6, 0, 0, 0]] * 9, bytes(32)],
        [7, 0, bytes(32), [], bytes(32)],
        [7, 0, bytes(32), [[[[[]]]]], bytes(32)],
        [20, 1, bytes(20), 0, bytes(32), bytes(32), [[[[]]]], b""],
    ],
)
def test_out_of_range_operations_are_malformed(op: list[object]) -> None:
    payload = msgspec.msgpack.encode([DOMAIN, KEY.address, 0, 1_000, 2_000, False, [op]])
    assert verify(SignedAction(payload, bytes(65)), DOMAIN).error == Reason.MALFORMED
    with pytest.raises(InvalidMessage):
        decode_action(payload)


def test_counts_and_sizes_are_bounded() -> None:
    too_many = encode_action(make(*[PLACE] * 65))
    assert verify(SignedAction(too_many, bytes(65)), DOMAIN).error == Reason.MALFORMED
    assert verify(SignedAction(encode_action(make()), bytes(65)), DOMAIN).error == Reason.MALFORMED
    huge = bytes(limits.PAYLOAD_BYTES_MAX + 1)
    assert verify((huge, bytes(65)), DOMAIN).error == Reason.MALFORMED
    assert verify((encode_action(make(PLACE)), b"short"), DOMAIN).error == Reason.BAD_SIGNATURE
    with pytest.raises(LimitExceeded):
        decode_action(bytes(limits.PAYLOAD_BYTES_MAX + 1))
    with pytest.raises(LimitExceeded):
        encode_amount(1 << 128)
    with pytest.raises(LimitExceeded):
        encode_bundle([SignedAction(bytes(60_000), bytes(65))] * 5)


def test_bundle_round_trips() -> None:
    actions = [sign(make(PLACE), KEY)] * 3
    assert decode_bundle(encode_bundle(actions)) == tuple(actions)
