"""Share the options of the wallet commands: which key, which endpoint of which chain.

Rule: options mean the same in every command; an endpoint is asked for its chain before it is used.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from node.cli import http
from node.cli.context import Context
from primitives.errors import ConfigError, OperatorError

if TYPE_CHECKING:
    from web3 import Web3

    from contracts.outbox import FileOutbox
    from contracts.rpc import Rpc
    from contracts.settlement_client import SettlementClient
    from contracts.transactor import Transactor
    from contracts.web3_sender import Web3Sender
    from node.network_file import Chain, NetworkFile
    from primitives.secp256k1 import PrivateKey

key_option = click.option(
    "--as", "key", default="trader", show_default=True, help="Key: name, role or digits."
)
password_option = click.option(
    "--password-file", type=click.Path(path_type=Path), help="Password of the key."
)
fee_option = click.option(
    "--fee", help="Amount of the asset for a relay that pays the gas; you need none then."
)
relay_option = click.option(
    "--relay", "relays", multiple=True, help="URL of a relay, several in turn; default: the node."
)
vault_option = click.option(
    "--vault", help="Another vault of the chain; default: the network file's."
)
chain_option = click.option("--chain", type=int, help="EVM chain; default: the network's first.")
rpc_option = click.option("--rpc", help="JSON-RPC URL of the EVM chain; default: evm.rpc_urls.")
F = TypeVar("F", bound=Callable[..., Any])


class Purse(NamedTuple):
    """Whose key sends to which endpoint of an EVM chain."""

    key: str
    password_file: Path | None
    rpc: str | None

    def load_key(self, context: Context) -> PrivateKey:
        """Open the key. Raises KeystoreError."""
        return context.load_key(self.key, self.password_file)


def purse_options(named: Callable[..., Any] = key_option) -> Callable[[F], F]:
    """Add the options that say who sends; the command gets them as `purse`."""

    def decorate(command: F) -> F:
        @wraps(command)
        def with_purse(*arguments: Any, **options: Any) -> Any:
            purse = Purse(**{name: options.pop(name) for name in Purse._fields})
            return command(*arguments, purse=purse, **options)

        changed: Any = with_purse
        for option in (rpc_option, password_option, named):
            changed = option(changed)
        return changed  # type: ignore[no-any-return]

    return decorate


def open_settlement(
    context: Context,
    network: NetworkFile,
    chain: Chain,
    rpc: str | None,
    key: PrivateKey | None,
) -> SettlementClient:
    """Return a client of a chain's vault; one that can send keeps what it signs in the outbox."""
    from contracts.rpc import HttpRpc
    from contracts.settlement_client import SettlementClient

    connection = HttpRpc(find_rpc_url(context, rpc, chain.chain_id))
    transactor = None if key is None else open_transactor(context, connection, chain.chain_id, key)
    return SettlementClient(
        connection,
        chain_id=chain.chain_id,
        vault=chain.vault_bytes,
        network_id=network.network_id,
        transactor=transactor,
    )


def open_transactor(context: Context, rpc: Rpc, chain_id: int, key: PrivateKey) -> Transactor:
    """Return what sends for a key, with its outbox in the data directory."""
    from contracts.transactor import Transactor

    outbox = open_wallet_outbox(context, chain_id, key)
    return Transactor(rpc, key, chain_id=chain_id, outbox=outbox)


def open_web3_sender(context: Context, web3: Web3, chain_id: int, key: PrivateKey) -> Web3Sender:
    """Return what sends for a key by web3, with its outbox in the data directory."""
    from contracts.web3_sender import Web3Sender

    outbox = open_wallet_outbox(context, chain_id, key)
    return Web3Sender(web3, key, chain_id=chain_id, outbox=outbox)


@contextmanager
def hold_account(context: Context, rpc: Rpc, chain_id: int, key: PrivateKey) -> Iterator[None]:
    """Have a key's nonces for oneself, after what this data directory left of it has ended.

    For what sends many transactions at once; programs that take turns wait meanwhile. Raises
    TransientError, OperatorError.
    """
    import threading

    from contracts.outbox import open_outbox
    from contracts.transactor import Transactor

    boxes = [
        open_outbox(context.data.outbox(purpose), chain_id, key.address)
        for purpose in ("node", "wallet")
    ]
    for box in boxes:
        Transactor(rpc, key, chain_id=chain_id, outbox=box).resume()
    with boxes[0].turn(threading.Event()):
        yield


def open_wallet_outbox(context: Context, chain_id: int, key: PrivateKey) -> FileOutbox:
    """Return where a key's transaction on its way is kept; programs of the key take turns."""
    from contracts.outbox import open_outbox

    return open_outbox(context.data.outbox("wallet"), chain_id, key.address)


def find_chain(network: NetworkFile, chain_id: int | None) -> Chain:
    """Return a chain of the network, by default its first. Raises ConfigError."""
    for chain in network.chains:
        if chain_id is None or chain.chain_id == chain_id:
            return chain
    raise ConfigError(
        f"the network {network.name} does not settle on chain {chain_id}",
        fix="use the data directory of the node's own network",
    )


def find_vault(
    context: Context, network: NetworkFile, chain: Chain, rpc: str | None, vault: str | None
) -> Chain:
    """Return the chain with one of its vaults, by default the network file's.

    The file's vault must lead to another one by what the committee has announced on chain, so that
    no node can name a false one. Raises ConfigError, NodeError.
    """
    from contracts.rpc import HttpRpc
    from contracts.settlement_client import SettlementClient
    from contracts.succession import is_vault_of
    from node.settlement.vaults import at_vault
    from primitives.address import parse_address

    if vault is None or vault.lower() == chain.vault.lower():
        return chain
    address = parse_address(vault)
    connection = HttpRpc(find_rpc_url(context, rpc, chain.chain_id))

    def open_client(one: bytes) -> SettlementClient:
        return SettlementClient(
            connection, chain_id=chain.chain_id, vault=one, network_id=network.network_id
        )

    if not is_vault_of(open_client, chain.vault_bytes, address):
        raise ConfigError(
            f"{vault} is no vault of this network: {chain.vault} does not lead to it",
            fix="look at `omnibazaar vault show`; do not trust who named it",
        )
    return at_vault(chain, address)


def warn_of_recipient(
    context: Context, url: str, chain_id: int, address: str, sure: bool, doing: str = "withdraw"
) -> None:
    """Ask before something is paid to a contract or to nobody. Raises OperatorError."""
    found = http.get(url, f"/v1/recipients/{address}", chain=chain_id)
    if not found["warning"] or sure:
        return
    click.echo(f"{address} is {found['warning']}", err=True)
    if context.may_ask and click.confirm(f"{doing.capitalize()} there all the same?", err=True):
        return
    raise OperatorError(
        f"refused to {doing} there; nothing was changed",
        code="WAL001",
        fix="repeat it with --sure if you mean it",
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
        fix="give --rpc URL, or set evm.rpc_urls; if the chain itself is away, try again later",
        risk="none: nothing was signed or sent, and funds stay where they are",
    )
