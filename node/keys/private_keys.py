"""Keep a wallet's AES key for private tokens, sealed under the wallet's own key.

Rule: the key reads balances and moves nothing; it is rebuildable, since the network gives the same
one again, and it lies on disk only encrypted.
Spec: docs/spec/confidential.md §2; docs/reference/data-directory.md. Deviations: none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.datadir import DataDir, write_atomic
from primitives.address import to_checksum
from primitives.errors import KeystoreError
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

NONCE_BYTES: Final = 12
PURPOSE: Final = b"omnibazaar private token key"


def save_private_key(data: DataDir, chain_id: int, wallet: PrivateKey, aes_key: bytes) -> Path:
    """Write the sealed key and return its file."""
    file = _file(data, chain_id, wallet)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + _seal(wallet, chain_id).encrypt(nonce, aes_key, PURPOSE)
    write_atomic(file, sealed.hex() + "\n")
    return file


def load_private_key(data: DataDir, chain_id: int, wallet: PrivateKey) -> bytes:
    """Return the key. Raises KeystoreError when there is none, or none that opens."""
    file = _file(data, chain_id, wallet)
    fix = "omnibazaar wallet onboard"
    try:
        sealed = bytes.fromhex(file.read_text())
    except FileNotFoundError:
        raise KeystoreError(
            f"the key of {to_checksum(wallet.address)} for private tokens is not here",
            code="KEY007",
            fix=fix,
        ) from None
    except (OSError, ValueError) as error:
        raise KeystoreError(f"{file} cannot be read: {error}", code="KEY007", fix=fix) from None
    try:
        nonce, content = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        return _seal(wallet, chain_id).decrypt(nonce, content, PURPOSE)
    except (InvalidTag, ValueError):
        raise KeystoreError(f"{file} is damaged", code="KEY007", fix=fix) from None


def _file(data: DataDir, chain_id: int, wallet: PrivateKey) -> Path:
    return data.cache / "private" / f"{chain_id}-{wallet.address.hex()}"


def _seal(wallet: PrivateKey, chain_id: int) -> AESGCM:
    return AESGCM(keccak256(PURPOSE + wallet.secret + chain_id.to_bytes(32, "big")))
