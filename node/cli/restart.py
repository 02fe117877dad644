"""Take a network over whose committee can no longer finalise: export, check, derive the new one.

Rule: every operator runs these commands on what lies on the own disk and compares one hash;
nobody's file has to be believed.
Spec: docs/spec/restart.md; docs/how-to/restart-after-lost-keys.md. Deviations: none.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.context import Context, json_option
from node.cli.restart_show import describe_network, describe_state, show_balances, show_facts
from node.cli.wallet_options import find_rpc_url, key_option, password_option
from primitives.errors import ConfigError

if TYPE_CHECKING:
    from node.restart.check import LastState

committee_option = click.option(
    "--committee-hash", help="What `committeeHash` of the old vault says, where nothing else does."
)
export_argument = click.argument("export", type=click.Path(path_type=Path, exists=True))
plan_argument = click.argument("plan", type=click.Path(path_type=Path, exists=True))


@click.group()
def restart() -> None:
    """Take over from a network that lost more than a third of its keys.

    \b
    Example:
      omnibazaar restart export last.car
    """


@restart.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def export(context: Context, file: Path, as_json: bool) -> None:
    """Write this stopped node's last final state into FILE, proven, and check it.

    \b
    Example:
      omnibazaar restart export last.car
    """
    from node.network_file import load_network
    from node.restart.export import export_last_state, open_chain

    source = context.data.network_file
    network = load_network(source)
    with ExitStack() as stack:
        chain = open_chain(stack, context.data, network)
        export_last_state(chain, source.read_bytes(), file)
    state = load_state(context, file, None)
    show_facts(describe_state(state), as_json)


@restart.command()
@export_argument
@committee_option
@click.option("--balances", is_flag=True, help="List every balance.")
@json_option
@click.pass_obj
def show(
    context: Context, export: Path, committee_hash: str | None, balances: bool, as_json: bool
) -> None:
    """Check an EXPORT and show what it proves.

    In a member's data directory it is compared with the own final blocks.

    \b
    Example:
      omnibazaar restart show last.car
    """
    state = load_state(context, export, committee_hash)
    if balances:
        show_balances(state, as_json)
        return
    show_facts(describe_state(state), as_json)


@restart.command(name="id")
@export_argument
@plan_argument
@committee_option
@json_option
@click.pass_obj
def network_id(
    context: Context, export: Path, plan: Path, committee_hash: str | None, as_json: bool
) -> None:
    """Print the id of the network that a PLAN makes of an EXPORT.

    \b
    Example:
      omnibazaar restart id last.car plan.json
    """
    from node.restart.plan import compute_network_id, load_plan

    state = load_state(context, export, committee_hash)
    show_facts({"network_id": "0x" + compute_network_id(state, load_plan(plan)).hex()}, as_json)


@restart.command()
@export_argument
@plan_argument
@click.option("--chain", "chain_id", type=int, help="EVM chain; default: the old network's first.")
@click.option("--rpc", help="JSON-RPC URL of the EVM chain; default: evm.rpc_urls.")
@key_option
@password_option
@committee_option
@json_option
@click.pass_obj
def deploy(
    context: Context,
    export: Path,
    plan: Path,
    chain_id: int | None,
    rpc: str | None,
    key: str,
    password_file: Path | None,
    committee_hash: str | None,
    as_json: bool,
) -> None:
    """Deploy vault, registry and distributor for the new network, and name them in PLAN.

    The key pays gas and the stakes of the committee. One run per EVM chain; one that broke off is
    repeated with the same key.

    \b
    Example:
      omnibazaar restart deploy last.car plan.json --as gas
    """
    from node.cli.restart_deploy import deploy_contracts
    from node.cli.wallet_options import find_chain

    state = load_state(context, export, committee_hash)
    chain = find_chain(state.file, chain_id)
    url = find_rpc_url(context, rpc, chain.chain_id)
    secret = context.load_key(key, password_file)
    show_facts(deploy_contracts(context, state, plan, chain, url, secret), as_json)


@restart.command()
@export_argument
@plan_argument
@click.argument("file", type=click.Path(path_type=Path))
@committee_option
@json_option
@click.pass_obj
def network(
    context: Context,
    export: Path,
    plan: Path,
    file: Path,
    committee_hash: str | None,
    as_json: bool,
) -> None:
    """Write the new network's FILE. Equal exports and plans give equal files.

    \b
    Example:
      omnibazaar restart network last.car plan.json network.json
    """
    from node.network_file import dump_network
    from node.restart.plan import load_plan, make_restarted

    made = make_restarted(load_state(context, export, committee_hash), load_plan(plan))
    try:
        with file.open("xb") as stream:
            stream.write(dump_network(made))
    except OSError as error:
        raise ConfigError(
            f"{file}: {error.strerror}", fix="name a new file in a writable place"
        ) from None
    show_facts(describe_network(made), as_json)


@restart.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@export_argument
@committee_option
@json_option
@click.pass_obj
def verify(
    context: Context, file: Path, export: Path, committee_hash: str | None, as_json: bool
) -> None:
    """Check that a network FILE follows from an EXPORT; exit 14 if it does not.

    \b
    Example:
      omnibazaar restart verify network.json last.car
    """
    from node.network_file import load_network
    from node.restart.plan import verify_restarted

    network = load_network(file)
    verify_restarted(network, load_state(context, export, committee_hash))
    show_facts(describe_network(network), as_json)


def load_state(context: Context, file: Path, committee_hash: str | None) -> LastState:
    """Return what an export proves to this reader. Raises PeerError, ConfigError."""
    from node.network_file import NetworkFile, load_network, parse_network
    from node.restart.check import CommitteeHash, check_export, trust_genesis
    from node.restart.export import open_chain
    from node.restart.record import read_car, take_network

    data = context.data
    record, blocks = read_car(file)
    genesis_hash = parse_network(take_network(record, blocks), str(file)).genesis_hash
    with ExitStack() as stack:
        chain = None
        if (data.chain / "chain.sqlite").is_file():
            chain = open_chain(stack, data, load_network(data.network_file))
            if chain.genesis_hash != genesis_hash:
                chain = None

        def find(network: NetworkFile) -> CommitteeHash:
            if committee_hash is not None:
                given = _parse_hash(committee_hash)
                return lambda _: given
            return trust_genesis(network) if chain is None else chain.committee_hash

        return check_export(
            record, blocks, committee=find, own=None if chain is None else chain.own_blocks
        )


def _parse_hash(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise ConfigError(f"{text} is no hash", fix="give 0x and 64 hex digits")
    return found
