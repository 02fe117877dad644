"""Share the options of the wallet commands: which key, which endpoint of which chain.

Rule: options mean the same in every command; an endpoint is asked for its chain before it is used.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from node.cli.context import Context
from primitives.errors import ConfigError

if TYPE_CHECKING:
    from contracts.settlement_client import SettlementClient
    from node.network_file import Chain, NetworkFile
    from primitives.secp256k1 import PrivateKey

key_option = click.option(
    "--as", "key", default="trader", show_default=True, help="Digits or role of a key."
)
password_option = click.option(
    "--password-file", type=click.Path(path_type=Path), help="Password of the key."
)
rpc_option = click.option("--rpc", help="JSON-RPC URL of the EVM chain; default: evm.rpc_urls.")


def open_settlement(
    context: Context,
    network: NetworkFile,
    chain: Chain,
    rpc: str | None,
    key: PrivateKey | None,
) -> SettlementClient:
    """Return a client of a chain's vault; one that can send keeps what it signs in the outbox."""
    from contracts.outbox import open_outbox
    from contracts.rpc import HttpRpc
    from contracts.settlement_client import SettlementClient
    from contracts.transactor import Transactor

    connection = HttpRpc(find_rpc_url(context, rpc, chain.chain_id))
    transactor = None
    if key is not None:
        outbox = open_outbox(context.data.outbox("wallet"), chain.chain_id, key.address)
        transactor = Transactor(connection, key, chain_id=chain.chain_id, outbox=outbox)
    return SettlementClient(
        connection,
        chain_id=chain.chain_id,
        vault=chain.vault_bytes,
        network_id=network.network_id,
        transactor=transactor,
    )


def find_rpc_url(context: Context, given: str | None, chain_id: int) -> str:
    """Return an endpoint that serves the chain. Raises ConfigError."""
    from contracts.rpc import HttpRpc
    from contracts.rpc_values import parse_quantity
    from primitives.errors import NodeError

    if given:
        return given
    urls = context.load_config().config.evm.rpc_urls
    for url in urls:
        try:
            if parse_quantity(HttpRpc(url).call("eth_chainId")) == chain_id:
                return url
        except NodeError:
            continue
    raise ConfigError(
        f"none of the {len(urls)} endpoints in evm.rpc_urls answers for chain {chain_id}",
        fix="give --rpc URL, or set evm.rpc_urls",
    )
