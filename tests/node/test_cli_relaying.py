"""A fee is promised by whom the withdrawal is paid to, out of it, or by nobody."""

from __future__ import annotations

from typing import Any

import click
import pytest

from node.cli.relaying import verify_fee
from primitives.errors import OperatorError

OWNER = b"\xab" * 20
PROOF: dict[str, Any] = {"index": 3, "to": "0x" + "Ab" * 20, "amount": "500"}


def test_the_receiver_promises_less_than_there_is() -> None:
    verify_fee(PROOF, 499, OWNER)
    with pytest.raises(click.UsageError, match="must be less"):
        verify_fee(PROOF, 500, OWNER)


def test_nobody_else_promises() -> None:
    with pytest.raises(OperatorError, match="only that key") as told:
        verify_fee(PROOF, 1, b"\1" * 20)
    assert "stays valid" in told.value.risk
