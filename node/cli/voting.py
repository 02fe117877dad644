"""Sign a validator's word on a decision of the committee, send it, and see it executed.

Rule: the key is the configured validator's; the node only carries the word, which has been said
when a final block executed it: one that comes too late changes nothing.
Spec: docs/spec/markets.md; docs/spec/upgrades.md. Deviations: none.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click

from node.cli import http
from node.cli.context import Context
from primitives.errors import ConfigError

EXECUTED_S: Final = 30
POLL_S: Final = 0.2
SAID: Final = frozenset(("ok", "counted", "no_change"))
"""Decided by it, waiting for others, or asked for what is decided already."""
password_option = click.option(
    "--password-file", type=click.Path(path_type=Path), help="Password of the key."
)


def send_vote(
    context: Context, operation: Any, password_file: Path | None, *, look: str
) -> dict[str, Any]:
    """Sign and send an operation; return the node's answer once it is executed.

    Raises OperatorError when it had no effect.
    """
    from client.actions import ActionBuilder
    from client.keys import Credentials
    from client.node_client import now_ms

    url = context.find_url()
    prefix = context.load_config().config.validator.key
    if not prefix:
        raise ConfigError(
            "no validator key is configured",
            fix="run this with the data directory of a validator: --data-dir",
        )
    builder = ActionBuilder(
        domain=context.find_domain(url),
        credentials=Credentials.of_wallet(context.load_key(prefix, password_file)),
        clock=now_ms,
    )
    signed = builder.sign(operation)
    body = {
        "actions": [
            {"payload": "0x" + signed.payload.hex(), "signature": "0x" + signed.signature.hex()}
        ]
    }
    results: list[dict[str, Any]] = http.post(url, "/v1/actions", body)["results"]
    if not results[0]["accepted"]:
        raise ConfigError(f"the node does not take it: {results}", fix=look)
    return {**results[0], "executed": _wait_effect(url, results[0]["id"], look)}


def _wait_effect(url: str, action_id: str, look: str) -> bool:
    """Wait until the word is executed; False when no final block held it in time."""
    deadline = time.monotonic() + EXECUTED_S
    while time.monotonic() < deadline:
        receipt = _read_receipt(url, action_id)
        if receipt["state"] == "executed":
            code = receipt["statuses"][0]["code"]
            if code not in SAID:
                raise ConfigError(f"the ledger refused it: {code}", fix=look)
            return True
        time.sleep(POLL_S)
    click.echo(f"no final block holds it after {EXECUTED_S} s; it may still come", err=True)
    return False


def _read_receipt(url: str, action_id: str) -> dict[str, Any]:
    try:
        receipt: dict[str, Any] = http.get(url, f"/v1/actions/{action_id}")
    except http.Refused:
        return {"state": "unknown"}  # no block holds it yet
    return receipt
