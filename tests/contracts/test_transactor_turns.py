"""Programs that send from one key at once: each transaction happens once, and none is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.chain.accounts import account_key
from contracts.outbox import open_outbox
from contracts.rpc import HttpRpc
from contracts.rpc_values import data, parse_quantity
from contracts.transactor import Transactor
from contracts.turns import take_turn
from primitives.errors import TransientError

CHAIN_ID = 31337
KEY = account_key(3, 0)
TO = b"\x44" * 20
SENDS = 5

SENDER = """
import sys
from pathlib import Path
from contracts.chain.accounts import account_key
from contracts.outbox import open_outbox
from contracts.rpc import HttpRpc
from contracts.transactor import Transactor
url, folder, wei, times = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
key = account_key(3, 0)
outbox = open_outbox(folder, 31337, key.address)
transactor = Transactor(HttpRpc(url), key, chain_id=31337, outbox=outbox, poll_seconds=0.02)
for _ in range(times):
    assert transactor.send(b"\\x44" * 20, b"", gas=21_000, value=wei).succeeded
"""

HOLDER = """
import sys, threading, time
from pathlib import Path
from contracts.turns import take_turn
with take_turn(Path(sys.argv[1]), threading.Event()):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def rpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRpc]:
    """A chain of its own process, with a block every tenth of a second."""
    place = str(tmp_path_factory.mktemp("chain"))
    command = [sys.executable, "-m", "contracts.chain", "--data-dir", place, "--seed", "3"]
    with subprocess.Popen([*command, "--block-ms", "100"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        connection = HttpRpc(ready["rpc"])
        yield connection
        connection.close()
        process.terminate()


def received(rpc: HttpRpc) -> int:
    return parse_quantity(rpc.call("eth_getBalance", data(TO), "latest"))


@pytest.mark.parametrize("place", ["node/outbox", "elsewhere/outbox"])
def test_two_processes_send_from_one_key(rpc: HttpRpc, tmp_path: Path, place: str) -> None:
    """The second one takes turns with the first, or knows nothing of it."""
    before = received(rpc)
    folders = ("node/wallet", place)
    senders = [
        subprocess.Popen(
            [sys.executable, "-c", SENDER, rpc.url, str(tmp_path / folder), str(wei), str(SENDS)],
            stderr=subprocess.PIPE,
        )
        for folder, wei in zip(folders, (1, 1_000), strict=True)
    ]
    for sender in senders:
        problems = sender.communicate(timeout=120)[1]
        assert sender.returncode == 0, problems.decode()
    assert received(rpc) - before == SENDS * 1_001
    for folder in folders:
        assert open_outbox(tmp_path / folder, CHAIN_ID, KEY.address).load() is None


def test_a_turn_ends_with_the_process_that_has_it(rpc: HttpRpc, tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path / "wallet", CHAIN_ID, KEY.address)
    lock = tmp_path / f"{CHAIN_ID}-{KEY.address.hex()}.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (
            pytest.raises(TransientError, match="sending for long"),
            take_turn(lock, threading.Event(), seconds_max=0),
        ):
            raise AssertionError("two have their turn")
        stop = threading.Event()
        stop.set()
        with pytest.raises(TransientError, match="stopped"), take_turn(lock, stop):
            raise AssertionError("two have their turn")
        holder.kill()
    sender = Transactor(rpc, KEY, chain_id=CHAIN_ID, outbox=outbox, poll_seconds=0.02)
    assert sender.send(TO, b"", gas=21_000, value=1).succeeded


def test_a_contract_can_be_created(rpc: HttpRpc, tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path / "wallet", CHAIN_ID, KEY.address)
    sender = Transactor(rpc, KEY, chain_id=CHAIN_ID, outbox=outbox, poll_seconds=0.02)
    receipt = sender.send(None, bytes.fromhex("60006000f3"), gas=100_000)
    assert receipt.succeeded
