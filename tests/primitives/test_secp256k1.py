"""Facts about `primitives.secp256k1`."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
from contextlib import suppress
from pathlib import Path

import pytest
from eth_keys import keys as reference_keys
from hypothesis import given
from hypothesis import strategies as st

from primitives.address import to_checksum
from primitives.errors import InvalidSignature
from primitives.secp256k1 import (
    SECP256K1_ORDER,
    PrivateKey,
    public_key_to_address,
    recover_address,
    verify_signature,
)

secrets_ = st.integers(1, SECP256K1_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
digests = st.binary(min_size=32, max_size=32)
DIGEST = hashlib.sha256(b"a digest").digest()
KEY = PrivateKey(b"\x01" * 32)


def twin(signature: bytes) -> bytes:
    """The same signature with s in the other half of the order."""
    s = SECP256K1_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


def test_the_address_of_the_key_one_is_the_known_one():
    key = PrivateKey((1).to_bytes(32, "big"))
    assert to_checksum(key.address) == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
    assert public_key_to_address(key.public_key) == key.address
    assert len(key.public_key) == 33


def test_v_is_accepted_in_both_conventions():
    signature = KEY.sign(DIGEST)
    assert signature[64] in (27, 28)
    low_v = signature[:64] + bytes([signature[64] - 27])
    assert recover_address(DIGEST, signature) == recover_address(DIGEST, low_v) == KEY.address


def test_the_twin_with_high_s_is_refused():
    with pytest.raises(InvalidSignature):
        recover_address(DIGEST, twin(KEY.sign(DIGEST)))


@pytest.mark.parametrize(
    "secret", [bytes(32), SECP256K1_ORDER.to_bytes(32, "big"), b"\1" * 31, b"\xff" * 32]
)
def test_a_secret_outside_the_order_is_refused(secret):
    with pytest.raises(ValueError, match="between 1 and the order"):
        PrivateKey(secret)


@pytest.mark.parametrize(
    "signature", [b"", bytes(65), b"\xff" * 65, bytes(64) + b"\x1b", b"\1" * 64, b"\1" * 66]
)
def test_garbage_is_an_invalid_signature(signature):
    with pytest.raises(InvalidSignature):
        recover_address(DIGEST, signature)


def test_a_signature_by_another_key_is_refused():
    with pytest.raises(InvalidSignature):
        verify_signature(DIGEST, PrivateKey(b"\x02" * 32).sign(DIGEST), KEY.address)
    verify_signature(DIGEST, KEY.sign(DIGEST), KEY.address)


def test_a_key_does_not_show_its_secret():
    assert KEY.secret.hex() not in repr(KEY)
    assert PrivateKey.generate().secret != PrivateKey.generate().secret


@given(secrets_, digests)
def test_signatures_equal_those_of_the_ethereum_library(secret, digest):
    key = PrivateKey(secret)
    signature = key.sign(digest)
    expected = reference_keys.PrivateKey(secret).sign_msg_hash(digest).to_bytes()
    assert signature == expected[:64] + bytes([expected[64] + 27])
    assert recover_address(digest, signature) == key.address


@given(secrets_, digests, st.integers(0, 64), st.integers(1, 255))
def test_no_changed_signature_verifies(secret, digest, position, change):
    key = PrivateKey(secret)
    signature = bytearray(key.sign(digest))
    signature[position] ^= change
    same_v = position == 64 and signature[64] % 27 == key.sign(digest)[64] % 27
    if same_v and signature[64] in (0, 1, 27, 28):
        return
    with pytest.raises(InvalidSignature):
        verify_signature(digest, bytes(signature), key.address)


@given(st.binary(max_size=80), st.binary(max_size=40))
def test_random_bytes_raise_nothing_but_invalid_signature(signature, digest):
    with suppress(InvalidSignature):
        recover_address(digest, signature)


@pytest.mark.data
def test_addresses_equal_the_recorded_ones(data_dir: Path):
    cases = json.loads(gzip.decompress((data_dir / "vectors/ethers/accounts.json.gz").read_bytes()))
    assert len(cases) == 259
    for case in cases:
        key = PrivateKey(bytes.fromhex(case["privateKey"][2:]))
        assert to_checksum(key.address) == case["address"]


def is_accepted(public_key: bytes, digest: bytes, r_and_s: bytes) -> bool:
    """Whether one of the two recovery ids gives the key's address."""
    address = public_key_to_address(public_key)
    for v in (27, 28):
        try:
            verify_signature(digest, r_and_s + bytes([v]), address)
        except InvalidSignature:
            continue
        return True
    return False


@pytest.mark.data
def test_wycheproof_signatures_are_judged_as_an_exchange_must(data_dir: Path):
    """Valid ones with low s are accepted, everything else is refused (P1363 form: r ‖ s)."""
    file = data_dir / "vectors/wycheproof/ecdsa_secp256k1_sha256_p1363_test.json.xz"
    seen = {True: 0, False: 0}
    for group in json.loads(lzma.decompress(file.read_bytes()))["testGroups"]:
        public_key = bytes.fromhex(group["publicKey"]["uncompressed"])
        for case in group["tests"]:
            signature = bytes.fromhex(case["sig"])
            digest = hashlib.sha256(bytes.fromhex(case["msg"])).digest()
            is_low = int.from_bytes(signature[32:], "big") <= SECP256K1_ORDER // 2
            expected = case["result"] == "valid" and is_low and len(signature) == 64
            accepted = is_accepted(public_key, digest, signature)
            assert accepted == expected, case
            seen[accepted] += 1
    assert seen == {True: 95, False: 157}
