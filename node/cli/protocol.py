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
from primitives.errors import ConfigError

password_option = click.option(
    "--password-file", type=click.Path(path_type=Path), help="Password of the key."
)


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
    from client.actions import ActionBuilder
    from client.governance import make_protocol_vote
    from client.keys import Credentials
    from client.node_client import now_ms
    from primitives.eip712 import network_domain

    url = context.find_url()
    status: dict[str, Any] = http.get(url, "/v1/status")
    prefix = context.load_config().config.validator.key
    if not prefix:
        raise ConfigError(
            "no validator key is configured",
            fix="run this with the data directory of a validator: --data-dir",
        )
    builder = ActionBuilder(
        domain=network_domain(bytes.fromhex(status["network_id"][2:])),
        credentials=Credentials.of_wallet(context.load_key(prefix, password_file)),
        clock=now_ms,
    )
    signed = builder.sign(make_protocol_vote(status["protocol"]["round"], version, height))
    body = {
        "actions": [
            {"payload": "0x" + signed.payload.hex(), "signature": "0x" + signed.signature.hex()}
        ]
    }
    results: list[dict[str, Any]] = http.post(url, "/v1/actions", body)["results"]
    if not results[0]["accepted"]:
        raise ConfigError(f"the node does not take it: {results}", fix="see `protocol show`")
    return results[0]
