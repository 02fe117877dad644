"""What the devnet prints for people is in whole units and can be typed as it stands.

Rule: no devnet runs here.
Spec: docs/reference/devnet.md (Output, Status). Deviations: none.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from devnet.folders import Folder, Record
from devnet.show import print_status, run_live_line
from devnet.status import (
    DevnetStatus,
    FeeShares,
    MarketStatus,
    SettlementStatus,
    ValidatorStatus,
)
from node.cli.context import name_program

SHARES = {"total": "1000001", "validators": "700001", "company": "200000", "development": "100000"}


def make_status(decimals: int | None) -> DevnetStatus:
    market = MarketStatus(
        id=0, name="A-B", orders=1, trades=2, best_bid=5, best_ask=None, bid="0.5", ask=None
    )
    fees = {"USDX": FeeShares(decimals=decimals, **SHARES)}
    settled = SettlementStatus(checkpoints=1, height=9, state_root=None, fees=fees)
    return DevnetStatus(
        validators=(), chain={}, markets=(market,), settlement=settled, chat={"messages": 0}
    )


def test_prices_and_fees_are_in_whole_units(capsys: pytest.CaptureFixture[str]):
    print_status(make_status(6))
    printed = capsys.readouterr().out
    assert "USDX 1.000001 = 0.700001 validators + 0.2 company + 0.1 development" in printed
    assert "A-B" in printed
    assert " 0.5 " in printed


def test_fees_of_a_token_without_market_are_in_atoms(capsys: pytest.CaptureFixture[str]):
    print_status(make_status(None))
    assert "USDX 1000001 atoms = 700001 validators" in capsys.readouterr().out


def test_too_few_validators_are_named_with_what_starts_them(capsys: pytest.CaptureFixture[str]):
    rows = tuple(
        ValidatorStatus(
            name=f"v{i}", api="", pid=1, ready=i > 1, paused=False, height=1,
            final=1 if i > 1 else None, executed=1, state_root=None, peers=1,
        )
        for i in range(4)
    )  # fmt: skip
    print_status(msgspec.structs.replace(make_status(6), validators=rows))
    printed = capsys.readouterr().out
    assert "2 of 4 validators answer, 3 are needed" in printed
    assert "devnet start v0 v1" in printed


def test_the_live_line_ends_when_the_devnet_is_taken_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    record = Record(
        validators=1, traders=0, seed=1, evm="embedded", rpc="", chain_id=1, port_base=1,
        genesis_time_ms=0,
    )  # fmt: skip
    run_live_line(Folder(tmp_path), record, quiet=False)
    assert capsys.readouterr().out == "taken down\n"


def test_the_program_is_named_as_it_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    program = tmp_path / "bin" / "omnibazaar"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(program), "devnet", "up"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert name_program() == "bin/omnibazaar"
    monkeypatch.setenv("PATH", str(program.parent))
    assert name_program() == "omnibazaar"
    monkeypatch.setattr(sys, "argv", ["/elsewhere/pytest"])
    assert name_program() == "omnibazaar"


def test_a_command_answers_without_loading_what_talks_to_chains_and_peers():
    """They cost seconds, and status, down and the faults need none of it."""
    code = (
        "import sys, devnet.cli;"
        "sys.exit(any(name.split('.')[0] in ('web3', 'eth', 'eth_account', 'libp2p', 'httpx')"
        " for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0
