"""Use private tokens: get the key that reads them, see, wrap and unwrap them, deposit.

Rule: an amount that becomes public is said to do so before it does; what was on its way when the
program died is finished, not repeated.
Spec: docs/explanation/confidential.md; docs/spec/confidential.md. Deviations: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from node.cli.assets import atoms_of, find_asset
from node.cli.context import Context, json_option
from node.cli.show import format_atoms, show_json
from node.cli.wallet_options import (
    Purse,
    find_chain,
    find_rpc_url,
    open_transactor,
    open_wallet_outbox,
    purse_options,
)
from primitives.errors import ConfigError

if TYPE_CHECKING:
    from contracts.confidential_sender import ConfidentialSender
    from contracts.confidential_wallet import ConfidentialWallet
    from primitives.secp256k1 import PrivateKey


@click.command()
@click.option("--chain", "chain_id", type=int, help="Id of the EVM chain; default: the first.")
@click.option("--contract", help="Onboarding contract; default: COTI's.")
@purse_options()
@json_option
@click.pass_obj
def onboard(
    context: Context,
    chain_id: int | None,
    contract: str | None,
    as_json: bool,
    *,
    purse: Purse,
) -> None:
    """Get the key that reads the wallet's private tokens; again after it was lost.

    It is always the same, and lies in cache/ encrypted under the wallet's own key.

    \b
    Example:
      omnibazaar wallet onboard --as alice
    """
    from contracts.confidential_cipher import ONBOARDING
    from node.keys.private_keys import save_private_key
    from node.network_file import load_network
    from primitives.address import parse_address, to_checksum

    chain = chain_id or load_network(context.data.network_file).chains[0].chain_id
    secret = purse.load_key(context)
    wallet = _open(context, secret, chain, purse.rpc)
    at = parse_address(contract) if contract else ONBOARDING
    if not wallet.has_code(at):
        raise ConfigError(
            f"chain {chain} has no onboarding contract at {to_checksum(at)}",
            fix="it is none of COTI's; on a devnet: omnibazaar devnet up --evm coti",
        )
    file = save_private_key(context.data, chain, secret, wallet.onboard(at))
    shown = {"address": to_checksum(secret.address), "chain_id": chain, "file": str(file)}
    if as_json:
        show_json(shown)
    else:
        click.echo(f"{shown['address']} can read its private tokens on chain {chain}")


@click.command()
@click.argument("asset")
@purse_options()
@json_option
@click.pass_obj
def private(
    context: Context,
    asset: str,
    as_json: bool,
    *,
    purse: Purse,
) -> None:
    """Show the wallet's own balance of a private token, which nobody else can read.

    \b
    Example:
      omnibazaar wallet private PUSDX --as alice
    """
    terms = find_asset(context.find_url(), asset)
    secret = purse.load_key(context)
    wallet = _open(context, secret, terms["chain_id"], purse.rpc)
    token = wallet.token_of_door(_door(terms))
    balance = wallet.private_balance(token, _aes_key(context, terms, secret))
    if as_json:
        show_json({"asset": terms["symbol"], "balance": str(balance)})
    else:
        click.echo(f"{format_atoms(balance, terms['decimals'])} {terms['symbol']}")


@click.command()
@click.argument("asset")
@click.argument("amount")
@purse_options()
@json_option
@click.pass_obj
def wrap(
    context: Context,
    asset: str,
    amount: str,
    as_json: bool,
    *,
    purse: Purse,
) -> None:
    """Make AMOUNT of a private token out of the public one. The amount is public.

    \b
    Example:
      omnibazaar wallet wrap PUSDX 1000 --as alice
    """
    terms = find_asset(context.find_url(), asset)
    atoms = atoms_of(amount, terms)
    secret = purse.load_key(context)
    sender = _open_sender(context, secret, terms["chain_id"], purse.rpc)
    sender.wrap(sender.token_of_door(_door(terms)), atoms)
    _say(terms, atoms, f"{amount} {terms['symbol']} are private now", as_json)


@click.command()
@click.argument("asset")
@click.argument("amount")
@purse_options()
@json_option
@click.pass_obj
def unwrap(
    context: Context,
    asset: str,
    amount: str,
    as_json: bool,
    *,
    purse: Purse,
) -> None:
    """Make AMOUNT of the public token out of a private one. The amount becomes public.

    \b
    Example:
      omnibazaar wallet unwrap PUSDX 10 --as alice
    """
    terms = find_asset(context.find_url(), asset)
    atoms = atoms_of(amount, terms)
    secret = purse.load_key(context)
    sender = _open_sender(context, secret, terms["chain_id"], purse.rpc)
    aes_key = _aes_key(context, terms, secret)
    sender.unwrap(sender.token_of_door(_door(terms)), aes_key, atoms)
    _say(terms, atoms, f"{amount} {terms['symbol']} are public again", as_json)


def deposit_private(
    context: Context, terms: dict[str, Any], atoms: int, key: PrivateKey, rpc: str | None
) -> int | None:
    """Deposit private tokens through their door; the deposit's id if it can be read now."""
    sender = _open_sender(context, key, terms["chain_id"], rpc)
    return sender.deposit(_door(terms), _aes_key(context, terms, key), atoms)


def _open(context: Context, key: PrivateKey, chain_id: int, rpc: str | None) -> ConfidentialWallet:
    from contracts.confidential_wallet import ConfidentialWallet
    from contracts.evm_web3 import connect

    web3 = connect(find_rpc_url(context, rpc, chain_id), chain_id)
    outbox = open_wallet_outbox(context, chain_id, key)
    return ConfidentialWallet(web3, key, chain_id=chain_id, outbox=outbox)


def _open_sender(
    context: Context, key: PrivateKey, chain_id: int, rpc: str | None
) -> ConfidentialSender:
    from contracts.confidential_sender import ConfidentialSender
    from contracts.rpc import HttpRpc
    from node.network_file import load_network

    chain = find_chain(load_network(context.data.network_file), chain_id)
    connection = HttpRpc(find_rpc_url(context, rpc, chain_id))
    transactor = open_transactor(context, connection, chain.chain_id, key)
    return ConfidentialSender(connection, transactor, key)


def _aes_key(context: Context, terms: dict[str, Any], key: PrivateKey) -> bytes:
    from node.keys.private_keys import load_private_key

    return load_private_key(context.data, terms["chain_id"], key)


def _door(terms: dict[str, Any]) -> bytes:
    return bytes.fromhex(terms["token"][2:])


def _say(terms: dict[str, Any], atoms: int, text: str, as_json: bool) -> None:
    if as_json:
        show_json({"asset": terms["symbol"], "amount": str(atoms)})
    else:
        click.echo(text)
