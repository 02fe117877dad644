"""Open the registry for the commands of a validator's owner, and say what they did.

Rule: the owner's key signs here and nowhere else; what an earlier run left on its way is finished
before anything is looked at, so every command can be repeated.
Spec: docs/how-to/join-as-a-validator.md; docs/spec/settlement.md §9. Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from contracts.errors import ContractRefused
from contracts.registry_client import Registered, RegistryClient
from contracts.registry_reasons import explain
from contracts.rpc import HttpRpc
from contracts.settlement_types import Submission
from node.cli.show import format_atoms, show_json
from node.cli.wallet_options import find_chain, find_rpc_url, open_transactor
from node.network_file import NetworkFile, load_network
from primitives.address import to_checksum
from primitives.errors import ConfigError, KeystoreError, OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.cli.context import Context
    from primitives.secp256k1 import PrivateKey

DECIMALS: Final = 18
STAKE_MIN: Final = 1_000 * 10**DECIMALS
STAKE_ADDED_MIN: Final = 10**DECIMALS
SERVICES: Final = {"trading": 1, "chat": 2, "storage": 4}
UNBONDING_DAYS: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A network, its registry and the owner who stands before it."""

    context: Context
    network: NetworkFile
    client: RegistryClient
    owner: bytes

    def find(self) -> Registered | None:
        """Return the owner's validator as the contract has it."""
        return self.client.find(self.owner)

    def require(self) -> Registered:
        """Return the owner's validator. Raises OperatorError."""
        found = self.find()
        if found is None:
            raise explain(ContractRefused("NotRegistered"))
        return found


def open_desk(
    context: Context, rpc: str | None, key: PrivateKey | None, owner: bytes = b""
) -> Desk:
    """Connect to the registry, for a key that sends or for an owner that only looks.

    Raises ConfigError, WrongNetwork, TransientError.
    """
    network = load_network(context.data.network_file)
    chain = find_chain(network, None)
    connection = HttpRpc(find_rpc_url(context, rpc, chain.chain_id))
    transactor = None if key is None else open_transactor(context, connection, chain.chain_id, key)
    client = RegistryClient(
        connection,
        chain_id=chain.chain_id,
        registry=bytes.fromhex(chain.registry[2:]),
        network_id=network.network_id,
        transactor=transactor,
    )
    client.connect()
    client.finish_left()
    return Desk(
        context=context,
        network=network,
        client=client,
        owner=owner if key is None else key.address,
    )


class Steps:
    """What one command does, in order: announced, confirmed, carried out, summed up."""

    def __init__(self, context: Context, as_json: bool) -> None:
        self._context = context
        self._as_json = as_json
        self._steps: list[tuple[str, Callable[[], Submission]]] = []

    def add(self, text: str, action: Callable[[], Submission]) -> None:
        """Add a step."""
        self._steps.append((text, action))

    def run(self, warning: str = "") -> list[dict[str, str]]:
        """Say what will happen, ask where somebody can answer, do it.

        Raises OperatorError with a sentence for whatever the contract refuses.
        """
        if not self._as_json:
            for number, (text, _) in enumerate(self._steps, 1):
                click.echo(f"{number}. {text}")
            if warning and self._steps:
                click.echo(warning)
        if self._steps and self._context.may_ask:
            click.confirm("Go on?", abort=True, err=True)
        done = []
        for text, action in self._steps:
            try:
                answer = action()
            except ContractRefused as refusal:
                raise explain(refusal) from refusal
            if not self._as_json:
                click.echo(f"{answer.value}: {text}")
            done.append({"step": text, "result": answer.value})
        return done


def load_hot_key(context: Context, reference: str, password_file: Path | None) -> PrivateKey:
    """Open the key that signs votes; by default the one that the node is configured with."""
    name = reference or context.load_config().config.validator.key or "validator"
    return context.load_key(name, password_file)


def load_network_key(context: Context) -> bytes:
    """Return the public key of the node's p2p identity. Raises KeystoreError."""
    from p2p.identity import SEED_BYTES, decode_peer_id, peer_id_from_seed

    file = context.data.node_key_file
    try:
        seed = bytes.fromhex(file.read_text().strip())
    except (OSError, ValueError):
        seed = b""
    if len(seed) != SEED_BYTES:
        raise KeystoreError(
            f"the p2p identity {file} is missing or damaged",
            fix="omnibazaar init --network FILE makes one",
        )
    return decode_peer_id(peer_id_from_seed(seed))[-SEED_BYTES:]


def parse_services(text: str) -> int:
    """Return the bit mask of a list like `trading,chat`. Raises click.UsageError."""
    mask = 0
    for name in filter(None, text.split(",")):
        if name not in SERVICES:
            raise click.UsageError(f"services are {', '.join(SERVICES)}, not {name!r}")
        mask |= SERVICES[name]
    return mask


def name_services(mask: int) -> str:
    """Return a bit mask in words."""
    return ", ".join(name for name, bit in SERVICES.items() if mask & bit) or "none"


def parse_xom(text: str) -> int:
    """Return atoms. Raises click.UsageError."""
    from fractions import Fraction

    from node.cli.units import count_steps

    return count_steps(text, Fraction(1, 10**DECIMALS), "amount")


def show_xom(atoms: int) -> str:
    """Return an amount of XOM for people."""
    return f"{format_atoms(atoms, DECIMALS)} XOM"


def verify_funds(desk: Desk, atoms: int) -> None:
    """Raise OperatorError when the owner has less XOM than is to be staked."""
    held = desk.client.token_balance(desk.owner)
    if held < atoms:
        raise OperatorError(
            f"{to_checksum(desk.owner)} has {show_xom(held)}, and {show_xom(atoms)} are to be "
            "staked",
            code="VAL002",
            fix="send XOM to that address (on a devnet: omnibazaar devnet fund ADDRESS), or give a "
            "smaller amount",
        )


def verify_hot_key(desk: Desk, hot_key: bytes) -> None:
    """Raise when another registration has, or had, the hot key; or when it is the owner's own."""
    if hot_key == desk.owner:
        raise ConfigError(
            "the hot key and the owner's key are the same: who steals the node's key gets the "
            "stake",
            fix="omnibazaar keys new --role trader, fund that one, and name it with --from",
        )
    if desk.client.owner_of(hot_key) is not None:
        raise explain(ContractRefused("HotKeyTaken"))


def finish(as_json: bool, done: list[dict[str, str]], desk: Desk, *words: str) -> None:
    """Print the outcome and what to do next."""
    if as_json:
        show_json({"steps": done, "validator": describe(desk.find())})
        return
    if not done:
        click.echo("Nothing to do: the registry says so already.")
    for line in words:
        click.echo(line)


def describe(found: Registered | None) -> dict[str, Any] | None:
    """Return a registration as JSON."""
    if found is None:
        return None
    return {
        "owner": to_checksum(found.owner),
        "hot_key": to_checksum(found.hot_key),
        "payout": to_checksum(found.payout),
        "network_key": "0x" + found.network_key.hex(),
        "services": name_services(found.services).split(", "),
        "stake": str(found.stake),
        "active": found.is_active,
        "exiting": found.exiting,
        "seated_epoch": found.seated_epoch,
        "exit_at_s": found.exit_at_s,
    }
