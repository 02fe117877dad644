"""Keep private keys in Web3 v3 keystores (scrypt, AES-128-CTR, keccak MAC), as wallets do.

Rule: a secret is in memory only while needed, never in an argument, a log or a message; key files
are readable by their owner only and are never overwritten.
Spec: Web3 Secret Storage Definition, version 3; docs/reference/keys.md. Deviations: none.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from node.datadir import write_new
from primitives.errors import KeystoreError

if TYPE_CHECKING:
    from primitives.secp256k1 import PrivateKey

SCRYPT_N: Final = 1 << 18
SCRYPT_N_LIGHT: Final = 1 << 12  # for keys that are public anyway, as on a devnet
SCRYPT_R: Final = 8
SCRYPT_N_MAX: Final = 1 << 20  # a hostile file must not eat the memory
SCRYPT_R_MAX: Final = 16
PBKDF2_ROUNDS_MAX: Final = 10_000_000
FILE_BYTES_MAX: Final = 16 << 10
PASSWORD_BYTES_MAX: Final = 4_096
PREFIX_DIGITS: Final = 8
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")

Role = Literal["validator", "trader", "gas"]
HexText = Annotated[str, Meta(pattern="^(0x)?[0-9a-fA-F]*$", max_length=512)]


class _Loose(msgspec.Struct, frozen=True, kw_only=True):
    """Other programs add fields; what is read is checked."""


class _Kdf(_Loose, frozen=True, kw_only=True):
    dklen: Annotated[int, Meta(ge=32, le=64)]
    salt: HexText
    n: Annotated[int, Meta(ge=2, le=SCRYPT_N_MAX)] = 2
    r: Annotated[int, Meta(ge=1, le=SCRYPT_R_MAX)] = 1
    p: Annotated[int, Meta(ge=1, le=16)] = 1
    c: Annotated[int, Meta(ge=1, le=PBKDF2_ROUNDS_MAX)] = 1
    prf: Literal["hmac-sha256"] = "hmac-sha256"


class _CipherParams(_Loose, frozen=True, kw_only=True):
    iv: HexText


class _Crypto(_Loose, frozen=True, kw_only=True):
    cipher: Literal["aes-128-ctr"]
    cipherparams: _CipherParams
    ciphertext: HexText
    kdf: Literal["scrypt", "pbkdf2"]
    kdfparams: _Kdf
    mac: HexText


class _Keystore(_Loose, frozen=True, kw_only=True):
    version: Annotated[int, Meta(ge=3, le=3)]
    crypto: _Crypto
    address: HexText = ""
    created_ms: int = 0
    role: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What is known of a key without its password."""

    address: bytes  # 20 bytes
    role: str
    file: Path
    name: str = ""  # "" when nobody gave it one


def encrypt_key(
    key: PrivateKey, password: str, *, role: str, name: str = "", scrypt_n: int = SCRYPT_N
) -> bytes:
    """Return the keystore JSON of a key."""
    salt, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    kdf = _Kdf(dklen=32, salt=salt.hex(), n=scrypt_n, r=SCRYPT_R, p=1)
    derived = _derive("scrypt", kdf, password)
    ciphertext = _aes_ctr(derived[:16], iv, key.secret)
    document = {
        "version": 3,
        "id": str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
        "address": key.address.hex(),
        "role": role,
        **({"name": name} if name else {}),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv.hex()},
            "ciphertext": ciphertext.hex(),
            "kdf": "scrypt",
            "kdfparams": {"dklen": 32, "n": scrypt_n, "r": SCRYPT_R, "p": 1, "salt": salt.hex()},
            "mac": _mac(derived, ciphertext).hex(),
        },
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def decrypt_key(data: bytes, password: str, name: str = "keystore") -> PrivateKey:
    """Return the key in a keystore. Raises KeystoreError for a bad file or password."""
    from primitives.secp256k1 import PrivateKey

    store = _parse(data, name)
    crypto = store.crypto
    derived = _derive(crypto.kdf, crypto.kdfparams, password)
    ciphertext = _unhex(crypto.ciphertext)
    if not hmac.compare_digest(_mac(derived, ciphertext), _unhex(crypto.mac)):
        raise KeystoreError(
            f"the password does not open {name}", code="KEY002", fix="try again with the right one"
        )
    iv = _unhex(crypto.cipherparams.iv)
    if len(iv) != 16:
        raise _damaged(name, "its initial vector has not 16 bytes")
    try:
        key = PrivateKey(_aes_ctr(derived[:16], iv, ciphertext))
    except ValueError as error:
        raise _damaged(name, str(error)) from None
    if store.address and _unhex(store.address) != key.address:
        raise _damaged(name, "it names another address than that of its key")
    return key


def save_key(
    folder: Path,
    key: PrivateKey,
    password: str,
    *,
    role: Role,
    name: str = "",
    scrypt_n: int = SCRYPT_N,
) -> Path:
    """Write a new keystore into `folder`; once this returns, a power cut does not take it back.

    Raises KeystoreError when the key, or another one of its name, is there already.
    """
    file = folder / f"{key.address.hex()[:PREFIX_DIGITS]}-{role}.json"
    known = list_keys(folder)
    if name:
        _verify_name(name, folder, known)
    if any(info.address == key.address for info in known):
        raise KeystoreError(
            f"the key 0x{key.address.hex()} is in {folder} already",
            code="KEY003",
            fix="nothing to do; `omnibazaar keys list` shows it",
        )
    data = encrypt_key(key, password, role=role, name=name, scrypt_n=scrypt_n)
    try:
        write_new(file, data)
    except OSError as error:
        raise KeystoreError(
            f"{file}: {error.strerror}", code="KEY004", fix="make keys/ writable, or move the file"
        ) from None
    return file


def list_keys(folder: Path) -> list[KeyInfo]:
    """Return all keys of a folder, by file name; needs no password. Raises KeystoreError."""
    infos = []
    for file in sorted(folder.glob("*.json")):
        store = _parse(_read(file), file.name)
        address = _unhex(store.address)
        if len(address) != 20:
            raise _damaged(file.name, "it names no address")
        role = store.role or file.stem.partition("-")[2] or "trader"
        infos.append(KeyInfo(address=address, role=role, file=file, name=store.name))
    return infos


def find_key(folder: Path, prefix: str) -> KeyInfo:
    """Return the one key of this name, or role, or whose address begins with these digits.

    Raises KeystoreError when there is none or more than one.
    """
    digits = prefix.lower().removeprefix("0x")
    keys = list_keys(folder)
    found = (
        [info for info in keys if info.name and info.name == prefix]
        or [info for info in keys if info.role == prefix and not info.name]
        or [info for info in keys if info.role == prefix]
        or [info for info in keys if digits and info.address.hex().startswith(digits)]
    )
    if len(found) == 1:
        return found[0]
    if found:
        which = ", ".join(info.name or f"0x{info.address.hex()[:PREFIX_DIGITS]}" for info in found)
        raise KeystoreError(
            f"{len(found)} keys in {folder} are meant by {prefix!r}",
            code="KEY005",
            fix=f"name one: {which}",
        )
    raise KeystoreError(
        f"no key in {folder} has the name or role {prefix!r}, or an address that begins so",
        code="KEY005",
        fix="`omnibazaar keys list` shows all; `keys new` makes one, `keys import` brings one",
    )


def _verify_name(name: str, folder: Path, known: list[KeyInfo]) -> None:
    """Raise KeystoreError for a name that could mean something else."""
    is_taken = name in get_args(Role) or any(info.name == name for info in known)
    if NAME.fullmatch(name) and not is_taken:
        return
    why = f"is taken in {folder}" if is_taken else "is no name of a key"
    raise KeystoreError(
        f"{name!r} {why}",
        code="KEY008",
        fix="choose another: small letters first, then also digits and -, 32 in all",
    )


def load_key(info: KeyInfo, password: str) -> PrivateKey:
    """Open one key. Raises KeystoreError."""
    return decrypt_key(_read(info.file), password, info.file.name)


def read_password(file: Path | None) -> str | None:
    """Return a password from a file or from systemd's credentials; None when neither is given."""
    if file is None:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        file = Path(folder) / "omnibazaar-key" if folder else None
        if file is None or not file.is_file():
            return None
    try:
        with file.open("rb") as stream:
            data = stream.read(PASSWORD_BYTES_MAX + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise KeystoreError(
            f"the password file {file} cannot be read: {error}",
            code="KEY006",
            fix="check the path and its permissions",
        ) from None
    if len(data) > PASSWORD_BYTES_MAX:
        raise KeystoreError(f"{file} is too long for a password", code="KEY006", fix="check it")
    return text.rstrip("\r\n")


def _derive(kdf: str, parameters: _Kdf, password: str) -> bytes:
    secret, salt = password.encode(), _unhex(parameters.salt)
    if kdf == "pbkdf2":
        return hashlib.pbkdf2_hmac("sha256", secret, salt, parameters.c, parameters.dklen)
    memory = 128 * parameters.n * parameters.r + (1 << 20) * (1 + parameters.p)
    try:
        return hashlib.scrypt(
            secret,
            salt=salt,
            n=parameters.n,
            r=parameters.r,
            p=parameters.p,
            maxmem=memory,
            dklen=parameters.dklen,
        )
    except ValueError as error:
        raise _damaged("the keystore", str(error)) from None


def _mac(derived: bytes, ciphertext: bytes) -> bytes:
    from primitives.keccak import keccak256

    return keccak256(derived[16:32] + ciphertext)


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encryptor = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def _parse(data: bytes, name: str) -> _Keystore:
    try:
        return msgspec.json.decode(data, type=_Keystore)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(name, str(error)) from None


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(FILE_BYTES_MAX)
    except OSError as error:
        raise KeystoreError(
            f"{file} cannot be read: {error.strerror}", code="KEY004", fix="check its permissions"
        ) from None


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise _damaged("the keystore", "odd number of hex digits") from None


def _damaged(name: str, why: str) -> KeystoreError:
    return KeystoreError(
        f"{name} is no usable key file: {why}", code="KEY001", fix="restore it from a backup"
    )
