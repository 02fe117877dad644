"""Keystores: the same as other wallets', hostile ones refused, none overwritten.

Rule: light scrypt parameters keep the tests quick; the format is the same.
Spec: Web3 Secret Storage Definition, version 3. Deviations: none.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from node.keys.keystore import (
    decrypt_key,
    encrypt_key,
    find_key,
    list_keys,
    load_key,
    read_password,
    save_key,
)
from primitives.errors import KeystoreError
from primitives.secp256k1 import PrivateKey
from tests.node.test_datadir import fill_disk

KEY = PrivateKey(bytes(range(1, 33)))
LIGHT = 2
STORE = encrypt_key(KEY, "pässword", role="trader", scrypt_n=LIGHT)

# The example of the Web3 Secret Storage Definition (PBKDF2), password "testpassword".
DEFINITION: dict[str, Any] = {
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}


def test_what_was_encrypted_is_opened() -> None:
    assert decrypt_key(STORE, "pässword").secret == KEY.secret


def test_other_wallets_open_ours_and_we_open_theirs() -> None:
    assert bytes(Account.decrypt(STORE.decode(), "pässword")) == KEY.secret
    theirs = Account.encrypt(KEY.secret, "pw", kdf="pbkdf2", iterations=2)
    assert decrypt_key(json.dumps(theirs).encode(), "pw").secret == KEY.secret


def test_the_example_of_the_definition_is_opened() -> None:
    secret = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
    assert decrypt_key(json.dumps(DEFINITION).encode(), "testpassword").secret.hex() == secret


def test_a_wrong_password_is_told_apart_from_a_damaged_file() -> None:
    with pytest.raises(KeystoreError) as wrong:
        decrypt_key(STORE, "password")
    assert wrong.value.code == "KEY002"
    assert wrong.value.exit_code == 10
    with pytest.raises(KeystoreError) as damaged:
        decrypt_key(STORE[:100], "pässword")
    assert damaged.value.code == "KEY001"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 4},
        {"kdfparams": {"dklen": 32, "n": 1 << 40, "r": 8, "p": 1, "salt": "00"}},
        {"kdfparams": {"dklen": 1 << 30, "n": 2, "r": 8, "p": 1, "salt": "00"}},
        {"kdfparams": {"dklen": 32, "n": 3, "r": 8, "p": 1, "salt": "00"}},
        {"kdf": "md5"},
        {"cipher": "none"},
        {"ciphertext": "0"},
        {"ciphertext": "zz"},
        {"mac": "00"},
    ],
)
def test_hostile_files_are_refused_quickly(change: dict[str, Any]) -> None:
    store = json.loads(STORE)
    if "version" in change:
        store["version"] = change["version"]
    else:
        store["crypto"].update(change)
    with pytest.raises(KeystoreError):
        decrypt_key(json.dumps(store).encode(), "pässword")


@settings(max_examples=100)
@given(st.binary(max_size=400))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with pytest.raises(KeystoreError):
        decrypt_key(data, "x")


def test_a_file_that_names_another_address_is_damaged() -> None:
    store = json.loads(STORE)
    store["address"] = "00" * 20
    with pytest.raises(KeystoreError):
        decrypt_key(json.dumps(store).encode(), "pässword")


def test_keys_are_listed_found_and_never_overwritten(tmp_path: Path) -> None:
    file = save_key(tmp_path, KEY, "pw", role="validator", scrypt_n=LIGHT)
    assert file.stat().st_mode & 0o777 == 0o600
    (info,) = list_keys(tmp_path)
    assert (info.address, info.role) == (KEY.address, "validator")
    assert find_key(tmp_path, KEY.address.hex()[:4]) == info
    assert find_key(tmp_path, "0x" + KEY.address.hex()) == info
    assert find_key(tmp_path, "validator") == info
    assert load_key(info, "pw").secret == KEY.secret
    before = file.read_bytes()
    with pytest.raises(KeystoreError) as again:
        save_key(tmp_path, KEY, "pw", role="trader", scrypt_n=LIGHT)
    assert again.value.code == "KEY003"
    assert file.read_bytes() == before
    for prefix in ("ffffffff", ""):
        with pytest.raises(KeystoreError) as missing:
            find_key(tmp_path, prefix)
        assert missing.value.code == "KEY005"


def test_a_name_means_its_key_and_a_role_the_one_without(tmp_path: Path) -> None:
    alice, bob, other = (PrivateKey.generate() for _ in range(3))
    save_key(tmp_path, alice, "pw", role="trader", name="alice", scrypt_n=LIGHT)
    assert find_key(tmp_path, "alice").address == alice.address
    assert find_key(tmp_path, "trader").name == "alice"
    save_key(tmp_path, bob, "pw", role="trader", name="bob", scrypt_n=LIGHT)
    with pytest.raises(KeystoreError) as several:
        find_key(tmp_path, "trader")
    assert "alice" in several.value.fix
    for name in ("alice", "trader", "Carol", "0x12", "a" * 33):
        with pytest.raises(KeystoreError) as refused:
            save_key(tmp_path, other, "pw", role="trader", name=name, scrypt_n=LIGHT)
        assert refused.value.code == "KEY008"
    save_key(tmp_path, other, "pw", role="trader", scrypt_n=LIGHT)
    assert find_key(tmp_path, "trader").address == other.address


def test_a_password_comes_from_a_file_or_from_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert read_password(None) is None
    file = tmp_path / "omnibazaar-key"
    file.write_text("secret words\n")
    assert read_password(file) == "secret words"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_password(None) == "secret words"
    with pytest.raises(KeystoreError):
        read_password(tmp_path / "none")
    file.write_bytes(b"\xff" * 10)
    with pytest.raises(KeystoreError):
        read_password(file)


def test_a_disk_that_fills_up_leaves_no_half_a_key_among_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a key file made all keys of the folder unusable."""
    save_key(tmp_path, KEY, "pw", role="validator", scrypt_n=LIGHT)
    other = PrivateKey(bytes(range(2, 34)))
    with monkeypatch.context() as patch:
        fill_disk(patch, 100)
        with pytest.raises(KeystoreError, match="no space") as caught:
            save_key(tmp_path, other, "pw", role="trader", scrypt_n=LIGHT)
    assert caught.value.code == "KEY004"
    assert [info.address for info in list_keys(tmp_path)] == [KEY.address]
    assert len(list(tmp_path.iterdir())) == 1
    save_key(tmp_path, other, "pw", role="trader", scrypt_n=LIGHT)
    assert len(list_keys(tmp_path)) == 2


def test_a_key_is_on_the_disk_with_its_name_when_its_address_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may send funds to the address at once; a power cut must not take the key."""
    synced: list[str] = []
    really_sync = os.fsync

    def sync(file: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        really_sync(file)

    monkeypatch.setattr(os, "fsync", sync)
    file = save_key(tmp_path, KEY, "pw", role="trader", scrypt_n=LIGHT)
    assert synced[0].startswith(str(tmp_path / f".{file.name}"))
    assert synced[1:] == [str(tmp_path)]
