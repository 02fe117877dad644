"""Show what a wallet has on its way to an EVM chain, and keep it from happening.

Rule: only the account's own key can drop a transaction that a node has taken: an empty one takes
its nonce. What no node has taken is forgotten for free.
Spec: docs/spec/settlement.md §10; docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.context import Context, json_option
from node.cli.show import show_json, show_table
from node.cli.wallet_options import (
    chain_option,
    find_chain,
    find_rpc_url,
    key_option,
    open_transactor,
    password_option,
    rpc_option,
)

if TYPE_CHECKING:
    from contracts.outbox import Pending

PURPOSES: Final = ("wallet", "node")
CONTRACTS: Final = (
    "Settlement", "ValidatorRegistry", "TestToken", "ConfidentialCoin", "ConfidentialVault",
)  # fmt: skip
REFUSED: Final = "no node took it; goes out only if you ask for the same again"
ON_ITS_WAY: Final = "on its way"


@click.group()
def outbox() -> None:
    """Transactions that are signed and not yet confirmed on an EVM chain.

    \b
    Example:
      omnibazaar wallet outbox list
    """


@outbox.command(name="list")
@json_option
@click.pass_obj
def list_left(context: Context, as_json: bool) -> None:
    """List what this data directory's wallets and its node have on their way.

    \b
    Example:
      omnibazaar wallet outbox list
    """
    found = [
        describe(purpose, account, left)
        for purpose in PURPOSES
        for account, left in read_left(context.data.outbox(purpose))
    ]
    if as_json:
        show_json({"transactions": found})
        return
    if not found:
        click.echo("Nothing is on its way.")
        return
    show_table(
        ("of", "chain", "account", "nonce", "does", "to", "state"),
        [
            (one["of"], one["chain_id"], one["account"], one["nonce"], one["does"], one["to"],
             one["state"])
            for one in found
        ],
    )  # fmt: skip


@outbox.command()
@chain_option
@key_option
@password_option
@rpc_option
@json_option
@click.pass_obj
def drop(
    context: Context,
    chain: int | None,
    key: str,
    password_file: Path | None,
    rpc: str | None,
    as_json: bool,
) -> None:
    """Keep what a key has on its way from happening.

    Free if no node took it; else an empty transaction takes its place, which costs gas.

    \b
    Example:
      omnibazaar wallet outbox drop --as alice
    """
    from contracts.rpc import HttpRpc
    from node.network_file import load_network

    place = find_chain(load_network(context.data.network_file), chain)
    connection = HttpRpc(find_rpc_url(context, rpc, place.chain_id))
    secret = context.load_key(key, password_file)
    done = open_transactor(context, connection, place.chain_id, secret).drop()
    if as_json:
        show_json({"chain_id": place.chain_id, "result": None if done is None else done.name})
        return
    click.echo(f"{key} has nothing on its way" if done is None else done.value)


def read_left(folder: Path) -> list[tuple[str, Pending]]:
    """Return account and transaction of every outbox in a folder. Raises OperatorError."""
    from contracts.outbox import FileOutbox

    found = []
    for path in sorted(folder.glob("*.bin")):
        left = FileOutbox(path).load()
        if left is not None:
            found.append((path.stem.rpartition("-")[2], left))
    return found


def describe(purpose: str, account: str, left: Pending) -> dict[str, Any]:
    """Return a transaction as JSON."""
    from primitives.address import to_checksum

    return {
        "of": purpose,
        "chain_id": left.chain_id,
        "account": to_checksum(bytes.fromhex(account)),
        "nonce": left.nonce,
        "does": name_call(left),
        "to": to_checksum(left.to) if left.to else "",
        "wei": str(left.wei),
        "hashes": ["0x" + one.hex() for one in left.hashes],
        "state": REFUSED if left.is_refused else ON_ITS_WAY,
    }


def name_call(left: Pending) -> str:
    """Return the name of the function that a transaction calls."""
    from contracts.artifact import selectors

    if not left.to:
        return "create a contract"
    if not left.payload:
        return "transfer coin" if left.wei else "nothing"
    for contract in CONTRACTS:
        for name, selector in selectors(contract).items():
            if selector == left.payload[:4]:
                return name
    return "0x" + left.payload[:4].hex()
