"""What a crash, a full disk and a disk that refuses leave behind."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from primitives.cid import Cid
from primitives.errors import OperatorError, TransientError
from storage.block_store import CACHE, SNAPSHOT, BlockStore
from storage.chain_reader import ChainReader
from storage.chain_store import ChainStore
from storage.database import name_failure
from storage.schema import CHAIN_MIGRATIONS
from storage.snapshots import Snapshots
from tests.storage.chain_records import NETWORK, make_executed, make_fill, make_final

ROOT = Path(__file__).parents[2]
KILLS = 6


def run_and_kill(folder, seconds):
    """Let the writer work for a while, kill it, and return the last heights it had committed."""
    command = [sys.executable, "-m", "tests.storage.crashing_writer", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(seconds)  # how long the victim lives is the experiment, not a synchronisation
    process.send_signal(signal.SIGKILL)
    lines = process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    whole = [line.split() for line in lines if len(line.split()) == 2]
    return (int(whole[-1][0]), int(whole[-1][1])) if whole else (0, 0)


def check_consistent(folder, promised):
    store = ChainStore(folder / "chain.sqlite", NETWORK)
    assert store.read.is_sound()
    final, executed = promised
    assert final <= store.final_height <= final + 1
    assert executed <= store.executed_height <= executed + 1
    check_contents(store)
    store.close()
    blocks = BlockStore(folder / "blocks.sqlite", {SNAPSHOT: 32 << 20})
    snapshots = Snapshots(blocks)
    for name in snapshots.complete():
        assert snapshots.verify(name.cid).height == name.height
    blocks.close()


def check_contents(store):
    """Every height that is there is there completely."""
    oldest = store.read.oldest_height() or 1
    for height in range(oldest, store.final_height + 1):
        block = store.read.block(height)
        assert block is not None
        assert block.encoded == make_final(height).encoded
        for digest in block.bundles:
            assert store.read.bundle(digest).data is not None
    expected = [
        make_fill(height, number)
        for height in range(oldest, store.executed_height + 1)
        for number in range(30)
    ]
    stored = []
    while page := store.read.fills_after(stored[-1].id if stored else 0):
        stored += page
    assert [fill.fill for fill in stored] == expected
    assert stored[-1].id == store.last_fill_id == 30 * store.executed_height
    days = store.read.candles(0, 86_400_000) + store.read.candles(1, 86_400_000)
    assert sum(candle.trades for candle in days) == 30 * store.executed_height
    check_events(store)


def check_events(store):
    """No account's events have a gap or come twice, whenever the writer was killed."""
    expected: dict[bytes, int] = {}
    for height in range(1, store.executed_height + 1):
        for batch in make_executed(height, fills=30).events:
            expected[batch.address] = batch.first + batch.count - 1
    for owner, newest in expected.items():
        assert store.read.account_seq(owner) == newest
        at = store.read.oldest_event(owner) - 1
        while page := store.read.account_events(owner, after=at):
            assert page[0].first == at + 1
            at = page[-1].last
        assert at == newest


def test_kill_at_any_moment_leaves_whole_heights_only(tmp_path, soak):
    r = random.Random(5)
    last = (0, 0)
    for _ in range(KILLS * soak):
        promised = run_and_kill(tmp_path, r.uniform(0.02, 0.5))
        last = max(last, promised)
        check_consistent(tmp_path, last)
    assert last[1] > 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chain.sqlite"


def test_full_disk_refuses_the_write_and_keeps_the_rest(path):
    store = ChainStore(path, NETWORK)
    store.write_final(make_final(1))
    store.write_executed(make_executed(1))
    pages = store.database.conn.execute("PRAGMA page_count").fetchone()[0]
    store.database.conn.execute(f"PRAGMA max_page_count={pages + 4}")
    with pytest.raises(TransientError, match="disk full"):
        write_finals(store, 1_000)
    with pytest.raises(TransientError, match="disk full"):
        store.write_executed(make_executed(2, fills=5_000, first_fill=5))
    height = store.final_height
    assert store.read.latest_final_height() == height
    assert (store.executed_height, store.last_fill_id) == (1, 4)
    assert len(store.read.fills_after(0)) == 4
    reader = ChainReader.open(path)
    assert reader.latest_executed().height == 1
    reader.close()

    store.database.conn.execute("PRAGMA max_page_count=1000000")  # space was made
    store.write_final(make_final(height + 1, bundles=8))
    assert store.write_executed(make_executed(2, fills=5_000, first_fill=5))
    assert store.last_fill_id == 5_004
    assert store.read.is_sound()
    store.close()


def write_finals(store, count):
    for _ in range(count):
        store.write_final(make_final(store.final_height + 1, bundles=8))


def test_file_size_limit_is_a_disk_error_and_nothing_is_lost(path):
    store = ChainStore(path, NETWORK)
    for height in range(1, 6):
        store.write_final(make_final(height))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 65_536, hard))
    try:
        with pytest.raises(TransientError, match="disk") as caught:
            write_finals(store, 400)
        assert str(path) in str(caught.value)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    height = store.final_height
    assert height >= 5
    store.write_final(make_final(height + 1))
    assert [b.height for b in store.read.blocks(limit=3)] == [height + 1, height, height - 1]
    store.close()
    again = ChainStore(path, NETWORK)
    assert again.final_height == height + 1
    assert again.read.is_sound()
    again.close()


def test_full_disk_does_not_confuse_the_block_store(tmp_path):
    store = BlockStore(tmp_path / "blocks.sqlite", {CACHE: 64 << 20})
    kept = Cid.raw(b"kept")
    store.put(kept, b"kept", CACHE, pin="keep")
    pages = store._database.conn.execute("PRAGMA page_count").fetchone()[0]
    store._database.conn.execute(f"PRAGMA max_page_count={pages + 2}")
    big = os.urandom(1 << 20)
    with pytest.raises(TransientError, match="disk full"):
        store.put(Cid.raw(big), big, CACHE)
    assert not store.has(Cid.raw(big))
    assert store.used_bytes(CACHE) == 4
    store._database.conn.execute("PRAGMA max_page_count=1000000")
    store.put(Cid.raw(big), big, CACHE)
    assert (store.get(kept), store.get(Cid.raw(big))) == (b"kept", big)
    store.close()


def test_read_only_database_is_the_operators(path):
    store = ChainStore(path, NETWORK)
    store.write_final(make_final(1))
    store.database.conn.execute("PRAGMA query_only=ON")
    with pytest.raises(OperatorError, match="cannot be written") as caught:
        store.write_final(make_final(2))
    assert (caught.value.code, caught.value.exit_code) == ("DSK004", 15)
    assert "read-write" in caught.value.fix
    assert store.final_height == 1
    store.database.conn.execute("PRAGMA query_only=OFF")
    store.write_final(make_final(2))
    store.close()


def test_folder_that_does_not_exist_is_the_operators(tmp_path):
    with pytest.raises(OperatorError, match="cannot be written"):
        ChainStore(tmp_path / "nowhere" / "chain.sqlite", NETWORK)
    with pytest.raises(OperatorError, match="cannot be written"):
        ChainStore(tmp_path, NETWORK)


def test_other_writer_is_waited_for_then_named(path, monkeypatch):
    monkeypatch.setattr("storage.limits.BUSY_TIMEOUT_MS", 10)
    store = ChainStore(path, NETWORK)
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TransientError, match="busy"):
        store.write_final(make_final(1))
    other.rollback()
    other.close()
    store.write_final(make_final(1))
    store.close()


def test_unknown_failure_is_worth_another_try():
    assert isinstance(name_failure(sqlite3.OperationalError("odd"), "x"), TransientError)


def test_sync_is_a_commit_with_an_fsync_even_beside_a_reader(path):
    store = ChainStore(path, NETWORK)
    store.write_final(make_final(1))
    reader = ChainReader.open(path)
    reader._database.conn.execute("BEGIN")
    assert reader.latest_final_height() == 1
    log = path.with_name(path.name + "-wal")
    size, said = log.stat().st_size, []
    store.database.conn.set_trace_callback(said.append)
    store.sync()
    assert [one for one in said if "=" in one or one == "COMMIT"] == [
        "PRAGMA synchronous=FULL",
        f"PRAGMA user_version={len(CHAIN_MIGRATIONS)}",
        "COMMIT",
        "PRAGMA synchronous=NORMAL",
    ]
    assert log.stat().st_size > size, "a commit without a page is none, and syncs nothing"
    reader.close()
    store.close()


def test_sync_that_fails_is_worth_another_try(path):
    store = ChainStore(path, NETWORK)
    size = path.with_name(path.name + "-wal").stat().st_size
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(TransientError, match="disk"):
            store.sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    store.sync()
    assert store.database.execute("PRAGMA synchronous").fetchone()[0] == 1
    store.close()


LOOK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*connection.execute(sys.argv[2]))
connection.close()
"""


def test_who_looks_into_the_file_after_a_sync_takes_nothing_away(path):
    """Closing the file beside SQLite drops its locks: another program then deleted the log."""
    store = ChainStore(path, NETWORK)
    store.write_final(make_final(1))
    store.sync()
    question = "SELECT max(height) FROM blocks"
    looked = subprocess.check_output([sys.executable, "-c", LOOK, str(path), question], text=True)
    assert looked == "(1,)\n"
    store.write_final(make_final(2))
    reader = ChainReader.open(path)
    assert reader.latest_final_height() == 2
    reader.close()
    store.close()
    again = ChainStore(path, NETWORK)
    assert again.final_height == 2
    again.close()
