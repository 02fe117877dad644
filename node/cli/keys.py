"""Make, import, list and export keys.

Rule: secrets come from files, standard input or the terminal, never from an argument; nothing is
ever overwritten or deleted.
Spec: docs/reference/keys.md. Deviations: none.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.context import Context, json_option
from node.cli.show import show_json, show_table
from primitives.errors import KeystoreError

if TYPE_CHECKING:
    from node.keys.keystore import Role
    from primitives.secp256k1 import PrivateKey

SECRET_TEXT_BYTES_MAX = 256

role_option = click.option(
    "--role",
    type=click.Choice(["validator", "trader", "gas"]),
    default="validator",
    show_default=True,
    help="What the key is for.",
)
name_option = click.option("--name", default="", help="What to call it in --as, e.g. alice.")
password_option = click.option(
    "--password-file", type=click.Path(path_type=Path), help="File with the password."
)


@click.group()
def keys() -> None:
    """Make, import, list and export keys.

    \b
    Example:
      omnibazaar keys new --role trader
    """


@keys.command()
@role_option
@name_option
@password_option
@json_option
@click.pass_obj
def new(context: Context, role: Role, name: str, password_file: Path | None, as_json: bool) -> None:
    """Make a key.

    \b
    Example:
      omnibazaar keys new --role validator --password-file pw.txt
      omnibazaar keys new --role trader --name alice
    """
    from primitives.secp256k1 import PrivateKey

    _save(context, PrivateKey.generate(), role, name, password_file, as_json)


@keys.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--secret", is_flag=True, help="FILE holds the bare secret in hex; - is stdin.")
@click.option(
    "--file-password-file", type=click.Path(path_type=Path), help="Password that opens FILE."
)
@role_option
@name_option
@password_option
@json_option
@click.pass_obj
def import_(
    context: Context,
    file: Path,
    secret: bool,
    file_password_file: Path | None,
    role: Role,
    name: str,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Bring a key from a Web3 v3 keystore or a file with its secret.

    A validator key must not be in use anywhere else: stop the other node first.

    \b
    Example:
      omnibazaar keys import UTC--2026-….json --role trader
    """
    from node.keys.keystore import decrypt_key

    if secret:
        key = _read_secret(file)
    else:
        password = context.ask_password(file_password_file)
        key = decrypt_key(_read_bytes(file), password, file.name)
    _save(context, key, role, name, password_file, as_json)


@keys.command(name="list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """List keys; needs no password.

    \b
    Example:
      omnibazaar keys list --json
    """
    from node.keys.keystore import list_keys
    from primitives.address import to_checksum

    found = list_keys(context.data.keys) if context.data.keys.is_dir() else []
    rows = [(to_checksum(info.address), info.role, info.name, str(info.file)) for info in found]
    if as_json:
        show_json([{"address": a, "role": r, "name": n, "file": f} for a, r, n, f in rows])
    elif rows:
        show_table(("address", "role", "name", "file"), rows)
    else:
        click.echo(f"no keys in {context.data.keys}; make one with `{context.spell('keys new')}`")


@keys.command()
@click.argument("key")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def export(context: Context, key: str, file: Path, as_json: bool) -> None:
    """Copy the encrypted keystore of a key to FILE, which must not exist.

    \b
    Example:
      omnibazaar keys export 3fa9c1d2 /media/usb/validator.json
    """
    from node.keys.keystore import find_key
    from primitives.address import to_checksum

    info = find_key(context.data.keys, key)
    try:
        with file.open("xb") as stream:
            file.chmod(0o600)
            stream.write(info.file.read_bytes())
    except OSError as error:
        raise KeystoreError(
            f"{file}: {error.strerror}", code="KEY004", fix="name a new file in a writable place"
        ) from None
    if as_json:
        show_json({"address": to_checksum(info.address), "file": str(file)})
        return
    click.echo(f"{to_checksum(info.address)} copied to {file}, encrypted with its password")
    if info.role == "validator":
        click.echo("Never run two nodes with one validator key: both would be slashed.", err=True)


def _save(
    context: Context,
    key: PrivateKey,
    role: Role,
    name: str,
    password_file: Path | None,
    as_json: bool,
) -> None:
    from node.keys.keystore import save_key
    from primitives.address import to_checksum

    context.data.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = context.ask_password(password_file, is_new=True)
    file = save_key(context.data.keys, key, password, role=role, name=name)
    address = to_checksum(key.address)
    if as_json:
        show_json({"address": address, "role": role, "name": name, "file": str(file)})
        return
    click.echo(f"key   {address}\nfile  {file}")
    click.echo("Keep a copy of this file and of its password; nobody can restore them.")
    if role == "validator":
        digits = key.address.hex()[:8]
        click.echo(f"next  {context.spell(f'config set validator.key {digits}')}")


def _read_bytes(file: Path) -> bytes:
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(SECRET_TEXT_BYTES_MAX)
        with file.open("rb") as stream:
            return stream.read(1 << 16)
    except OSError as error:
        raise KeystoreError(
            f"{file}: {error.strerror}", code="KEY004", fix="check the path and its permissions"
        ) from None


def _read_secret(file: Path) -> PrivateKey:
    from primitives.secp256k1 import PrivateKey

    text = _read_bytes(file)[:SECRET_TEXT_BYTES_MAX].decode("ascii", "replace").strip()
    try:
        return PrivateKey(bytes.fromhex(text.removeprefix("0x")))
    except ValueError:
        raise KeystoreError(
            f"{file} holds no secret key", code="KEY001", fix="it is 64 hex digits, 0x allowed"
        ) from None
