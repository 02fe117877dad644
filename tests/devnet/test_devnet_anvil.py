"""A devnet's anvil is one process: its kill ends the chain, its next start goes on with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts.chain.accounts import BALANCE_WEI, account_key
from contracts.chain.anvil import find_anvil, start_anvil
from contracts.rpc import HttpRpc
from contracts.rpc_values import data, parse_quantity
from devnet.anvil import restore_state
from primitives.errors import OperatorError, TransientError
from tests.devnet.local_devnet import PATIENCE_S
from tests.free_ports import free_port

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = [found] if (found := find_anvil()) else []
pytestmark = pytest.mark.processes


def start(port: int, place: Path) -> subprocess.Popen[bytes]:
    words = ("--port", str(port), "--data-dir", str(place), "--chain-id", "31337")
    return subprocess.Popen(
        [sys.executable, "-m", "devnet.anvil", *words, "--accounts", "2", "--seed", "5"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
    )


def height(rpc: HttpRpc) -> int:
    """Its newest block, as soon as it answers."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return parse_quantity(rpc.call("eth_blockNumber"))
        except TransientError:
            assert time.monotonic() < deadline, "anvil does not answer"
            time.sleep(0.1)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_kill_ends_the_chain_and_a_start_goes_on_with_it(tmp_path: Path, program: str) -> None:
    assert Path(program).is_file()
    port = free_port()
    rpc = HttpRpc(f"http://127.0.0.1:{port}")
    account = data(account_key(5, 1).address)
    chain = start(port, tmp_path)
    try:
        height(rpc)
        assert parse_quantity(rpc.call("eth_getBalance", account, "latest")) == BALANCE_WEI
        rpc.call("anvil_setBalance", account, "0x7")
        rpc.call("evm_mine")
        state = tmp_path / "anvil.json"
        written = state.stat().st_mtime_ns
        deadline = time.monotonic() + PATIENCE_S
        while state.stat().st_mtime_ns == written and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        chain.send_signal(signal.SIGTERM)
        chain.wait(PATIENCE_S)
    with pytest.raises(TransientError):
        rpc.call("eth_blockNumber")
    chain = start(port, tmp_path)
    try:
        assert height(rpc) >= 1
        assert parse_quantity(rpc.call("eth_getBalance", account, "latest")) == 7
    finally:
        chain.kill()
        chain.wait(PATIENCE_S)
    with pytest.raises(TransientError):
        rpc.call("eth_blockNumber")
    rpc.close()


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_it_keeps_of_old_blocks_goes_with_it(program: str) -> None:
    chain = start_anvil(chain_id=31337, block_ms=None, funded=())
    assert str(chain.states) in (Path("/proc") / str(chain.process.pid) / "cmdline").read_text()
    assert chain.states.is_dir()
    chain.stop()
    assert not chain.states.exists(), f"{program} leaves gigabytes behind"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_kill_in_the_middle_of_a_write_costs_seconds_only(tmp_path: Path, program: str) -> None:
    port = free_port()
    rpc = HttpRpc(f"http://127.0.0.1:{port}")
    account = data(account_key(5, 1).address)
    chain = start(port, tmp_path)
    state, copy = tmp_path / "anvil.json", tmp_path / "anvil.copy.json"
    try:
        height(rpc)
        rpc.call("anvil_setBalance", account, "0x7")
        set_at, deadline = time.time_ns(), time.monotonic() + PATIENCE_S
        while not copy.exists() or copy.stat().st_mtime_ns < set_at + 2_500_000_000:
            assert time.monotonic() < deadline, "no copy is kept"
            time.sleep(0.1)
    finally:
        chain.kill()
        chain.wait(PATIENCE_S)
    state.write_bytes(state.read_bytes()[:1_000])  # what a kill leaves in the worst moment
    chain = start(port, tmp_path)
    try:
        assert height(rpc) >= 1
        assert parse_quantity(rpc.call("eth_getBalance", account, "latest")) == 7
    finally:
        chain.kill()
        chain.wait(PATIENCE_S)
    for half in (state, copy):
        half.write_bytes(b"{")
    with pytest.raises(OperatorError, match="damaged"):
        restore_state(tmp_path)
    rpc.close()
