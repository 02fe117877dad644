"""Make a data directory: folders, identity, network file, short configuration.

Rule: on a directory that is there already it reports and changes nothing.
Spec: docs/reference/data-directory.md. Deviations: none.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from node.cli.context import Context, json_option
from node.cli.show import show_json
from primitives.errors import ConfigError

CONFIG_TEMPLATE = """\
# omnibazaar settings. `omnibazaar config explain KEY` says what a setting means;
# what is not listed here has its default.
version = 1
profile = "{profile}"

[validator]
key = ""                             # name, role or first digits of a key in keys/

[p2p]
listen = "{p2p_listen}"

[evm]
rpc_urls = ["http://127.0.0.1:8545"]   # one or more per EVM chain of the network

[api]
listen = "{api_listen}"           # loopback unless you change it
"""


@click.command()
@click.option(
    "--network",
    "--network-file",
    "network_file",
    type=click.Path(path_type=Path),
    help="The network to join (JSON).",
)
@click.option(
    "--profile",
    type=click.Choice(["home", "lowpower", "test"]),
    default="home",
    show_default=True,
    help="A set of defaults.",
)
@json_option
@click.pass_obj
def init(context: Context, network_file: Path | None, profile: str, as_json: bool) -> None:
    """Make a data directory for a network.

    \b
    Example:
      omnibazaar --data-dir ~/node init --network testnet.json
    """
    from node.network_file import load_network

    data = context.data
    source = network_file or data.network_file
    if not source.is_file():
        raise ConfigError(
            f"there is no network file {source}",
            code="NET002",
            fix="give --network FILE; for a network of your own: omnibazaar devnet up",
        )
    network = load_network(source)
    is_new = not data.exists()
    data.create(network.name, network.genesis_hash)
    _write_missing(data.network_file, source.read_bytes())
    _write_missing(data.node_key_file, secrets.token_hex(32).encode() + b"\n")
    _write_missing(data.config_file, _config_text(profile).encode())
    facts = {
        "data_dir": str(data.root),
        "network": network.name,
        "network_id": "0x" + network.network_id.hex(),
        "genesis": "0x" + network.genesis_hash.hex(),
        "created": is_new,
    }
    if as_json:
        show_json(facts)
        return
    click.echo(f"{'Created' if is_new else 'Found'} {data.root}")
    click.echo(f"  network   {network.name}   genesis {facts['genesis']}")
    click.echo(f"  validators {len(network.committee)}   markets {len(network.exchange.markets)}")
    click.echo(f"  config    config.toml  (`{context.spell('config explain')}`)")
    if not is_new:
        return
    click.echo("\nNext:")
    width = max(len(context.spell(command)) for command, _ in NEXT)
    for command, about in NEXT:
        click.echo(f"  {context.spell(command):<{width}}  {about}".rstrip())


NEXT = (
    ("keys new --role validator", "make the key that signs votes"),
    ("config set validator.key validator", "and say that it is the one"),
    ("config set evm.rpc_urls URL", "where the EVM chain is asked"),
    ("doctor", "check clock, disk, ports"),
    ("run", ""),
)
"""What a new data directory needs, and what it is for."""


def _config_text(profile: str) -> str:
    from node.config_schema import PROFILES, ApiSettings, P2pSettings

    values = PROFILES[profile]  # type: ignore[index]  # click has checked the name
    return CONFIG_TEMPLATE.format(
        profile=profile,
        p2p_listen=values.get("p2p.listen", P2pSettings().listen),
        api_listen=values.get("api.listen", ApiSettings().listen),
    )


def _write_missing(file: Path, data: bytes) -> None:
    from node.datadir import write_atomic

    if not file.exists():
        write_atomic(file, data)
