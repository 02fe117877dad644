"""Find assets by what people call them, and read amounts of them.

Rule: what the ledger lists is what there is; amounts are exact or refused.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

from typing import Any

import click

from node.cli import http
from node.cli.units import count_steps, size_step


def list_assets(url: str) -> list[dict[str, Any]]:
    """Return all assets, in id order."""
    found: list[dict[str, Any]] = http.get(url, "/v1/assets")["assets"]
    return found


def find_asset(url: str, reference: str) -> dict[str, Any]:
    """Return an asset by symbol or id. Raises click.UsageError."""
    assets = list_assets(url)
    for asset in assets:
        if reference.upper() == asset["symbol"] or reference == str(asset["id"]):
            return asset
    names = ", ".join(asset["symbol"] for asset in assets)
    raise click.UsageError(f"there is no asset {reference!r}; there are {names}")


def place_of(asset: dict[str, Any]) -> tuple[int, str, str]:
    """Return what an asset is: chain, vault, token."""
    return asset["chain_id"], asset["vault"], asset["token"]


def atoms_of(amount: str, asset: dict[str, Any]) -> int:
    """Return an amount in atoms. Raises click.UsageError unless it is a whole number of them."""
    return count_steps(amount, size_step(lot=1, base_decimals=asset["decimals"]), "AMOUNT")
