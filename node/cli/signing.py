"""Show, export, import and distrust the signing history of the validator key.

Rule: only while the daemon is stopped, and only ever towards signing less.
Spec: docs/reference/signing.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.context import Context, json_option
from node.cli.show import show_json
from primitives.errors import ConfigError, GuardMissing

if TYPE_CHECKING:
    from consensus.guard import Guard
    from node.keys.signing_guard import SigningGuard


@click.group()
def signing() -> None:
    """Show, export and import the signing history of the validator key.

    \b
    Example:
      omnibazaar signing export /media/usb/history.json
    """


@signing.command()
@json_option
@click.pass_obj
def show(context: Context, as_json: bool) -> None:
    """Show what the key has signed last.

    \b
    Example:
      omnibazaar signing show
    """
    from node.keys.signing_history import find_highest
    from primitives.address import to_checksum

    with _open_guard(context) as (_, guard, address):
        (epoch, view), floor = find_highest(guard), guard.floor
        facts = {
            "address": to_checksum(address),
            "epoch": epoch,
            "view": view,
            "floor_epoch": floor[0],
            "floor_view": floor[1],
            "votes_kept": sum(len(signed) for signed in guard.signed().values()),
            "distrusted": context.data.distrust_file.exists(),
        }
    if as_json:
        show_json(facts)
        return
    click.echo(f"key          {facts['address']}")
    click.echo(f"last signed  epoch {epoch} view {view}")
    click.echo(f"floor        epoch {floor[0]} view {floor[1]}  (nothing at or below is signed)")
    if facts["distrusted"]:
        click.echo("distrusted   the node follows in silence until it is safe to vote")


@signing.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def export(context: Context, file: Path, as_json: bool) -> None:
    """Write the history to FILE, which must not exist.

    Do this as the last thing on the old machine: votes signed afterwards are not in it.

    \b
    Example:
      omnibazaar signing export history.json
    """
    from node.datadir import write_new
    from node.keys.signing_history import export_history
    from primitives.address import to_checksum

    with _open_guard(context) as (_, guard, address):
        data = export_history(guard, address, _genesis_hash(context))
    try:
        write_new(file, data, 0o644)
    except OSError as error:
        raise ConfigError(
            f"{file}: {error.strerror}", code="SIG003", fix="name a new file in a writable place"
        ) from None
    if as_json:
        show_json({"address": to_checksum(address), "file": str(file)})
    else:
        click.echo(f"wrote {file}; now leave this node stopped")


@signing.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@click.pass_obj
def import_(context: Context, file: Path, as_json: bool) -> None:
    """Take over the history of the machine where the key ran before.

    The floor rises to the highest view that either history has signed in.

    \b
    Example:
      omnibazaar signing import history.json
    """
    from node.keys.signing_history import HISTORY_BYTES_MAX, find_highest, read_highest

    address = _find_address(context)
    with file.open("rb") as stream:
        data = stream.read(HISTORY_BYTES_MAX + 1)
    place = read_highest(data, address, _genesis_hash(context))
    with _open_guard(context, may_create=True) as (database, guard, _):
        epoch, view = max(place, find_highest(guard))
        record = guard.raise_floor(epoch, view)
        if record is not None:
            database.save([record])
    if as_json:
        show_json({"floor_epoch": epoch, "floor_view": view})
    else:
        click.echo(f"nothing up to epoch {epoch} view {view} will be signed again")


@signing.command()
@click.option("--accept-slashing-risk", is_flag=True, help="Begin a history where there is none.")
@json_option
@click.pass_obj
def distrust(context: Context, accept_slashing_risk: bool, as_json: bool) -> None:
    """Say that the history may be older than what the key has signed.

    For a data directory that was restored from a backup or copied. The node then follows in
    silence, and votes when a final block lies above everything that a quorum has seen from it.

    \b
    Example:
      omnibazaar signing distrust
    """
    from node.datadir import write_atomic

    with _open_guard(context, may_create=accept_slashing_risk):
        write_atomic(context.data.distrust_file, "silent until the network is past our votes\n")
    if as_json:
        show_json({"distrusted": True})
    else:
        click.echo("the node will follow in silence until it is safe to vote")


@contextmanager
def _open_guard(
    context: Context, *, may_create: bool = False
) -> Iterator[tuple[SigningGuard, Guard, bytes]]:
    """Own the data directory and its history. Raises DataDirInUse, GuardMissing."""
    from node.keys.history_files import find_history
    from node.keys.signing_guard import SigningGuard

    address, data = _find_address(context), context.data
    with data.lock():
        file = find_history(data, address).guard
        if not may_create and not file.exists():
            raise GuardMissing(
                f"there is no signing history of this key in {data.signing}",
                code="SIG001",
                fix="moved here? omnibazaar signing import FILE; docs/how-to/move-a-validator.md",
            )
        database = SigningGuard(file, address)
        try:
            yield database, database.load(), address
        finally:
            database.close()


def _find_address(context: Context) -> bytes:
    """Return the configured validator's address; no password is needed."""
    from node.keys.keystore import find_key

    name = context.load_config().config.validator.key
    if not name:
        raise ConfigError(
            "no validator key is configured",
            code="SIG004",
            fix="omnibazaar config set validator.key ADDRESS",
        )
    return find_key(context.data.keys, name).address


def _genesis_hash(context: Context) -> bytes:
    from node.network_file import load_network

    config = context.load_config().config
    return load_network(context.data.root / config.network).genesis_hash
