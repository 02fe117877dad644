"""What was acknowledged is found again, what was not may be missing, and nothing is invented.

Rule: a crash is a file cut at any byte; a full disk is an `os.write` that stops half-way.
Spec: docs/spec/wire-consensus.md (Journal). Deviations: none.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.journal import HEAD_BYTES
from node.segment_log import SEGMENT_SUFFIX, LogScan, SegmentLog

RECORDS = (b"first", b"", b"the third", bytes(range(256)))
payloads = st.binary(max_size=64)


def segment(folder: Path, number: int = 1) -> Path:
    return folder / f"{number:08d}{SEGMENT_SUFFIX}"


def opened(folder: Path) -> SegmentLog:
    log = SegmentLog(folder)
    log.open()
    return log


def scan(folder: Path) -> LogScan:
    log = SegmentLog(folder)
    found = log.open()
    log.close()
    return found


def write(folder: Path, records, *, each_durable: bool = False) -> None:
    log = opened(folder)
    for record in records:
        log.append(record)
        if each_durable:
            log.sync()
    log.close()


def test_what_was_synced_is_read_again_in_order(tmp_path: Path) -> None:
    write(tmp_path, RECORDS[:2])
    write(tmp_path, RECORDS[2:])
    assert scan(tmp_path) == LogScan(records=RECORDS, torn_bytes=0, is_damaged=False)
    assert segment(tmp_path).stat().st_mode & 0o077 == 0


def test_a_new_log_is_empty(tmp_path: Path) -> None:
    assert scan(tmp_path / "new") == LogScan(records=(), torn_bytes=0, is_damaged=False)


@pytest.mark.parametrize("each_durable", [False, True])
def test_a_tail_cut_at_any_byte_loses_only_the_record_it_cuts(
    tmp_path: Path, each_durable: bool
) -> None:
    write(tmp_path, RECORDS, each_durable=each_durable)
    whole = segment(tmp_path).read_bytes()
    ends = [0]
    for record in RECORDS:
        ends.append(ends[-1] + HEAD_BYTES + len(record))
    for cut in range(len(whole) + 1):
        segment(tmp_path).write_bytes(whole[:cut])
        found = scan(tmp_path)
        intact = sum(end <= cut for end in ends) - 1
        assert found.records == RECORDS[:intact]
        assert found.torn_bytes == cut - ends[intact]
        assert not found.is_damaged
        assert segment(tmp_path).stat().st_size == ends[intact]


def test_after_a_torn_tail_the_log_goes_on(tmp_path: Path) -> None:
    write(tmp_path, RECORDS)
    path = segment(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    write(tmp_path, (b"again",))
    found = scan(tmp_path)
    assert (found.records, found.torn_bytes) == ((*RECORDS[:3], b"again"), 0)


def test_queued_records_reach_the_file_at_a_flush_only(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(b"queued")
    assert segment(tmp_path).stat().st_size == 0
    log.flush()
    assert segment(tmp_path).stat().st_size == log.size_bytes == HEAD_BYTES + len(b"queued")
    log.close()


def test_damage_inside_acknowledged_data_is_reported(tmp_path: Path) -> None:
    write(tmp_path, RECORDS, each_durable=True)
    whole = segment(tmp_path).read_bytes()
    for byte in range(HEAD_BYTES + len(RECORDS[0])):
        damaged = bytearray(whole)
        damaged[byte] ^= 0xFF
        segment(tmp_path).write_bytes(damaged)
        found = scan(tmp_path)
        assert found.is_damaged
        assert found.records == ()


def test_damage_in_an_older_segment_is_reported_even_at_its_end(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(b"old")
    log.rotate((b"opening",))
    log.close()
    old = segment(tmp_path)
    old.write_bytes(old.read_bytes()[:-1])
    found = scan(tmp_path)
    assert found.is_damaged
    assert found.records == (b"opening",)


def test_a_rotated_segment_begins_with_exactly_its_opening_records(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(b"before")
    assert log.rotate((b"one", b"two")) == 2
    log.append(b"after")
    log.drop_before(2)
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == [segment(tmp_path, 2).name]
    assert scan(tmp_path).records == (b"one", b"two", b"after")
    assert segment(tmp_path, 2).stat().st_mode & 0o077 == 0


def test_until_it_is_dropped_the_old_segment_is_read_too(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(b"before")
    log.rotate(())
    log.append(b"after")
    log.close()
    assert scan(tmp_path).records == (b"before", b"after")


def test_dropping_keeps_the_named_segment_and_the_newer_ones(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for number in (2, 3, 4):
        assert log.rotate((b"%d" % number,)) == number
    log.drop_before(3)
    log.drop_before(3)
    log.close()
    assert scan(tmp_path).records == (b"3", b"4")


def test_a_rotation_that_never_ended_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, RECORDS)
    segment(tmp_path, 2).with_suffix(".new").write_bytes(b"half a segm")
    assert scan(tmp_path).records == RECORDS
    log = opened(tmp_path)
    assert log.rotate((b"opening",)) == 2
    log.close()
    assert scan(tmp_path).records == (*RECORDS, b"opening")


def test_after_a_full_disk_writing_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path)
    room = 7
    really_write = os.write

    def write_until_full(file: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "no space left on device")
        written = really_write(file, bytes(data[:room]))
        room -= written
        return written

    monkeypatch.setattr(os, "write", write_until_full)
    for record in RECORDS:
        log.append(record)
    for _ in range(3):
        with pytest.raises(OSError, match="no space"):
            log.sync()
        room = 11
    room = 1 << 20
    log.append(b"later")
    log.close()
    assert scan(tmp_path) == LogScan(records=(*RECORDS, b"later"), torn_bytes=0, is_damaged=False)


def test_what_a_failed_sync_may_have_dropped_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux says EIO once, then counts the lost pages as written: a second sync does nothing."""
    log = opened(tmp_path)
    log.append(b"synced")
    log.sync()
    size = segment(tmp_path).stat().st_size
    fail_once = iter([OSError(errno.EIO, "Input/output error")])
    really_sync = os.fdatasync

    def lose_pages(file: int) -> None:
        for error in fail_once:
            with segment(tmp_path).open("r+b") as lost:
                lost.seek(size)
                lost.write(bytes(segment(tmp_path).stat().st_size - size))
            raise error
        really_sync(file)

    monkeypatch.setattr(os, "fdatasync", lose_pages)
    log.append(b"in doubt")
    with pytest.raises(OSError, match="Input/output"):
        log.sync()
    log.append(b"later")
    log.sync()
    log.append(b"unsynced")
    log.flush()
    expected = (b"synced", b"in doubt", b"later", b"unsynced")
    assert scan(tmp_path) == LogScan(records=expected, torn_bytes=0, is_damaged=False)
    log.close()


def test_damage_is_seen_at_every_start_until_the_log_is_replaced(tmp_path: Path) -> None:
    """A crash before the silence is on disk must not make the loss look mended."""
    write(tmp_path, RECORDS, each_durable=True)
    data = bytearray(segment(tmp_path).read_bytes())
    data[HEAD_BYTES] ^= 1
    segment(tmp_path).write_bytes(data)
    for _ in range(3):
        assert scan(tmp_path).is_damaged
    log = opened(tmp_path)
    log.append(b"silent from here on")
    log.close()
    log = SegmentLog(tmp_path)
    found = log.open()
    assert found.is_damaged
    assert found.records == (b"silent from here on",)
    log.drop_before(log.rotate((b"opening",)))
    log.close()
    assert scan(tmp_path) == LogScan(records=(b"opening",), torn_bytes=0, is_damaged=False)


@pytest.mark.parametrize("failing", ["open", "write", "fsync", "rename", "fsync of the folder"])
def test_a_rotation_that_the_disk_refuses_leaves_a_log_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    log = opened(tmp_path)
    log.append(b"before")
    log.sync()
    name, _, folder = failing.partition(" of ")
    really = getattr(os, name)
    calls = []

    def refuse(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == (2 if folder else 1):
            raise OSError(errno.ENOSPC, "no space left on device")
        return really(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, refuse)
        with pytest.raises(OSError, match="no space"):
            log.rotate((b"opening",))
    files = len(os.listdir("/proc/self/fd"))
    log.append(b"after")
    log.sync()
    rotated = (b"before", b"opening", b"after") if folder else (b"before", b"after")
    assert scan(tmp_path).records == rotated
    log.drop_before(log.rotate((b"at last",)))
    assert len(os.listdir("/proc/self/fd")) == files
    log.close()
    assert scan(tmp_path).records == (b"at last",)


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.close()
    log.close()


steps = st.one_of(
    st.tuples(st.just("append"), payloads),
    st.tuples(st.just("sync"), st.just(b"")),
    st.tuples(st.just("rotate"), payloads),
    st.tuples(st.just("reopen"), st.just(b"")),
)


@settings(max_examples=40)
@given(st.lists(steps, max_size=20), st.integers(0, 1 << 16))
def test_a_crash_loses_nothing_that_was_synced_and_invents_nothing(todo, lost) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = opened(folder)
        written: list[bytes] = []
        durable = 0
        durable_bytes = 0
        for what, payload in todo:
            if what == "append":
                log.append(payload)
                written.append(payload)
                continue
            if what == "sync":
                log.sync()
            elif what == "rotate":
                newest = log.rotate((payload,))
                log.drop_before(newest)
                written = [payload]
            else:
                log.close()
                log = opened(folder)
            durable, durable_bytes = len(written), log.size_bytes
        log.flush()
        newest_file = max(folder.glob("*" + SEGMENT_SUFFIX))
        size = newest_file.stat().st_size
        os.truncate(newest_file, max(durable_bytes, size - lost % (size + 1)))
        found = scan(folder)
        log.close()
        assert not found.is_damaged
        assert len(found.records) >= durable
        assert found.records == tuple(written[: len(found.records)])
