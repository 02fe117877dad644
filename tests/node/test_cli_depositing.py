"""A deposit that cannot be paid is refused before anything is signed, with the figures."""

from __future__ import annotations

from typing import Any

import pytest

from node.cli.depositing import verify_holding
from primitives.errors import OperatorError

USDX: dict[str, Any] = {"symbol": "USDX", "decimals": 6, "chain_id": 31337}


def test_what_the_wallet_holds_and_what_is_needed_are_told() -> None:
    with pytest.raises(
        OperatorError, match=r"holds 1\.5 USDX on chain 31337; the deposit needs 2"
    ) as told:
        verify_holding(b"o" * 20, 1_500_000, 2_000_000, USDX)
    assert told.value.code == "EVM011"
    assert "nothing was deposited" in told.value.risk


def test_enough_is_enough() -> None:
    verify_holding(b"o" * 20, 2_000_000, 2_000_000, USDX)
