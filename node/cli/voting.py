"""Sign a validator's word on a decision of the committee and send it.

Rule: the key is the configured validator's; the node only carries the word.
Spec: docs/spec/markets.md; docs/spec/upgrades.md. Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from node.cli import http
from node.cli.context import Context
from primitives.errors import ConfigError

password_option = click.option(
    "--password-file", type=click.Path(path_type=Path), help="Password of the key."
)


def send_vote(
    context: Context, operation: Any, password_file: Path | None, *, look: str
) -> dict[str, Any]:
    """Sign and send an operation; return the node's answer. Raises OperatorError."""
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
    return results[0]
