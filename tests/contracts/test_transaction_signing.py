"""Transactions, RLP and contract addresses are those of eth-account and rlp."""

from __future__ import annotations

import rlp
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from contracts.limits import MAX_FEE_WEI
from contracts.transaction import (
    Fees,
    Transaction,
    created_address,
    encode_rlp,
    sign_transaction,
)
from primitives.address import to_checksum
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

items = st.recursive(
    st.binary(max_size=80), lambda inner: st.lists(inner, max_size=8), max_leaves=40
)
uint256 = st.integers(0, 2**256 - 1)
uint64 = st.integers(0, 2**64 - 1)


def test_signed_transaction_is_accepted_by_eth_account() -> None:
    key = PrivateKey(keccak256(b"key"))
    transaction = Transaction(
        chain_id=31337,
        nonce=0,
        fees=Fees(tip=1, maximum=2),
        gas=21_000,
        to=b"\1" * 20,
        value=5,
        data=b"",
    )
    signed = sign_transaction(transaction, key)
    assert Account.recover_transaction(signed.raw) == to_checksum(key.address)


@given(
    st.integers(1, 2**255),
    uint64,
    uint64,
    uint64,
    uint64,
    uint256,
    st.binary(max_size=300),
    st.none() | st.binary(min_size=20, max_size=20),
)
def test_signed_bytes_equal_eth_accounts(
    secret: int,
    chain_id: int,
    nonce: int,
    fee: int,
    gas: int,
    value: int,
    data: bytes,
    to: bytes | None,
) -> None:
    key = PrivateKey(secret.to_bytes(32, "big"))
    transaction = Transaction(
        chain_id=chain_id,
        nonce=nonce,
        fees=Fees(tip=fee // 2, maximum=fee),
        gas=gas,
        to=to,
        value=value,
        data=data,
    )
    fields = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "maxPriorityFeePerGas": fee // 2,
        "maxFeePerGas": fee,
        "gas": gas,
        "value": value,
        "data": data,
        "to": b"" if to is None else to_checksum(to),
    }
    theirs = Account.sign_transaction(fields, key.secret)
    ours = sign_transaction(transaction, key)
    assert ours.raw == bytes(theirs.raw_transaction)
    assert ours.hash == bytes(theirs.hash)


@given(items)
def test_rlp_equals_the_reference(item: object) -> None:
    assert encode_rlp(item) == rlp.encode(item)


@given(st.integers(0, 200))
def test_created_address_equals_the_reference(nonce: int) -> None:
    sender = b"\xaa" * 20
    assert created_address(sender, nonce) == keccak256(rlp.encode([sender, nonce]))[12:]


def test_created_address_of_a_known_deployment() -> None:
    """The first contract of account 0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0 (Ethereum wiki)."""
    sender = bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
    assert created_address(sender, 0).hex() == "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"


@given(uint64, uint64)
def test_bumped_fees_rise_by_a_quarter_up_to_the_ceiling(tip: int, extra: int) -> None:
    fees = Fees(tip=tip, maximum=tip + extra)
    bumped = fees.bump()
    assert bumped.tip <= bumped.maximum <= MAX_FEE_WEI
    if fees.maximum * 2 < MAX_FEE_WEI:
        assert bumped.maximum * 10 >= fees.maximum * 11
        assert bumped.tip * 10 >= fees.tip * 11
