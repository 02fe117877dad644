"""See balances, prove them, deposit into the vault; the group of all wallet commands.

Rule: the wallet's key signs here.
Spec: docs/reference/cli.md; docs/spec/settlement.md. Deviations: none.
"""

from __future__ import annotations

from pathlib import Path

import click

from node.cli import http
from node.cli.account_options import account_options
from node.cli.assets import atoms_of, find_asset, list_assets
from node.cli.confidential import deposit_private, onboard, private, unwrap, wrap
from node.cli.context import Context, json_option
from node.cli.earnings import earnings, statement
from node.cli.escape import escape, escape_proof
from node.cli.outbox import outbox
from node.cli.sessions import grant, grants, revoke
from node.cli.show import format_atoms, show_json, show_table
from node.cli.transferring import transfer
from node.cli.wallet_options import (
    fee_option,
    find_rpc_url,
    key_option,
    password_option,
    relay_option,
    rpc_option,
)
from node.cli.withdrawing import claim, withdraw, withdrawals


@click.group()
def wallet() -> None:
    """Balances, deposits, withdrawals.

    \b
    Example:
      omnibazaar wallet balance --as alice
    """


for _command in (
    withdraw, withdrawals, claim, statement, earnings, transfer, grant, grants, revoke,
    onboard, private, wrap, unwrap, outbox, escape, escape_proof,
):  # fmt: skip
    wallet.add_command(_command)


@wallet.command()
@account_options
@json_option
@click.pass_obj
def balance(context: Context, as_json: bool, *, owner: bytes) -> None:
    """Show what the ledger holds for an account.

    \b
    Example:
      omnibazaar wallet balance --account 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    from primitives.address import to_checksum

    address = to_checksum(owner)
    url = context.find_url()
    found = http.get(url, f"/v1/accounts/{address}")
    if as_json:
        show_json(found)
        return
    decimals = {asset["id"]: asset["decimals"] for asset in list_assets(url)}
    click.echo(f"{address}   account {found['number']}   height {found['height']}")
    show_table(
        ("sub", "asset", "free", "held"),
        [
            (
                row["sub"],
                row["symbol"],
                format_atoms(int(row["free"]), decimals[row["asset"]]),
                format_atoms(int(row["held"]), decimals[row["asset"]]),
            )
            for row in found["balances"]
        ],
    )


@wallet.command()
@click.argument("asset")
@account_options
@click.option("--sub", type=click.IntRange(0, 127), default=0, help="Sub-account.")
@rpc_option
@json_option
@click.pass_obj
def verify(
    context: Context,
    asset: str,
    sub: int,
    rpc: str | None,
    as_json: bool,
    *,
    owner: bytes,
) -> None:
    """Check a balance against the settlement contract, without trusting the node.

    The contract on the EVM chain names the committee; the node has to show a header that the
    committee has finalized and a path from its state root to the balance.

    \b
    Example:
      omnibazaar wallet verify USDX --as alice
    """
    from node.cli.proofs import verify_ledger_balance
    from node.network_file import load_network

    url = context.find_url()
    terms = find_asset(url, asset)
    endpoint = find_rpc_url(context, rpc, terms["chain_id"])
    file = load_network(context.data.network_file)
    height, free, held = verify_ledger_balance(file, url, endpoint, terms, owner, sub)
    if as_json:
        show_json({"height": height, "free": str(free), "held": str(held), "proven": True})
        return
    decimals = terms["decimals"]
    click.echo(f"proven by the contract's committee at height {height}:")
    click.echo(f"  free  {format_atoms(free, decimals)} {terms['symbol']}")
    click.echo(f"  held  {format_atoms(held, decimals)} {terms['symbol']}")


@wallet.command()
@click.argument("asset")
@click.argument("amount")
@fee_option
@relay_option
@click.option("--confidential", is_flag=True, help="Of private tokens; the amount becomes public.")
@key_option
@password_option
@rpc_option
@json_option
@click.pass_obj
def deposit(
    context: Context,
    asset: str,
    amount: str,
    fee: str | None,
    relays: tuple[str, ...],
    confidential: bool,
    key: str,
    password_file: Path | None,
    rpc: str | None,
    as_json: bool,
) -> None:
    """Move AMOUNT of ASSET from the EVM wallet into the vault; with --fee, without gas.

    After a failure run it again: what was on its way is finished, not repeated. With --fee, what
    was signed may still be brought for an hour: look at the balance before you repeat it.

    \b
    Example:
      omnibazaar wallet deposit USDX 1000 --as alice
      omnibazaar wallet deposit USDX 1000 --fee 1 --as alice
    """
    from node.cli.depositing import make_deposit

    url = context.find_url()
    terms = find_asset(url, asset)
    atoms = atoms_of(amount, terms)
    secret = context.load_key(key, password_file)
    charge = None if fee is None else atoms_of(fee, terms)
    if confidential and charge is not None:
        raise click.UsageError("private tokens come from the wallet itself, not by a relay")
    if confidential:
        done = {"deposit": deposit_private(context, terms, atoms, secret, rpc)}
    else:
        done = make_deposit(context, terms, atoms, charge, relays, secret, rpc)
    if as_json:
        show_json({**done, "asset": terms["symbol"], "amount": str(atoms)})
        return
    name = f"deposit {done['deposit']}" if "deposit" in done else f"by {done['relay']}"
    click.echo(f"{name}: {amount} {terms['symbol']} is in the vault")
    click.echo("The ledger credits it when more than two thirds of the validators have seen it,")
    click.echo(f"on a devnet within seconds: {context.spell(f'wallet balance --as {key}')}")
