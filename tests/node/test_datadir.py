"""The data directory: private, locked by the system, never of two networks.

Rule: two processes are two processes; the lock is not a file that exists.
Spec: docs/reference/data-directory.md. Deviations: none.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.datadir import PRECIOUS, DataDir, write_atomic, write_new
from node.sync.start import mark_distrusted
from primitives.errors import (
    ConfigError,
    DataDirInUse,
    NotRunning,
    TransientError,
    WrongNetwork,
)

GENESIS = bytes(range(32))
HOLD = """
import sys
from pathlib import Path
from node.datadir import DataDir
with DataDir(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "node")
    made.create("testnet", GENESIS)
    return made


def test_every_folder_is_private(data: DataDir) -> None:
    for folder in (data.root, *(data.root / name for name in PRECIOUS)):
        assert folder.stat().st_mode & 0o077 == 0
    data.verify_permissions()
    assert "NEVER" in (data.root / "README.txt").read_text()


def test_making_it_again_changes_nothing(data: DataDir) -> None:
    before = {path: path.read_bytes() for path in data.root.rglob("*") if path.is_file()}
    data.create("testnet", GENESIS)
    assert before == {path: path.read_bytes() for path in data.root.rglob("*") if path.is_file()}


def test_another_network_is_refused(data: DataDir) -> None:
    with pytest.raises(WrongNetwork) as refused:
        data.create("othernet", bytes(32))
    assert refused.value.exit_code == 14


def test_a_newer_layout_is_refused(data: DataDir) -> None:
    data.layout_file.write_text(f'layout = 2\nnetwork = "x"\ngenesis = "0x{GENESIS.hex()}"\n')
    with pytest.raises(ConfigError) as refused:
        data.verify_layout(GENESIS)
    assert refused.value.exit_code == 13
    data.layout_file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError):
        data.verify_layout(GENESIS)


def test_readable_keys_are_refused_with_the_command_that_mends_it(data: DataDir) -> None:
    file = data.keys / "x.json"
    file.write_text("{}")
    file.chmod(0o644)
    with pytest.raises(ConfigError) as refused:
        data.verify_permissions()
    assert refused.value.fix == f"chmod -R go= {file}"
    assert refused.value.exit_code == 10


def test_a_second_process_is_told_who_holds_the_directory(data: DataDir) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder.stdin, holder.stdout:
        assert holder.stdout.readline() == "held\n"
        assert data.is_locked()
        with pytest.raises(DataDirInUse) as refused, data.lock():
            pass
        assert f"process {holder.pid}" in str(refused.value)
        assert refused.value.exit_code == 4
        holder.kill()
        holder.wait()
    assert not data.is_locked()
    with data.lock():  # the file is still there; the lock died with its process
        assert data.is_locked()


def test_the_daemon_is_found_only_while_it_runs(data: DataDir) -> None:
    with pytest.raises(NotRunning) as missing:
        data.find_daemon()
    assert missing.value.exit_code == 5
    with data.lock(), pytest.raises(NotRunning, match="is starting"):
        data.find_daemon()
    with data.lock(), data.announce("http://127.0.0.1:1"):
        found = data.find_daemon()
        assert (found.url, found.pid) == ("http://127.0.0.1:1", os.getpid())
    assert not data.api_file.exists()
    write_atomic(data.api_file, 'url = "http://stale"\npid = 1\n')
    with pytest.raises(NotRunning):
        data.find_daemon()


def test_the_token_is_long_private_and_stays(data: DataDir) -> None:
    token = data.token()
    assert len(token) >= 32
    assert data.token() == token
    assert data.token_file.stat().st_mode & 0o077 == 0
    data.token_file.write_text("short")
    assert len(data.token()) >= 32


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(ConfigError) as refused:
        DataDir(blocker / "node").create("testnet", GENESIS)
    assert refused.value.code == "DIR004"


def fill_disk(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Let files take so many bytes more, a part of the last write among them, as disks do."""
    really_write = os.write

    def write(file: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "no space left on device")
        written = really_write(file, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("room", [0, 1, 9])
def test_a_disk_that_fills_up_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write_atomic(old, "what was there")
    with monkeypatch.context() as patch:
        fill_disk(patch, room)
        with pytest.raises(OSError, match="no space"):
            write_atomic(old, "what shall be there")
        with pytest.raises(OSError, match="no space"):
            write_new(new, b"what shall be there")
    assert [file.name for file in tmp_path.iterdir()] == ["old"]
    assert old.read_text() == "what was there"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_new_file_is_whole_private_and_never_takes_anothers_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    file = tmp_path / "key.json"
    write_new(file, b"first")
    with pytest.raises(FileExistsError):
        write_new(file, b"second")
    assert file.read_bytes() == b"first"
    assert file.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [file]


def test_no_state_is_adopted_without_the_mark_that_keeps_the_node_silent(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fill_disk(patch, 5)
        with pytest.raises(TransientError, match="no space"):
            mark_distrusted(data)
    assert not data.distrust_file.exists()
    mark_distrusted(data)
    assert data.distrust_file.exists()
