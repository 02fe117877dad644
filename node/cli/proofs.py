"""Verify what a node says of the ledger against the settlement contract.

Rule: the contract's address and the network id come from the network file, epoch and committee from
the contract; from the node comes nothing but the proof.
Spec: docs/spec/light-client.md. Deviations: none.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any, Final

import click
import trio

from client.errors import AnchorOutdated, ClientError, ProofRefused
from client.light import Anchor, verify_proven_balance
from client.node_client import open_node
from client.views import ProvenBalance
from contracts.rpc import HttpRpc
from contracts.settlement_client import SettlementClient
from contracts.succession import read_newest
from node.network_file import NetworkFile
from primitives.eip712 import network_domain
from primitives.errors import ConfigError, TransientError

EPOCH_WAIT_S: Final = 30  # for the contract to learn of an epoch that has just begun
EPOCH_POLL_S: Final = 1


def verify_ledger_balance(
    file: NetworkFile, url: str, rpc: str, asset: dict[str, Any], owner: bytes, sub: int
) -> tuple[int, int, int]:
    """Return (height, free, held); raises ProofRefused, TransientError, WrongNetwork.

    After the border of an epoch it waits until a checkpoint has told the contract the committee.
    """
    number = asset["id"]
    verify_asset_named(file, number, asset["symbol"])
    deadline = time.monotonic() + EPOCH_WAIT_S
    is_told = False
    while True:
        anchor = read_anchor(file, rpc, asset["chain_id"])
        found = trio.run(_fetch, url, file.network_id, owner, number, sub)
        try:
            return verify_proven_balance(anchor, found, owner=owner, sub=sub, asset=number)
        except AnchorOutdated as error:
            if time.monotonic() > deadline:
                raise TransientError(f"{error}; try again after the next checkpoint") from error
            if not is_told:
                click.echo(f"{error}: waiting for the checkpoint that tells it", err=True)
                is_told = True
        time.sleep(EPOCH_POLL_S)


def verify_asset_named(file: NetworkFile, number: int, symbol: str) -> None:
    """Raise ProofRefused when a node calls an asset of the network file by another's name.

    Assets that were listed later stand in no file; their numbers are the node's word.
    """
    names = [one.name for one in file.exchange.assets]
    expected = names[number] if number < len(names) else None
    if expected != symbol and (expected is not None or symbol in names):
        raise ProofRefused(f"the node says that asset {number} is {symbol}, the network file not")


def read_anchor(file: NetworkFile, rpc: str, chain_id: int) -> Anchor:
    """Return what the network file's vault, or its successor, says of the committee."""
    chain = next((one for one in file.chains if one.chain_id == chain_id), None)
    if chain is None:
        raise ConfigError(
            f"the network {file.name} does not settle on chain {chain_id}",
            fix="use the network file of this node's network",
        )
    with closing(HttpRpc(rpc)) as connection:
        _, status = read_newest(
            lambda vault: SettlementClient(
                connection, chain_id=chain_id, vault=vault, network_id=file.network_id
            ),
            chain.vault_bytes,
        )
    return Anchor(
        domain=network_domain(file.network_id),
        epoch=status.epoch,
        committee_hash=status.committee_hash,
        height=status.executed_height,
    )


async def _fetch(url: str, network_id: bytes, owner: bytes, asset: int, sub: int) -> ProvenBalance:
    async with open_node(url, network_id=network_id) as node:
        found = await node.rest.balance_proof(owner, asset, sub)
    if found is None:
        raise ClientError("the ledger has no such balance, or no block became final in time")
    return found
