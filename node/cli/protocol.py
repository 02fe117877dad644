"""Show the version of the rules, and give this validator's word on the next one.

Rule: a word is signed by the validator's hot key and counts for the round that the node shows; a
quorum of such words decides, nobody else.
Spec: docs/spec/upgrades.md; docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from node.cli import http
from node.cli.context import Context, json_option
from node.cli.show import show_json
from node.cli.voting import password_option, send_vote


@click.group()
def protocol() -> None:
    """Show and decide the version of the network's rules.

    \b
    Example:
      omnibazaar protocol upgrade 2 --height 500000
    """


@protocol.command()
@json_option
@click.pass_obj
def show(context: Context, as_json: bool) -> None:
    """Show the version in force and what was decided.

    \b
    Example:
      omnibazaar protocol show
    """
    found = http.get(context.find_url(), "/v1/status")["protocol"]
    if as_json:
        show_json(found)
        return
    click.echo(f"protocol   {found['version']}; this program knows {found['newest']}")
    if found["next_version"]:
        click.echo(f"decided    {found['next_version']} from height {found['next_height']}")
    else:
        click.echo("decided    nothing")


@protocol.command()
@click.argument("version", type=click.IntRange(1))
@click.option("--height", required=True, type=click.IntRange(1), help="First height under it.")
@password_option
@json_option
@click.pass_obj
def upgrade(
    context: Context, version: int, height: int, password_file: Path | None, as_json: bool
) -> None:
    """Give this validator's word for another version from a height on.

    \b
    Example:
      omnibazaar protocol upgrade 2 --height 500000
    """
    result = _vote(context, version, height, password_file)
    if as_json:
        show_json(result)
        return
    click.echo(f"said: protocol {version} from height {height}; decided once a quorum says so")


@protocol.command(name="call-off")
@password_option
@json_option
@click.pass_obj
def call_off(context: Context, password_file: Path | None, as_json: bool) -> None:
    """Give this validator's word for calling off what was decided.

    \b
    Example:
      omnibazaar protocol call-off
    """
    found = http.get(context.find_url(), "/v1/status")["protocol"]
    result = _vote(context, found["version"], 0, password_file)
    if as_json:
        show_json(result)
        return
    click.echo("said: no change; called off once a quorum says so")


def _vote(
    context: Context, version: int, height: int, password_file: Path | None
) -> dict[str, Any]:
    """Sign and send this validator's word; return the node's answer. Raises OperatorError."""
    from client.governance import make_protocol_vote

    found = http.get(context.find_url(), "/v1/status")["protocol"]
    return send_vote(
        context,
        make_protocol_vote(found["round"], version, height),
        password_file,
        look="see `protocol show`",
    )
