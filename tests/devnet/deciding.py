"""Approve and bring decisions about a vault as operators do, whatever the vault's epoch does.

Rule: a command may say that signatures are missing, for at each border the nodes sign again within
half a minute; whatever else it says is a failure.
Spec: docs/how-to/decide.md. Deviations: none.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

from tests.devnet.local_devnet import LocalDevnet

NOT_YET = ("have signed it", "open decisions begin with")
"""What `approve` and `submit` say when a border has voided signatures that come again."""

Ran = subprocess.CompletedProcess[str]


def approve(devnet: LocalDevnet, command: Callable[[], Ran]) -> dict[str, Any]:
    """Repeat `decision approve` until the node has heard of the decision."""
    return devnet.until(lambda: read(command()), "the decision is heard of")


def bring(devnet: LocalDevnet, command: Callable[[], Ran]) -> dict[str, Any]:
    """Repeat `decision submit` until enough have signed in one epoch."""
    return devnet.until(lambda: read(command()), "enough have signed in one epoch")


def read(done: Ran) -> dict[str, Any] | None:
    """Return what a command printed as JSON, None when it may be typed again."""
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    assert any(words in done.stderr for words in NOT_YET), done.stderr
    return None
