"""List, add and ban peers of the running node.

Rule: the operator's token is needed, so this works on the node's own machine.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import re
from typing import Final

import click

from node.cli import http
from node.cli.context import Context, json_option
from node.cli.show import shorten, show_bytes, show_json, show_table

LETTERS_MAX: Final = 80  # of the last column


@click.group(invoke_without_command=True)
@click.pass_context
def peers(ctx: click.Context) -> None:
    """List, add and ban peers.

    \b
    Example:
      omnibazaar peers list
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_peers, as_json=False)


@peers.command(name="list")
@json_option
@click.pass_obj
def list_peers(context: Context, as_json: bool) -> None:
    """Show connected and known peers.

    \b
    Example:
      omnibazaar peers list --json
    """
    found = http.get(context.find_url(), "/v1/operator/peers", context.find_token())
    if as_json:
        show_json(found)
        return
    show_table(
        ("validator", "peer", "state", "lanes", "received", "sent", "address"),
        [
            (
                peer["name"],
                shorten(peer["peer_id"], 12, 6),
                "banned" if peer["banned"] else "up" if peer["connected"] else "down",
                peer["direction"],
                show_bytes(peer["bytes_in"]),
                show_bytes(peer["bytes_out"]),
                shorten_error(peer["last_error"]) or next(iter(peer["multiaddrs"]), ""),
            )
            for peer in found["peers"]
        ],
    )


def shorten_error(text: str) -> str:
    """Return why a peer is away without the names of our own classes, in at most 80 letters."""
    text = re.sub(r"^\w*(Error|Exception): ", "", text).removesuffix(" (with exceptions)")
    return text if len(text) <= LETTERS_MAX else f"{text[: LETTERS_MAX - 1]}…"


@peers.command()
@click.argument("multiaddr")
@json_option
@click.pass_obj
def add(context: Context, multiaddr: str, as_json: bool) -> None:
    """Dial a peer and keep it.

    \b
    Example:
      omnibazaar peers add /ip4/203.0.113.7/tcp/30303/p2p/12D3KooW…
    """
    body = {"multiaddr": multiaddr}
    done = http.post(context.find_url(), "/v1/operator/peers", body, context.find_token())
    show_json(done) if as_json else click.echo(f"dialling {multiaddr}")


@peers.command()
@click.argument("peer")
@click.option("--lift", is_flag=True, help="Accept it again.")
@json_option
@click.pass_obj
def ban(context: Context, peer: str, lift: bool, as_json: bool) -> None:
    """Refuse a peer, named by peer id or validator address.

    \b
    Example:
      omnibazaar peers ban 12D3KooW… --lift
    """
    body = {"peer": peer, "banned": not lift}
    done = http.post(context.find_url(), "/v1/operator/peers/ban", body, context.find_token())
    show_json(done) if as_json else click.echo(f"{peer} is {'welcome' if lift else 'banned'}")
