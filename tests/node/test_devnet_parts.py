"""The parts of a devnet that need no devnet: recordings, plans, invented trades, processes.

Spec: docs/reference/devnet.md. Deviations: none.
"""

from __future__ import annotations

import lzma
import signal
import sys
from pathlib import Path

import msgspec
import pytest

from devnet.folders import Folder
from devnet.plan import CHAIN_ID, MARKETS, make_plan
from devnet.ports import PortBlock, allocate_ports, take_ports
from devnet.processes import ProcessTable
from devnet.recorded import ReplayBook, read_recording
from devnet.start import Wishes, keep_made, prepare
from devnet.synthetic import SyntheticFlow
from exchange.actions import BUY, SELL
from node.network_file import dump_network
from primitives.errors import OperatorError

CSV = """seq,time_ns,op,order_id,side,price,qty_e8
1,5000000,LIMIT,9,B,100,3000
2,6000000,HIDDEN,10,B,100,3000
3,7999999,LIMIT,11,S,100,5
"""


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_recording_is_read_in_our_units(tmp_path: Path, is_packed: bool) -> None:
    if is_packed:
        (tmp_path / "events.csv.xz").write_bytes(lzma.compress(CSV.encode()))
    else:
        (tmp_path / "events.csv").write_text(CSV)
    first, second = read_recording(tmp_path)
    assert (first.time_ms, first.account, first.side, first.size) == (5, 1, BUY, 3)
    assert (second.time_ms, second.account, second.side, second.size) == (7, 3, SELL, 1)
    book = ReplayBook()
    assert not book.is_crossing(second)
    book.rest(first)
    assert book.is_crossing(second)
    assert book.remove(9) is first
    assert book.remove(9) is None
    assert not book.is_crossing(second)


@pytest.mark.parametrize("text", [None, "", "a,b,c\n"])
def test_a_folder_without_a_recording_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "events.csv").write_text(text)
    with pytest.raises(OperatorError) as caught:
        list(read_recording(tmp_path))
    assert caught.value.code == "DEV010"


def test_a_plan_follows_from_its_seed() -> None:
    def network(seed: int) -> bytes:
        plan = make_plan(
            validators=3,
            seed=seed,
            ports=PortBlock(base=20_000),
            genesis_time_ms=1_700_000_000_000,
            chain_id=CHAIN_ID,
        )
        assert len({validator.key.address for validator in plan.validators}) == 3
        return dump_network(plan.network)

    assert network(7) == network(7)
    assert network(7) != network(8)


def test_invented_trades_follow_from_the_seed_and_are_sane() -> None:
    one, two = SyntheticFlow(1, 0), SyntheticFlow(1, 0)
    for market in range(len(MARKETS)):
        for last in (None, 1, 100):
            quotes = one.next_quotes(market, last)
            assert quotes == two.next_quotes(market, last)
            bids = [quote.price for quote in quotes if quote.side == BUY]
            asks = [quote.price for quote in quotes if quote.side == SELL]
            assert 0 < min(bids) <= max(bids) < min(asks)
            take = one.next_take(market, last)
            assert take == two.next_take(market, last)
            assert take.price > 0
            assert take.size > 0


def test_only_the_process_that_was_started_is_signalled(tmp_path: Path) -> None:
    table = ProcessTable(tmp_path / "run", tmp_path / "logs")
    record = tmp_path / "run" / "v0.json"
    table.start("v0", (sys.executable, "-c", "import time; time.sleep(60)"), {})
    whole = record.read_bytes()
    try:
        fields = msgspec.json.decode(whole)
        record.write_bytes(msgspec.json.encode({**fields, "started": "1"}))
        assert not table.send("v0", signal.SIGTERM)
        record.write_bytes(b"{")
        assert not table.is_alive("v0")
        record.write_bytes(whole)
        assert table.is_alive("v0")
    finally:
        record.write_bytes(whole)
        assert table.kill("v0")
    assert not table.is_alive("v0")
    assert table.names() == ["v0"]
    table.finish("v0")
    assert table.names() == []


def test_two_devnets_of_one_process_get_different_ports():
    first, second = allocate_ports(4), allocate_ports(4)
    assert first.base != second.base
    assert take_ports(first, 4)  # the same devnet, started again


def test_options_that_are_left_away_go_on_with_what_the_devnet_was_made_of(tmp_path: Path):
    folder = Folder(tmp_path / "devnet")
    wishes = Wishes(validators=2, seed=9, epoch=48)
    assert keep_made(folder, wishes, {"validators"}) == wishes, "nothing is made yet"
    prepare(folder, wishes)
    again = keep_made(folder, Wishes(), {"validators", "seed", "evm", "epoch", "chains"})
    record, _ = prepare(folder, again)
    assert (record.validators, record.seed, record.epoch) == (2, 9, 48)
    with pytest.raises(OperatorError, match="2 validators"):
        prepare(folder, keep_made(folder, Wishes(validators=3), {"seed", "evm", "epoch", "chains"}))
