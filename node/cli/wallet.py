"""See balances, deposit into the vault, withdraw and claim.

Rule: the wallet's key signs here; a withdrawal is a signed action first and, once a checkpoint
covers it, a claim that anybody may bring to the contract.
Spec: docs/reference/cli.md; docs/spec/settlement.md. Deviations: none.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli import http
from node.cli.account_options import account_options
from node.cli.assets import atoms_of, find_asset, list_assets, place_of
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
    open_transactor,
    password_option,
    relay_option,
    rpc_option,
    warn_of_recipient,
)
from primitives.errors import TransientError

if TYPE_CHECKING:
    from contracts.settlement_types import Submission
    from primitives.secp256k1 import PrivateKey

WRITTEN_S: Final = 20  # a node writes what is final within a moment


@click.group()
def wallet() -> None:
    """Balances, deposits, withdrawals.

    \b
    Example:
      omnibazaar wallet balance --as alice
    """


wallet.add_command(escape)
wallet.add_command(escape_proof)
wallet.add_command(statement)
wallet.add_command(earnings)
wallet.add_command(outbox)
for _command in (grant, grants, revoke, transfer, onboard, private, wrap, unwrap):
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


@wallet.command()
@click.argument("asset")
@click.argument("amount")
@click.option("--to", help="EVM address that is paid; default: the wallet itself.")
@click.option("--sure", is_flag=True, help="Also to a contract or to an address of nobody.")
@key_option
@password_option
@json_option
@click.pass_obj
def withdraw(
    context: Context,
    asset: str,
    amount: str,
    to: str | None,
    sure: bool,
    key: str,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Ask the ledger to pay AMOUNT of ASSET out of the vault; claim it after a checkpoint.

    \b
    Example:
      omnibazaar wallet withdraw USDX 50 --as alice
    """
    from primitives.address import parse_address, to_checksum

    url = context.find_url()
    terms = find_asset(url, asset)
    atoms = atoms_of(amount, terms)
    secret = context.load_key(key, password_file)
    target = parse_address(to) if to else secret.address
    if target != secret.address:
        warn_of_recipient(context, url, terms["chain_id"], to_checksum(target), sure)
    path = f"/v1/accounts/{to_checksum(secret.address)}/withdrawals"
    before = http.get(url, path, limit=1)["withdrawals"]
    _withdraw(context, url, secret, terms["id"], atoms, target)
    entry = _await_newer(url, path, before[0]["index"] if before else -1)
    if as_json:
        show_json(entry)
        return
    click.echo(f"withdrawal {entry['index']}: {amount} {terms['symbol']} to {entry['to']}")
    claiming = context.spell(f"wallet claim {entry['index']} --as {key}")
    click.echo(f"after the next checkpoint: {claiming}")


def _await_newer(url: str, path: str, index: int) -> dict[str, Any]:
    """Return the newest withdrawal once it is written; the ledger knows it a moment earlier."""
    deadline = time.monotonic() + WRITTEN_S
    while time.monotonic() < deadline:
        found = http.get(url, path, limit=1)["withdrawals"]
        if found and found[0]["index"] > index:
            return dict(found[0])
        time.sleep(0.1)
    raise TransientError("the withdrawal is on the ledger; `wallet withdrawals` will show it")


@wallet.command()
@account_options
@json_option
@click.pass_obj
def withdrawals(context: Context, as_json: bool, *, owner: bytes) -> None:
    """List withdrawals, newest first.

    \b
    Example:
      omnibazaar wallet withdrawals --as alice
    """
    from primitives.address import to_checksum

    address = to_checksum(owner)
    url = context.find_url()
    found = http.get(url, f"/v1/accounts/{address}/withdrawals")
    if as_json:
        show_json(found)
        return
    symbols = {(a["chain_id"], a["vault"], a["token"]): a for a in list_assets(url)}
    rows = []
    for row in found["withdrawals"]:
        asset = symbols[row["chain_id"], row["vault"], row["token"]]
        amount = format_atoms(int(row["amount"]), asset["decimals"])
        rows.append((row["index"], asset["symbol"], amount, row["height"], row["to"]))
    show_table(("index", "asset", "amount", "height", "to"), rows)


@wallet.command()
@click.argument("index", type=int)
@fee_option
@relay_option
@key_option
@password_option
@rpc_option
@json_option
@click.pass_obj
def claim(
    context: Context,
    index: int,
    fee: str | None,
    relays: tuple[str, ...],
    key: str,
    password_file: Path | None,
    rpc: str | None,
    as_json: bool,
) -> None:
    """Bring the proof of a withdrawal to the contract; the key pays the gas, or with --fee a relay.

    \b
    Example:
      omnibazaar wallet claim 3 --as alice
      omnibazaar wallet claim 3 --fee 0.5 --as alice
    """
    url = context.find_url()
    proof = http.get(url, f"/v1/settlement/withdrawals/{index}/proof")
    secret = context.load_key(key, password_file)
    endpoint = find_rpc_url(context, rpc, proof["chain_id"])
    if fee is not None:
        from node.cli.relaying import claim_for_fee, verify_fee
        from node.network_file import load_network

        network = load_network(context.data.network_file)
        terms = next(a for a in list_assets(url) if place_of(a) == place_of(proof))
        atoms = atoms_of(fee, terms)
        verify_fee(proof, atoms, secret.address)
        done = claim_for_fee(network, url, relays or (url,), endpoint, index, atoms, secret)
        if as_json:
            show_json(done)
        elif not done["relay"]:
            click.echo(f"withdrawal {index} had been paid to {proof['to']} before; no fee was due")
        else:
            click.echo(
                f"withdrawal {index} paid to {proof['to']}, less the fee, by {done['relay']}"
            )
        return
    outcome = claim_withdrawal(context, endpoint, url, proof, secret).value
    result = {"index": index, "to": proof["to"], "amount": proof["amount"], "state": outcome}
    if as_json:
        show_json(result)
    else:
        click.echo(f"withdrawal {index} paid to {proof['to']} ({outcome})")


def _withdraw(
    context: Context, url: str, key: PrivateKey, asset: int, atoms: int, to: bytes
) -> None:
    import trio

    from client.keys import Credentials
    from client.node_client import open_node
    from client.trader import open_trader

    async def main() -> None:
        async with (
            open_node(url, network_id=context.network_id) as node,
            open_trader(node, Credentials.of_wallet(key)) as trader,
        ):
            await trader.withdraw(asset, atoms, to)

    trio.run(main)


def claim_withdrawal(
    context: Context, rpc: str, url: str, proof: dict[str, Any], key: PrivateKey
) -> Submission:
    """Bring a node's proof of a withdrawal to the contract."""
    from contracts.rpc import HttpRpc
    from contracts.settlement_client import SettlementClient
    from contracts.settlement_types import StateWords, WithdrawalClaim

    connection = HttpRpc(rpc)
    chain_id = proof["chain_id"]
    client = SettlementClient(
        connection,
        chain_id=chain_id,
        vault=_unhex(proof["vault"]),
        network_id=_unhex(http.get(url, "/v1/status")["network_id"]),
        transactor=open_transactor(context, connection, chain_id, key),
    )
    height, *roots = (_unhex(word) for word in proof["roots"])
    words = StateWords(
        height=int.from_bytes(height, "big"),
        **dict(
            zip(
                ("accounts", "withdrawals", "deposits", "fills", "effects", "rest"),
                roots,
                strict=True,
            )
        ),
    )
    return client.withdraw(
        WithdrawalClaim(
            words=words,
            index=proof["index"],
            token=_unhex(proof["token"]),
            amount=int(proof["amount"]),
            to=_unhex(proof["to"]),
            siblings=tuple(_unhex(word) for word in proof["proof"]),
        )
    )


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
