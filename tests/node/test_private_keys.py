"""The key of private tokens lies on disk only sealed, and is asked for again when it is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.datadir import DataDir
from node.keys.private_keys import load_private_key, save_private_key
from primitives.errors import KeystoreError
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

ALICE, BOB = (PrivateKey(keccak256(name)) for name in (b"alice", b"bob"))
AES_KEY = bytes(range(16))


def test_a_key_is_sealed_for_its_wallet_and_chain(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    file = save_private_key(data, 7, ALICE, AES_KEY)
    assert load_private_key(data, 7, ALICE) == AES_KEY
    assert AES_KEY.hex() not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    for chain, wallet in ((8, ALICE), (7, BOB)):
        with pytest.raises(KeystoreError, match="not here"):
            load_private_key(data, chain, wallet)
    file.rename(file.with_name(f"7-{BOB.address.hex()}"))
    with pytest.raises(KeystoreError, match="damaged"):
        load_private_key(data, 7, BOB)


@pytest.mark.parametrize("content", ["", "zz", "00" * 5, "00" * 44])
def test_a_damaged_file_names_the_cure(tmp_path: Path, content: str) -> None:
    data = DataDir(tmp_path)
    save_private_key(data, 7, ALICE, AES_KEY).write_text(content)
    with pytest.raises(KeystoreError) as found:
        load_private_key(data, 7, ALICE)
    assert found.value.code == "KEY007"
    assert "onboard" in found.value.fix
