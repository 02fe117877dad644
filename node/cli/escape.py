"""Get one's funds out when the network is dead: prove what the vault owes, and have it paid.

Rule: a proof needs the network file, an archive from anywhere and nobody's word; the file of proofs
holds no secret, and anybody may bring it.
Spec: docs/how-to/escape.md; docs/spec/settlement.md §6. Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.account_options import find_owner
from node.cli.context import Context, json_option
from node.cli.show import show_json, show_table
from node.cli.wallet_options import (
    chain_option,
    find_chain,
    find_vault,
    key_option,
    open_settlement,
    password_option,
    rpc_option,
    vault_option,
)
from primitives.errors import ConfigError, OperatorError

if TYPE_CHECKING:
    from contracts.settlement_client import SettlementClient
    from node.replica.ledger import Ledger
    from node.settlement.escape_payments import PaymentFile

NOT_READY = 7


@click.command(name="escape-proof")
@click.argument("file", type=click.Path(path_type=Path))
@key_option
@click.option("--account", help="Any wallet's address instead of a key.")
@click.option("--from", "source", help="CAR file, or URL of a gateway; default: the node.")
@click.option("--cid", help="Archive to fetch; default: the newest that the node keeps.")
@chain_option
@vault_option
@click.option("--withdrawal", "claims", multiple=True, help="INDEX:ASSET:ATOMS:TO, if not paid.")
@click.option("--offline", is_flag=True, help="Do not ask the EVM chain; no refunds then.")
@rpc_option
@json_option
@click.pass_obj
def escape_proof(
    context: Context,
    file: Path,
    key: str,
    account: str | None,
    source: str | None,
    cid: str | None,
    chain: int | None,
    vault: str | None,
    claims: tuple[str, ...],
    offline: bool,
    rpc: str | None,
    as_json: bool,
) -> None:
    """Write into FILE what the vault owes an account by its last root.

    Without a node: name an archive by --cid and any IPFS gateway, or a CAR file, by --from.

    \b
    Example:
      omnibazaar wallet escape-proof alice.json --as alice
      omnibazaar wallet escape-proof alice.json --as alice --from settled.car
    """
    from node.cli.escape_sources import find_own_withdrawals, find_uncredited, load_ledger
    from node.network_file import load_network
    from node.settlement.escape_payments import make_payments, write_payments

    network = load_network(context.data.network_file)
    settled_on = find_vault(context, network, find_chain(network, chain), rpc, vault)
    owner = find_owner(context, key, account)
    node_url = None if source else context.find_url()
    ledger = load_ledger(network, settled_on, source or str(node_url), cid)
    wanted = [_parse_withdrawal(text, ledger) for text in claims]
    deposits: Any = ()
    if not offline:
        client = open_settlement(context, network, settled_on, rpc, None)
        _verify_root(client, "0x" + ledger.roots.state.hex())
        deposits = find_uncredited(client, settled_on, ledger)
        if node_url is not None:
            wanted += find_own_withdrawals(node_url, client, settled_on, ledger, owner)
    made = make_payments(network, ledger, settled_on, owner, deposits=deposits, withdrawals=wanted)
    file.write_bytes(write_payments(made))
    _show(made, as_json)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@key_option
@password_option
@rpc_option
@json_option
@click.pass_obj
def escape(
    context: Context,
    file: Path,
    key: str,
    password_file: Path | None,
    rpc: str | None,
    as_json: bool,
) -> None:
    """Have paid what FILE proves; gives the vault its notice first. The key pays the gas.

    Exit code 7: the vault has not closed yet; run it again at the time it says.

    \b
    Example:
      omnibazaar wallet escape alice.json --as alice
    """
    from node.network_file import load_network
    from node.settlement.escape_payments import read_payments

    network = load_network(context.data.network_file)
    proofs = read_payments(file.read_bytes())
    chain = find_vault(context, network, find_chain(network, proofs.chain_id), rpc, proofs.vault)
    if bytes.fromhex(proofs.network_id[2:]) != network.network_id:
        raise ConfigError(f"{file} is of another network", fix="use that network's data directory")
    secret = context.load_key(key, password_file)
    client = open_settlement(context, network, chain, rpc, secret)
    _verify_root(client, proofs.state_root)
    if not client.closing().closed:
        _give_notice(client)
    results = []
    for payment in proofs.payments:
        payload = bytes.fromhex(payment.calldata[2:])
        outcome = client.pay(payment.kind, payment.number, payload)
        results.append({"kind": payment.kind, "number": payment.number, "state": outcome.value})
        if not as_json:
            click.echo(
                f"{payment.kind} {payment.number}: {payment.amount} atoms of {payment.symbol} "
                f"to {payment.to} ({outcome.value})"
            )
    if as_json:
        show_json(results)


def _give_notice(client: SettlementClient) -> None:
    """Give the vault its notice if it is time, and say when to come back. Raises OperatorError."""
    from contracts.errors import ContractRefused
    from contracts.limits import ESCAPE_NOTICE_SECONDS, ESCAPE_SILENCE_SECONDS

    closing = client.closing()
    if not closing.notice_at_s:
        try:
            client.open_escape()
        except ContractRefused as refusal:
            left = closing.accepted_at_s + ESCAPE_SILENCE_SECONDS - closing.now_s
            raise OperatorError(
                f"the vault still settles ({refusal.reason}): its last checkpoint is "
                f"{(closing.now_s - closing.accepted_at_s) // 60} minutes old",
                code="EVM007",
                fix=f"without a newer one, notice can be given in {max(0, left) // 60} minutes",
                exit_code=NOT_READY,
            ) from refusal
        closing = client.closing()
    left = closing.notice_at_s + ESCAPE_NOTICE_SECONDS - closing.now_s
    raise OperatorError(
        "the vault has been given notice and closes when no checkpoint comes",
        code="EVM007",
        fix=f"run this again in {max(0, left) // 60 + 1} minutes",
        exit_code=NOT_READY,
    )


def _verify_root(client: SettlementClient, root: str) -> None:
    status = client.status()
    if "0x" + status.state_root.hex() != root:
        raise ConfigError(
            f"the vault's last root is that of height {status.executed_height}, not this one",
            fix="make the file again with `omnibazaar wallet escape-proof`, from a newer archive",
        )


def _parse_withdrawal(text: str, ledger: Ledger) -> tuple[int, int, int, bytes]:
    from primitives.address import parse_address

    try:
        index, asset, atoms, to = text.split(":")
        found = int(index), int(asset), int(atoms), parse_address(to)
    except ValueError:
        raise click.UsageError(f"{text!r} is not INDEX:ASSET:ATOMS:TO") from None
    if not 0 <= found[1] < len(ledger.state.assets):
        raise click.UsageError(f"there is no asset {found[1]}")
    return found


def _show(made: PaymentFile, as_json: bool) -> None:
    from node.settlement.escape_payments import describe_payments

    rows = describe_payments(made)
    if as_json:
        show_json({"height": made.height, "state_root": made.state_root, "payments": rows})
        return
    click.echo(f"proofs for {made.owner} under the root that the vault took at {made.height}:")
    show_table(
        ("kind", "number", "asset", "sub", "atoms", "to"),
        [tuple(row.values()) for row in rows],
    )
