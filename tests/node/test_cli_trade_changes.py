"""The commands that change orders and approvals say exactly what was typed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from node.cli import http, trade_changes
from node.cli.trade_changes import approve, replace
from node.cli.trade_fees import allowance, fees

BUILDER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
TERMS = {
    "id": 1,
    "name": "WETH-USDX",
    "tick": "1",
    "lot": "100000000000000",
    "base": {"decimals": 18},
    "quote": {"decimals": 6},
}
FEES = {
    "tier": 1,
    "volume": "2000000",
    "volume_today": "7",
    "tiers": [{"volume": "1000000"}, {"volume": "5000000"}],
    "markets": [{"market": 1, "maker_fee_e8": 80_000, "taker_fee_e8": 190_000}],
}
ALLOWANCE = {
    "orders_per_market": 20_000,
    "actions_per_block": 2_048,
    "operations_per_hour": 100,
    "operations_left": 70,
    "cancels_left": 170,
}


class FakeTrader:
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    async def replace_waiting(self, *what: object, **legs: object) -> None:
        self.calls.append((*what, legs))

    async def approve_builder(self, builder: bytes, ppm: int) -> None:
        self.calls.append((builder, ppm))


@pytest.fixture
def trader(monkeypatch: pytest.MonkeyPatch) -> FakeTrader:
    import trio

    found = FakeTrader()

    def run(_context: object, *rest: Any) -> Any:
        return trio.run(rest[-1], found)

    monkeypatch.setattr(trade_changes, "with_trader", run)
    monkeypatch.setattr(trade_changes, "find_market", lambda *_: TERMS)
    return found


def test_a_waiting_order_gets_the_size_and_the_legs_that_were_typed(trader: FakeTrader) -> None:
    line = ["WETH-USDX", "4711", "0.5", "--below", "1950", "1930"]
    result = CliRunner().invoke(replace, line, obj=SimpleNamespace())
    assert result.exit_code == 0, result.output
    assert trader.calls == [(1, 4711, 5_000, {"above": (0, 0), "below": (195_000, 193_000)})]
    without = CliRunner().invoke(replace, line[:3], obj=SimpleNamespace())
    assert without.exit_code == 2
    assert len(trader.calls) == 1


def test_an_approval_names_builder_and_fee(trader: FakeTrader) -> None:
    result = CliRunner().invoke(approve, [BUILDER, "250"], obj=SimpleNamespace())
    assert result.exit_code == 0, result.output
    assert trader.calls == [(bytes.fromhex(BUILDER[2:]), 250)]
    assert "up to 250 ppm" in result.output
    assert CliRunner().invoke(approve, [BUILDER, "10001"]).exit_code == 2


def test_fees_and_allowance_are_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_url: str, path: str, **_query: object) -> Any:
        if path == "/v1/markets":
            return {"markets": [{"id": 1, "name": "WETH-USDX"}]}
        assert BUILDER in path
        return FEES if path.endswith("/fees") else ALLOWANCE

    monkeypatch.setattr(http, "get", answer)
    context = SimpleNamespace(find_url=lambda: "http://node", data=None)
    told = CliRunner().invoke(fees, ["--account", BUILDER], obj=context)
    assert told.exit_code == 0, told.output
    assert "tier 2 from 5,000,000" in told.output
    assert "0.0800 %" in told.output
    assert "0.1900 %" in told.output
    told = CliRunner().invoke(allowance, ["--account", BUILDER], obj=context)
    assert told.exit_code == 0, told.output
    assert "70 of 100 left" in told.output
