"""Show vaults, and carry a network from one vault to the next.

Rule: what moves the ledger's assets is a quorum of validators' words, what moves the funds a
checkpoint that says so; whoever deploys, brings funds or lets the registry follow decides nothing.
Spec: docs/spec/settlement.md §15; docs/how-to/move-to-a-new-vault.md. Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from node.cli import http
from node.cli.assets import list_assets
from node.cli.context import Context, json_option
from node.cli.show import format_age, show_json, show_table
from node.cli.voting import password_option, send_vote
from node.cli.wallet_options import (
    chain_option,
    find_chain,
    find_rpc_url,
    key_option,
    open_web3_sender,
    rpc_option,
)
from primitives.address import to_checksum
from primitives.errors import ConfigError

NOBODY: Final = "0x" + "00" * 20


@click.group()
def vault() -> None:
    """Show vaults; move to a new one.

    \b
    Example:
      omnibazaar vault show
    """


@vault.command()
@json_option
@click.pass_obj
def show(context: Context, as_json: bool) -> None:
    """Show every vault, where its assets are, and what is owed to the next one.

    \b
    Example:
      omnibazaar vault show
    """
    found = http.get(context.find_url(), "/v1/settlement")
    if as_json:
        show_json({"vaults": found["vaults"], "left": found["left"]})
        return
    show_table(
        ("chain", "vault", "height", "deposits", "assets"),
        [
            (one["chain_id"], one["vault"], one["height"], one["deposits"], _describe(context, one))
            for one in found["vaults"]
        ],
    )
    for one in found["left"]:
        click.echo(f"{one['symbol']} left {one['vault']} at {one['height']}: {one['owed']} atoms")


def _describe(context: Context, one: dict[str, Any]) -> str:
    if one["frozen"]:
        return "frozen: " + " and ".join(one["frozen"])
    if one["moved_to"] != NOBODY:
        return f"moved to {one['moved_to']}"
    if one["next_vault"] == NOBODY:
        return "here"
    now_ms = int(http.get(context.find_url(), "/v1/status")["now_ms"])
    return f"move to {one['next_vault']} in {format_age(max(0, one['move_at_ms'] - now_ms))}"


@vault.command()
@chain_option
@key_option
@password_option
@rpc_option
@json_option
@click.pass_obj
def deploy(
    context: Context,
    chain: int | None,
    key: str,
    password_file: Path | None,
    rpc: str | None,
    as_json: bool,
) -> None:
    """Deploy a vault that can take over from the present one; the key pays the gas.

    It takes the same tokens and belongs to the same network; nothing moves by it.

    \b
    Example:
      omnibazaar vault deploy --as alice
    """
    from contracts.evm_web3 import connect
    from contracts.successor_deployment import deploy_successor
    from node.network_file import load_network

    url = context.find_url()
    chain_id = find_chain(load_network(context.data.network_file), chain).chain_id
    present = find_present(url, chain_id)["vault"]
    tokens = [
        bytes.fromhex(asset["token"][2:])
        for asset in list_assets(url)
        if (asset["chain_id"], asset["vault"]) == (chain_id, present)
    ]
    secret = context.load_key(key, password_file)
    web3 = connect(find_rpc_url(context, rpc, chain_id), chain_id)
    sender = open_web3_sender(context, web3, chain_id, secret)
    made = deploy_successor(web3, bytes.fromhex(present[2:]), tokens, sender)
    if as_json:
        show_json({"chain_id": chain_id, "vault": to_checksum(made), "takes_over_from": present})
        return
    click.echo(f"a vault for {len(tokens)} tokens is at {to_checksum(made)}; announce it with")
    click.echo(f"  omnibazaar decision propose announce {to_checksum(made)}")


@vault.command()
@click.argument("successor")
@click.option("--at-ms", type=click.IntRange(1), help="When, as the first validator was told.")
@click.option("--after-s", type=click.IntRange(0), help="When, seconds from now.")
@chain_option
@password_option
@rpc_option
@json_option
@click.pass_obj
def move(
    context: Context,
    successor: str,
    at_ms: int | None,
    after_s: int | None,
    chain: int | None,
    password_file: Path | None,
    rpc: str | None,
    as_json: bool,
) -> None:
    """Give this validator's word for moving the ledger's assets to the vault SUCCESSOR.

    The others say the same with the time that this prints. Refused unless the present vault has
    announced SUCCESSOR on chain and its notice is over by then.

    \b
    Example:
      omnibazaar vault move 0x52908400098527886E0F7030069857D2E4169EE7 --after-s 1209600
    """
    if (at_ms is None) == (after_s is None):
        raise click.UsageError("give either --at-ms or --after-s")
    url = context.find_url()
    if at_ms is None:
        at_ms = int(http.get(url, "/v1/status")["now_ms"]) + int(after_s or 0) * 1_000
    present = _verify_announced(context, url, chain, successor, at_ms, rpc)
    result = _vote(context, present, successor, at_ms, password_file)
    if as_json:
        show_json({**result, "at_ms": at_ms})
        return
    click.echo("said; decided once more than two thirds say the same:")
    click.echo(f"  omnibazaar vault move {successor} --at-ms {at_ms}")


@vault.command(name="call-off")
@chain_option
@password_option
@json_option
@click.pass_obj
def call_off(
    context: Context, chain: int | None, password_file: Path | None, as_json: bool
) -> None:
    """Give this validator's word for calling off a move that was decided.

    \b
    Example:
      omnibazaar vault call-off
    """
    from node.network_file import load_network

    chain_id = find_chain(load_network(context.data.network_file), chain).chain_id
    present = find_present(context.find_url(), chain_id)
    result = _vote(context, present, NOBODY, 0, password_file)
    if as_json:
        show_json(result)
        return
    click.echo("said: no move; called off once a quorum says so")


@vault.command(name="hand-over")
@chain_option
@key_option
@password_option
@rpc_option
@json_option
@click.pass_obj
def hand_over(
    context: Context,
    chain: int | None,
    key: str,
    password_file: Path | None,
    rpc: str | None,
    as_json: bool,
) -> None:
    """Have old vaults give the next ones what these owe since the assets moved there.

    Validators do it by themselves. Anybody may, without any node and even when the vaults have
    closed; the key pays the gas.

    \b
    Example:
      omnibazaar vault hand-over --as alice
    """
    from contracts.evm_web3 import connect
    from contracts.successor_deployment import hand_over_funds
    from node.network_file import load_network

    place = find_chain(load_network(context.data.network_file), chain)
    secret = context.load_key(key, password_file)
    web3 = connect(find_rpc_url(context, rpc, place.chain_id), place.chain_id)
    sender = open_web3_sender(context, web3, place.chain_id, secret)
    done = hand_over_funds(web3, place.vault_bytes, sender)
    rows = [
        {"vault": to_checksum(one.vault), "token": to_checksum(one.token), "atoms": str(one.atoms)}
        for one in done
    ]
    if as_json:
        show_json({"handed_over": rows})
        return
    for row in rows:
        click.echo(f"{row['vault']} has handed over {row['atoms']} atoms of {row['token']}")
    if not rows:
        click.echo("nothing to hand over")


@vault.command()
@chain_option
@key_option
@password_option
@rpc_option
@json_option
@click.pass_obj
def follow(
    context: Context,
    chain: int | None,
    key: str,
    password_file: Path | None,
    rpc: str | None,
    as_json: bool,
) -> None:
    """Let the validator registry and XOM's rewards follow the present vault's predecessor to it.

    Anybody may, once the notice is over; the key pays the gas.

    \b
    Example:
      omnibazaar vault follow --as alice
    """
    from contracts.evm_web3 import connect
    from contracts.successor_deployment import follow_successor
    from node.network_file import load_network

    chain_id = find_chain(load_network(context.data.network_file), chain).chain_id
    secret = context.load_key(key, password_file)
    connection = connect(find_rpc_url(context, rpc, chain_id), chain_id)
    sender = open_web3_sender(context, connection, chain_id, secret)
    done = []
    for one in http.get(context.find_url(), "/v1/settlement")["vaults"]:
        if one["chain_id"] == chain_id and one["moved_to"] != NOBODY:
            old = bytes.fromhex(one["vault"][2:])
            done += follow_successor(connection, old, sender)
    if as_json:
        show_json({"followed": done})
        return
    click.echo(f"followed: {', '.join(done) or 'nothing was behind'}")


def find_present(url: str, chain_id: int) -> dict[str, Any]:
    """Return the vault of a chain in which the assets are. Raises ConfigError."""
    for one in http.get(url, "/v1/settlement")["vaults"]:
        if one["chain_id"] == chain_id and one["moved_to"] == NOBODY:
            return dict(one)
    raise ConfigError(
        f"the node follows no vault on chain {chain_id}", fix="look at its evm.rpc_urls"
    )


def _verify_announced(
    context: Context, url: str, chain: int | None, successor: str, at_ms: int, rpc: str | None
) -> dict[str, Any]:
    """Return the present vault if it has announced the successor in time. Raises ConfigError."""
    from contracts.rpc import HttpRpc
    from contracts.settlement_client import SettlementClient
    from node.network_file import load_network
    from primitives.address import parse_address

    network = load_network(context.data.network_file)
    chain_id = find_chain(network, chain).chain_id
    present = find_present(url, chain_id)
    connection = HttpRpc(find_rpc_url(context, rpc, chain_id))
    old, new = (
        SettlementClient(
            connection, chain_id=chain_id, vault=parse_address(one), network_id=network.network_id
        )
        for one in (present["vault"], successor)
    )
    new.connect()  # of this network
    announced, announced_at_s = old.succession()
    if announced != parse_address(successor):
        raise ConfigError(
            f"the vault {present['vault']} has not announced {successor}",
            fix="decide that first: `omnibazaar decision propose announce`",
        )
    status_ms = int(http.get(url, "/v1/status")["now_ms"])
    wait_s = announced_at_s - old.now_s()
    if at_ms - status_ms < wait_s * 1_000:
        raise ConfigError(
            f"the notice on chain lasts another {format_age(wait_s * 1_000)}",
            fix="name a later time, so that everybody can leave before",
        )
    return present


def _vote(
    context: Context, present: dict[str, Any], successor: str, at_ms: int, password: Path | None
) -> dict[str, Any]:
    from client.governance import make_move_vote

    word = make_move_vote(
        present["chain_id"],
        bytes.fromhex(present["vault"][2:]),
        present["move_round"],
        bytes.fromhex(successor[2:]),
        at_ms,
    )
    return send_vote(context, word, password, look="see `vault show`")
