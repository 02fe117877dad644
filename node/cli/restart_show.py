"""Show what an export proves, and which network follows from it.

Rule: the same facts for people and as JSON.
Spec: docs/how-to/restart-after-lost-keys.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from node.cli.show import format_atoms, show_json, show_table
from primitives.address import to_checksum

if TYPE_CHECKING:
    from node.network_file import NetworkFile
    from node.restart.check import LastState


def describe_state(state: LastState) -> dict[str, Any]:
    """Return the facts that every survivor compares."""
    return {
        "network": state.file.name,
        "network_id": "0x" + state.file.network_id.hex(),
        "genesis": "0x" + state.file.genesis_hash.hex(),
        "height": state.height,
        "time_ms": state.header.time_ms,
        "block": "0x" + state.block_hash.hex(),
        "state_root": "0x" + state.state_root.hex(),
        "epoch": state.header.epoch,
        "committee_hash": "0x" + state.header.committee_hash.hex(),
        "accounts": len(state.ledger.state.accounts),
    }


def describe_network(network: NetworkFile) -> dict[str, Any]:
    """Return the facts of a network that takes over."""
    before = network.predecessor
    return {
        "network": network.name,
        "network_id": "0x" + network.network_id.hex(),
        "genesis": "0x" + network.genesis_hash.hex(),
        "validators": len(network.committee),
        "takes_over": "" if before is None else before.network_id,
        "from_height": 0 if before is None else before.height,
    }


def show_facts(facts: dict[str, Any], as_json: bool) -> None:
    """Print facts, one to a line."""
    if as_json:
        show_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name.ljust(width)}  {value}")


def list_balances(state: LastState) -> Iterator[tuple[bytes, int, int, int, int]]:
    """Yield (owner, sub-account, asset, free, held) of every balance that is not empty."""
    for account in state.ledger.state.accounts:
        for entry in account.entries:
            if entry.free or entry.held:
                yield account.owner, entry.sub, entry.asset, entry.free, entry.held


def show_balances(state: LastState, as_json: bool) -> None:
    """Print every balance of the last final state; the vault pays by its own last root."""
    assets = state.file.exchange.assets
    if as_json:
        show_json(
            [
                {
                    "account": to_checksum(owner),
                    "sub": sub,
                    "asset": assets[asset].name,
                    "free": str(free),
                    "held": str(held),
                }
                for owner, sub, asset, free, held in list_balances(state)
            ]
        )
        return
    show_table(
        ("account", "sub", "asset", "free", "held"),
        [
            (
                to_checksum(owner),
                sub,
                assets[asset].name,
                format_atoms(free, assets[asset].decimals),
                format_atoms(held, assets[asset].decimals),
            )
            for owner, sub, asset, free, held in list_balances(state)
        ],
    )
