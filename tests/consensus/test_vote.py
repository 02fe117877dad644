"""Facts about votes and what they sign."""

from __future__ import annotations

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from consensus.vote import (
    ZERO_HASH,
    Kind,
    Vote,
    compute_vote_digest,
    hash_pending,
    verify_shape,
)
from primitives.eip712 import network_domain
from primitives.errors import InvalidVote
from primitives.keccak import keccak256

NETWORK_ID = b"\x01" * 32
HASH = b"\x22" * 32
SIGNATURE = b"\x33" * 64 + b"\x1b"
HASHES = st.binary(min_size=32, max_size=32)


def make(**changes) -> Vote:
    fields = {
        "kind": Kind.NOTARIZE,
        "epoch": 1,
        "view": 1,
        "block_hash": HASH,
        "pending": (),
        "signer": 0,
        "signature": SIGNATURE,
    }
    return Vote(**{**fields, **changes})


@given(
    st.sampled_from(list(Kind)),
    st.integers(0, (1 << 63) - 1),
    st.integers(0, (1 << 63) - 1),
    HASHES,
    st.lists(HASHES, max_size=3),
)
def test_digest_is_what_a_wallet_signs(kind, epoch, view, block_hash, pending):
    document = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "salt", "type": "bytes32"},
            ],
            "Vote": [
                {"name": "kind", "type": "uint8"},
                {"name": "epoch", "type": "uint64"},
                {"name": "view", "type": "uint64"},
                {"name": "blockHash", "type": "bytes32"},
                {"name": "pendingHash", "type": "bytes32"},
            ],
        },
        "primaryType": "Vote",
        "domain": {"name": "OmniBazaar", "version": "1", "salt": NETWORK_ID},
        "message": {
            "kind": int(kind),
            "epoch": epoch,
            "view": view,
            "blockHash": block_hash,
            "pendingHash": hash_pending(pending),
        },
    }
    signable = encode_typed_data(full_message=document)
    expected = keccak256(b"\x19" + signable.version + signable.header + signable.body)
    domain = network_domain(NETWORK_ID)
    assert compute_vote_digest(domain, kind, epoch, view, block_hash, pending) == expected


def test_an_empty_pending_list_hashes_to_zero():
    assert hash_pending(()) == ZERO_HASH
    assert hash_pending((HASH,)) == keccak256(HASH)


@pytest.mark.parametrize(
    "vote",
    [
        make(view=0),
        make(epoch=0),
        make(block_hash=ZERO_HASH),
        make(kind=Kind.FINALIZE, block_hash=ZERO_HASH),
        make(kind=Kind.NULLIFY),
        make(kind=Kind.NULLIFY, block_hash=ZERO_HASH, pending=(HASH,)),
        make(kind=Kind.FINALIZE, pending=(HASH,)),
        make(pending=(HASH, HASH)),
        make(pending=(b"\x02" * 32, b"\x01" * 32)),
        make(signature=b"\x33" * 64 + b"\x00"),
    ],
)
def test_odd_votes_are_refused(vote: Vote):
    with pytest.raises(InvalidVote):
        verify_shape(vote)


@pytest.mark.parametrize(
    "vote",
    [
        make(),
        make(pending=(b"\x01" * 32, b"\x02" * 32)),
        make(kind=Kind.NULLIFY, block_hash=ZERO_HASH),
        make(kind=Kind.FINALIZE),
    ],
)
def test_proper_votes_pass(vote: Vote):
    verify_shape(vote)
