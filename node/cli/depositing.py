"""Deposit by the wallet's own gas or by a relay.

Rule: a deposit that was on its way when the program died is finished, not repeated.
Spec: docs/how-to/relay.md; docs/spec/settlement.md §3. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from contracts.contract_calls import TOKEN, ContractCalls
from contracts.deposit_sender import DepositSender
from contracts.errors import ContractRefused
from contracts.rpc import HttpRpc
from contracts.settlement_calls import as_integer
from contracts.settlement_client import SettlementClient
from node.cli.show import format_atoms
from node.cli.wallet_options import find_chain, find_rpc_url, find_vault, open_transactor
from node.network_file import load_network
from primitives.address import to_checksum
from primitives.errors import OperatorError

if TYPE_CHECKING:
    from node.cli.context import Context
    from primitives.secp256k1 import PrivateKey

NOT_ENOUGH: Final = "ERC20InsufficientBalance"
"""What a token says: sender, balance, needed."""


def make_deposit(
    context: Context,
    asset: dict[str, Any],
    atoms: int,
    fee: int | None,
    relays: Sequence[str],
    key: PrivateKey,
    rpc: str | None,
) -> dict[str, Any]:
    """Return the deposit's id, or the job of the relay that made it."""
    network = load_network(context.data.network_file)
    of_file = find_chain(network, asset["chain_id"])
    chain = find_vault(context, network, of_file, rpc, asset["vault"])
    endpoint = find_rpc_url(context, rpc, chain.chain_id)
    connection = HttpRpc(endpoint)
    token = bytes.fromhex(asset["token"][2:])
    if fee is not None:
        from node.cli.relaying import deposit_for_fee

        if fee >= atoms:
            raise click.UsageError("the fee comes out of the amount, and must be less than it")
        words = ContractCalls(connection, None).words(TOKEN, token, 1, "balanceOf", key.address)
        verify_holding(key.address, as_integer(words[0]), atoms, asset)
        node = context.find_url()
        return deposit_for_fee(
            network, node, relays or (node,), endpoint, asset["id"], atoms, fee, key
        )
    client = SettlementClient(
        connection,
        chain_id=chain.chain_id,
        vault=chain.vault_bytes,
        network_id=network.network_id,
    )
    sender = DepositSender(
        connection,
        client,
        open_transactor(context, connection, chain.chain_id, key),
        vault=chain.vault_bytes,
    )
    try:
        return {"deposit": sender.deposit(token, atoms, key.address)}
    except ContractRefused as error:
        if error.reason == NOT_ENOUGH:
            verify_holding(key.address, error.arguments[1], atoms, asset)
        raise


def verify_holding(owner: bytes, held: int, atoms: int, asset: dict[str, Any]) -> None:
    """Raise OperatorError when a wallet holds less on the EVM chain than is to be deposited."""
    if held >= atoms:
        return
    name = to_checksum(owner)
    raise OperatorError(
        f"{name} holds {format_atoms(held, asset['decimals'])} {asset['symbol']} on chain "
        f"{asset['chain_id']}; the deposit needs {format_atoms(atoms, asset['decimals'])}",
        code="EVM011",
        risk="none: nothing was deposited",
        fix=f"send them there first; on a devnet: omnibazaar devnet fund {name}",
    )
