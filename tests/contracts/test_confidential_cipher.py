"""Amounts and keys are encrypted as on COTI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from coincurve import PublicKey
from Crypto.Cipher import AES
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.confidential_cipher import (
    AMOUNT_MAX,
    OnboardingKey,
    decrypt_amount,
    decrypt_block,
    encrypt_amount,
    encrypt_block,
    encrypt_share,
    sign_input,
)
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

ALICE = PrivateKey(keccak256(b"alice"))


@given(st.binary(min_size=16, max_size=16), st.integers(0, AMOUNT_MAX))
@settings(max_examples=50, deadline=None)
def test_what_is_encrypted_is_decrypted_and_looks_different_every_time(
    key: bytes, amount: int
) -> None:
    first, second = encrypt_amount(key, amount), encrypt_amount(key, amount)
    assert first != second
    assert decrypt_amount(key, first) == decrypt_amount(key, second) == amount


def test_the_format_is_aes_of_r_xor_value_then_r() -> None:
    key, r = bytes(range(16)), bytes(range(16, 32))
    pad = int.from_bytes(AES.new(key, AES.MODE_ECB).encrypt(r), "big")
    expected = (pad ^ 1_234) << 128 | int.from_bytes(r, "big")
    assert encrypt_block(key, 1_234, r) == expected
    assert decrypt_block(key, expected) == 1_234


def test_inputs_are_those_of_cotis_own_sdk_to_the_byte() -> None:
    vectors = json.loads((Path(__file__).parent / "vectors" / "coti_sdk.json").read_text())
    key, contract = bytes.fromhex(vectors["aes_key"]), bytes.fromhex(vectors["contract"])
    for one in vectors["inputs"]:
        ciphertext = encrypt_block(key, one["amount"], bytes.fromhex(one["r"]))
        assert ciphertext == int(one["ciphertext"], 16)
        assert decrypt_amount(key, ciphertext) == one["amount"]
        signature = sign_input(ALICE, contract, bytes.fromhex(vectors["selector"]), ciphertext)
        assert signature.hex() == one["signature"]


def test_never_written_is_zero_and_a_wrong_key_is_found_out() -> None:
    key = bytes(16)
    assert decrypt_amount(key, 0) == 0
    with pytest.raises(ValueError, match="not encrypted under"):
        decrypt_amount(b"\x01" * 16, encrypt_block(key, 5, b"\x02" * 16))


@pytest.mark.parametrize("amount", [-1, AMOUNT_MAX + 1])
def test_amounts_have_64_bits(amount: int) -> None:
    with pytest.raises(ValueError, match="between"):
        encrypt_amount(bytes(16), amount)


def test_an_input_is_signed_for_one_function_of_one_contract() -> None:
    contract, selector, ciphertext = b"\xcc" * 20, b"\x01\x02\x03\x04", 77
    signature = sign_input(ALICE, contract, selector, ciphertext)
    assert signature[64] in (0, 1)
    message = ALICE.address + contract + selector + ciphertext.to_bytes(32, "big")
    found = PublicKey.from_signature_and_message(signature, keccak256(message), hasher=None)
    assert keccak256(found.format(compressed=False)[1:])[12:] == ALICE.address


def test_a_key_comes_in_two_shares() -> None:
    rsa = OnboardingKey()
    key, share = bytes(range(16)), b"\x55" * 16
    other = bytes(x ^ y for x, y in zip(key, share, strict=True))
    first, second = encrypt_share(rsa.public, share), encrypt_share(rsa.public, other)
    assert rsa.recover(first, second) == key
    with pytest.raises(ValueError, match=r"."):
        rsa.recover(first, bytes(256))
    with pytest.raises(ValueError, match="length"):
        rsa.recover(first, encrypt_share(rsa.public, b"short"))
    with pytest.raises(ValueError, match="no RSA key"):
        encrypt_share(b"nonsense", share)
