"""The replay of recorded order flow: complete sets pass, altered ones are found."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.orderflow import main, replay_directory

EVENTS = """\
seq,ts_ns,op,order_id,side,price_e2,qty,src
1,1,SEED,1,S,101,5,0
2,1,SEED,2,S,101,4,0
3,1,SEED,3,B,99,6,0
4,2,LIMIT,4,B,100,2,0
5,3,IOC,0,B,101,7,0
6,4,REDUCE,2,S,101,1,0
7,5,AMEND,3,B,100,6,0
8,6,HIDDEN,0,,0,0,0
9,7,FORCED,4,B,100,1,0
10,8,LIMIT,5,S,100,9,0
11,9,CANCEL,5,S,100,2,0
"""
FILLS = """\
seq,n,maker_id,taker_id,price_e2,qty
5,0,1,0,101,5
5,1,2,0,101,2
10,0,4,5,100,1
10,1,3,5,100,6
"""
BBO = """\
seq,ask_px_e2,ask_sz,bid_px_e2,bid_sz
4,101,9,100,2
5,101,2,100,2
7,101,1,100,8
10,100,2,,
11,101,1,,
"""
BOOK = """\
seq,ts_ms,match_seq,bid_px1,bid_qty1,bid_px2,bid_qty2,ask_px1,ask_qty1,ask_px2,ask_qty2
1,1,4,100,2,99,6,101,9,,
1,1,6,100,2,99,6,101,1,,
"""


def write(
    folder: Path, *, events: str = EVENTS, fills: str = FILLS, bbo: str = BBO, book: str = BOOK
) -> Path:
    """Write a set; an empty text leaves the file out; the book is compressed."""
    for name, text in (("events.csv", events), ("fills.csv", fills), ("bbo.csv", bbo)):
        if text:
            (folder / name).write_text(text)
    if book:
        (folder / "book20.csv.xz").write_bytes(lzma.compress(book.encode()))
    return folder


def test_right_set_scores_all_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(write(tmp_path))]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["events"], report["fills_expected"], report["fills_equal"]) == (11, 4, 4)
    assert (report["book_rows"], report["book_rows_equal"]) == (7, 7)
    assert report["events_per_second"] > 0
    assert int(report["fees"]) > 0


def test_command_line_exit_codes(tmp_path: Path) -> None:
    good = write(tmp_path)
    command = [sys.executable, "-m", "bench.orderflow", str(good)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["fills_equal"] == 4
    os.remove(good / "events.csv")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    assert main([]) == 2


def altered_rows() -> list[tuple[str, str]]:
    """Each file with one number of one row changed, and each with one row left out."""
    found = []
    for name, text in (("fills", FILLS), ("bbo", BBO), ("book", BOOK)):
        head, *rows = text.splitlines()
        for i, row in enumerate(rows):
            cells = row.split(",")
            cells[3] += "1"
            lines = [head, *rows[:i], ",".join(cells), *rows[i + 1 :]]
            found.append((name, "\n".join(lines) + "\n"))
            if name == "fills":
                found.append((name, "\n".join([head, *rows[:i], *rows[i + 1 :]]) + "\n"))
    return found


@pytest.mark.parametrize(("name", "text"), altered_rows())
def test_one_altered_row_fails(tmp_path: Path, name: str, text: str) -> None:
    assert main([str(write(tmp_path, **{name: text}))]) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("5,3,IOC,0,B,101,7,0", "5,3,IOC,0,B,101,6,0"),
        ("11,9,CANCEL,5,S,100,2,0", "11,9,CANCEL,5,S,100,3,0"),
        ("11,9,CANCEL,5,S,100,2,0", "11,9,CANCEL,77,S,100,3,0"),
        ("2,1,SEED,2,S,101,4,0", "2,1,SEED,2,S,98,4,0"),
        ("4,2,LIMIT,4,B,100,2,0", "4,2,TELEPORT,4,B,100,2,0"),
        ("4,2,LIMIT,4,B,100,2,0", "4,2,LIMIT,4,B,hundred,2,0"),
        ("4,2,LIMIT,4,B,100,2,0", "4,2,LIMIT"),
    ],
)
def test_altered_events_fail(tmp_path: Path, old: str, new: str) -> None:
    assert old in EVENTS
    assert main([str(write(tmp_path, events=EVENTS.replace(old, new)))]) == 1


def test_no_truth_no_events_and_empty_files_fail(tmp_path: Path) -> None:
    cases = {
        "no truth": {"fills": "", "bbo": "", "book": ""},
        "no events": {"events": ""},
        "empty events": {"events": EVENTS.splitlines()[0] + "\n"},
        "empty truth": {"fills": FILLS.splitlines()[0] + "\n", "bbo": "", "book": ""},
        "no levels": {"book": "seq,nothing\n4,5\n"},
        "not a number": {"fills": FILLS.replace("5,0,1,0,101,5", "5,0,one,0,101,5")},
    }
    for name, change in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        assert main([str(write(folder, **change))]) == 1, name
    (tmp_path / "events.csv.xz").write_bytes(b"not compressed")
    assert main([str(tmp_path)]) == 1
    assert main([str(tmp_path / "nowhere")]) == 1


def test_truth_is_opened_after_the_engine_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench import orderflow, orderflow_truth

    done = []
    run = orderflow.Replay.run
    read = orderflow_truth.read_rows
    monkeypatch.setattr(orderflow.Replay, "run", lambda self: (run(self), done.append(1))[0])

    def read_after(path: Path) -> object:
        assert done, "a truth file was opened before the engine had run"
        return read(path)

    monkeypatch.setattr(orderflow_truth, "read_rows", read_after)
    assert replay_directory(write(tmp_path))[1]


@pytest.mark.data
@pytest.mark.parametrize("name", ["bitstamp_btcusd", "lobster_aapl", "cme_es_mbo"])
def test_recorded_flow_scores_everything(data_dir: Path, name: str) -> None:
    report, good = replay_directory(data_dir / name)
    assert good, report


MESSAGES = """\
ts_event,action,side,price,size,order_id,sequence
t1,R,N,,0,0,0
t2,A,A,1.01,5,1,1
t3,A,A,1.01,4,2,2
t4,A,B,1.00,6,3,3
t5,C,A,1.01,1,2,4
t6,T,B,1.01,5,0,5
t6,F,A,1.01,5,1,5
t6,C,A,1.01,5,1,5
t7,C,B,1.00,6,3,6
"""


def write_market_by_order(folder: Path, messages: str = MESSAGES) -> Path:
    """A recording in the vendor's format with the levels after each of its rows."""
    names = ",".join(
        f"{s}_{k}_{i:02}" for i in range(10) for s in ("ask", "bid") for k in ("px", "sz")
    )
    levels = {
        "t3,2,A,A,1.01": "1.01,9,,0",
        "t5,4,C,A,1.01": "1.01,8,1.00,6",
        "t6,5,F,A,1.01": "1.01,3,1.00,6",
        "t7,6,C,B,1.00": "1.01,3,,0",
    }
    rows = [f"{key},{best}" + ",,0,,0" * 9 for key, best in levels.items()]
    text = "\n".join([f"ts_event,sequence,action,side,price,{names}", *rows]) + "\n"
    (folder / "mbo.csv.xz").write_bytes(lzma.compress(messages.encode()))
    (folder / "mbp10.csv.xz").write_bytes(lzma.compress(text.encode()))
    return folder


def test_market_by_order_recording_is_converted_and_compared(tmp_path: Path) -> None:
    report, good = replay_directory(write_market_by_order(tmp_path))
    assert good, report
    assert (report["fills_equal"], report["book_rows_equal"]) == (1, 4)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("t6,F,A,1.01,5,1,5\nt6,C,A,1.01,5,1,5", "t6,F,A,1.01,3,2,5\nt6,C,A,1.01,3,2,5"),
        ("t5,C,A,1.01,1,2,4", "t5,C,A,1.01,2,2,4"),
        ("t5,C,A,1.01,1,2,4", "t5,C,A,1.01,1,9,4"),
        ("t3,A,A,1.01,4,2,2", "t3,A,A,1.01,much,2,2"),
    ],
)
def test_altered_market_by_order_recording_fails(tmp_path: Path, old: str, new: str) -> None:
    assert old in MESSAGES
    assert main([str(write_market_by_order(tmp_path, MESSAGES.replace(old, new)))]) == 1


@pytest.mark.data
def test_market_by_order_of_a_whole_day(data_dir: Path) -> None:
    report, good = replay_directory(data_dir / "databento_arl_mbo")
    assert good, report
    assert report["fills_equal"] == 11
    assert report["book_rows_equal"] == 3_916


@pytest.mark.data
def test_self_match_prevention_of_a_real_venue(data_dir: Path, tmp_path: Path) -> None:
    """Without the venue's own cancels, our self-trade prevention gives the same fills."""
    import csv

    folder = data_dir / "cme_es_mbo"
    with (folder / "smp.csv").open() as file:
        rows = list(csv.DictReader(file))
    owners = {int(row[c]): int(row["group"]) for row in rows for c in ("maker_id", "taker_id")}
    dropped = {int(row["cancel_seq"]) for row in rows if row["reached"] == "1"}
    from bench.orderflow import UNNAMED_ORDER, Replay
    from bench.orderflow_data import read_events
    from bench.orderflow_truth import compare_fills
    from exchange.operations import STP_OLDEST

    events = [event for event in read_events(folder) if event.seq not in dropped]
    replay = Replay(events)
    for order_id, owner in owners.items():
        if order_id in replay.traders and owner in replay.traders:
            replay.traders[order_id] = replay.traders[owner]
    make = replay._make_order

    def with_prevention(event, tif):  # type: ignore[no-untyped-def]
        order = make(event, tif)
        order.stp = STP_OLDEST
        return order

    replay._make_order = with_prevention  # type: ignore[method-assign]
    assert UNNAMED_ORDER not in owners
    recording = replay.run()
    fills = compare_fills(folder, recording.fills)
    assert fills.is_met, fills
    assert len(dropped) > 50
    assert tmp_path.is_dir()
