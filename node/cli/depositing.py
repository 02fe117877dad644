"""Deposit by the wallet's own gas or by a relay.

Rule: a deposit that was on its way when the program died is finished, not repeated.
Spec: docs/how-to/relay.md; docs/spec/settlement.md §3. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from contracts.deposit_sender import DepositSender
from contracts.errors import ContractRefused
from contracts.rpc import HttpRpc
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
    if fee is not None:
        from node.cli.relaying import deposit_for_fee

        node = context.find_url()
        return deposit_for_fee(
            network, node, relays or (node,), endpoint, asset["id"], atoms, fee, key
        )
    connection = HttpRpc(endpoint)
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
    token = bytes.fromhex(asset["token"][2:])
    try:
        return {"deposit": sender.deposit(token, atoms, key.address)}
    except ContractRefused as error:
        if error.reason != NOT_ENOUGH:
            raise
        owner = to_checksum(key.address)
        held = format_atoms(error.arguments[1], asset["decimals"])
        raise OperatorError(
            f"{owner} holds {held} {asset['symbol']} on chain {chain.chain_id}; the deposit needs "
            f"{format_atoms(atoms, asset['decimals'])}",
            code="EVM011",
            fix=f"send them there first; on a devnet: omnibazaar devnet fund {owner}",
        ) from None
