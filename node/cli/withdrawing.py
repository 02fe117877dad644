"""Take funds out: ask the ledger, see what was asked, claim it on the EVM chain.

Rule: a withdrawal is a signed action first and, once a checkpoint covers it, a claim that anybody
may bring to the contract.
Spec: docs/reference/cli.md; docs/spec/settlement.md. Deviations: none.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli import http
from node.cli.account_options import account_options
from node.cli.assets import atoms_of, find_asset, list_assets, place_of
from node.cli.context import Context, json_option
from node.cli.show import format_atoms, show_json, show_table
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
from primitives.errors import NodeError, TransientError

if TYPE_CHECKING:
    from contracts.settlement_types import Submission
    from primitives.secp256k1 import PrivateKey

WRITTEN_S: Final = 20  # a node writes what is final within a moment
ASKED_MAX: Final = 20  # newest withdrawals that the contract is asked about


@click.command()
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


@click.command()
@account_options
@rpc_option
@json_option
@click.pass_obj
def withdrawals(context: Context, rpc: str | None, as_json: bool, *, owner: bytes) -> None:
    """List withdrawals, newest first, and which of them can be claimed.

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
    if not found["withdrawals"]:
        click.echo("no withdrawals; `wallet withdraw` asks for one")
        return
    symbols = {place_of(asset): asset for asset in list_assets(url)}
    paid = _find_paid(context, rpc, url, found["withdrawals"][:ASKED_MAX])
    settled = {
        (vault["chain_id"], vault["vault"]): vault["settled_height"]
        for vault in http.get(url, "/v1/settlement")["vaults"]
    }
    rows = []
    for row in found["withdrawals"]:
        asset = symbols[place_of(row)]
        amount = format_atoms(int(row["amount"]), asset["decimals"])
        is_covered = row["height"] <= settled.get((row["chain_id"], row["vault"]), 0)
        state = describe_withdrawal(is_covered, paid.get(row["index"]))
        rows.append((row["index"], asset["symbol"], amount, row["height"], row["to"], state))
    show_table(("index", "asset", "amount", "height", "to", "state"), rows)


def describe_withdrawal(is_covered: bool, is_paid: bool | None) -> str:
    """Say where a withdrawal is; None when the chain was not asked or did not answer."""
    if is_paid:
        return "paid"
    if not is_covered:
        return "waits for a checkpoint"
    return "can be claimed, if it was not" if is_paid is None else "can be claimed"


def _find_paid(
    context: Context, rpc: str | None, url: str, rows: list[dict[str, Any]]
) -> dict[int, bool]:
    """Ask the chains which withdrawals they have paid; one that is silent is left out."""
    from contracts.rpc import HttpRpc
    from contracts.settlement_client import SettlementClient

    paid: dict[int, bool] = {}
    network_id = _unhex(http.get(url, "/v1/status")["network_id"])
    for chain_id, vault in sorted({(row["chain_id"], row["vault"]) for row in rows}):
        with suppress(NodeError):
            client = SettlementClient(
                HttpRpc(find_rpc_url(context, rpc, chain_id)),
                chain_id=chain_id,
                vault=_unhex(vault),
                network_id=network_id,
            )
            for row in rows:
                if (row["chain_id"], row["vault"]) == (chain_id, vault):
                    paid[row["index"]] = client.is_paid(row["index"])
    return paid


@click.command()
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
