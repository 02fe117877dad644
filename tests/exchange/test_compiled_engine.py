"""The compiled exchange gives the bytes of the interpreted one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.compiled import ROOT, compare
from bench.orderflow_data import read_events
from bench.recorded_flows import record_events, record_mix
from bench.recording import Recording, load_block, read_recording, record_block, write_recording
from tests.exchange.test_exchange_chaos import digest, run
from tests.exchange.test_markets_listed_random import digest as listed
from tests.exchange.test_orderflow_replay import EVENTS

SEEDS = 4
CHAOS = f"""
import json
from node.version import describe_engine
from tests.exchange.test_exchange_chaos import digest
from tests.exchange.test_markets_listed_random import digest as listed
print(json.dumps([describe_engine(), [digest(n) for n in range({SEEDS})], [listed(1)]]))
"""


def check(engine: Path, recording: Recording, folder: Path) -> None:
    file = folder / "flow.recording"
    write_recording(recording, file)
    report = compare(engine, file)
    assert report["roots_equal"], report
    assert report["blocks"] == len(recording.blocks) > 0


def test_recordings_are_read_back_as_written(tmp_path: Path) -> None:
    """Also actions that could not be decoded, and what they were refused for."""
    recording = record_mix(3, 40)
    write_recording(recording, tmp_path / "a")
    again = read_recording(tmp_path / "a")
    assert again == recording
    assert list(again.replay()) == list(recording.replay())
    _, inputs, _ = run(2, 12)
    for block in inputs:
        assert record_block(load_block(record_block(block))) == record_block(block)


@pytest.mark.compiler
def test_compiled_engine_gives_every_root_of_a_mixed_flow(
    compiled_engine: Path, tmp_path: Path
) -> None:
    check(compiled_engine, record_mix(12, 300), tmp_path)


@pytest.mark.compiler
def test_compiled_engine_gives_every_root_of_a_small_venue(
    compiled_engine: Path, tmp_path: Path
) -> None:
    (tmp_path / "events.csv").write_text(EVENTS)
    check(compiled_engine, record_events(read_events(tmp_path)), tmp_path)


@pytest.mark.compiler
@pytest.mark.data
@pytest.mark.parametrize("name", ["bitstamp_btcusd", "lobster_aapl", "cme_es_mbo"])
def test_compiled_engine_gives_every_root_of_recorded_flow(
    compiled_engine: Path, data_dir: Path, tmp_path: Path, name: str
) -> None:
    check(compiled_engine, record_events(read_events(data_dir / name)[:6_000]), tmp_path)


@pytest.mark.compiler
def test_compiled_engine_gives_the_bytes_of_everything_traders_send(compiled_engine: Path) -> None:
    """Outcomes, receipts and snapshots of all operations, good and bad, in three market modes."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(compiled_engine), str(ROOT))),
        "PYTHONSAFEPATH": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", CHAOS], env=environment, capture_output=True, text=True, check=True
    )
    expected = [[digest(seed) for seed in range(SEEDS)], [listed(1)]]
    assert json.loads(done.stdout) == ["compiled", *expected]
