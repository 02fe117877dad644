"""Start, find, signal and stop the processes of a devnet by their recorded ids.

Rule: a signal is only ever sent to a process this devnet started: its id is on file and it is still
the
process that got it (same start time), so a reused id is never hit.
Spec: docs/reference/devnet.md (Processes). Deviations: without /proc the start time is not
compared.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from devnet.limits import STOP_S_MAX

POLL_S = 0.05


class ProcessRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `run/NAME.json` remembers of one process."""

    pid: int
    started: str  # start time in clock ticks since boot, "" where it cannot be read
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """The processes of one devnet, by name (`v0`, `evm`, `traders`)."""

    folder: Path  # the devnet's `run/`
    logs: Path  # the devnet's `logs/`

    def start(self, name: str, command: Sequence[str], environment: dict[str, str]) -> int:
        """Start a process of its own session whose output goes to `logs/NAME.log`; return its
        id.
        """
        assert not self.is_alive(name), f"{name} runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        log = str(self.logs / f"{name}.log")
        pid = os.posix_spawnp(
            command[0],
            list(command),
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        _children.add(pid)
        self.adopt(name, pid, command)
        return pid

    def adopt(self, name: str, pid: int, command: Sequence[str]) -> None:
        """Record a process that was started for us."""
        record = ProcessRecord(pid=pid, started=_start_ticks(pid), command=tuple(command))
        temporary = self._path(name).with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(record))
        temporary.replace(self._path(name))

    def pid(self, name: str) -> int | None:
        """Return the id of the living process, or None."""
        record = self._record(name)
        return record.pid if record is not None and _is_same(record) else None

    def is_alive(self, name: str) -> bool:
        """True while the process we started under this name exists."""
        return self.pid(name) is not None

    def names(self) -> list[str]:
        """Return every recorded name, dead ones included, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def send(self, name: str, number: signal.Signals) -> bool:
        """Send a signal; False when the process is gone."""
        pid = self.pid(name)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def kill(self, name: str) -> bool:
        """End the process at once and wait until it is gone; False when it was not there."""
        sent = self.send(name, signal.SIGKILL)
        if sent:
            self._wait_gone(name, STOP_S_MAX)
        return sent

    def ask_to_stop(self, name: str) -> None:
        """Ask the process to end and do not wait."""
        self.send(name, signal.SIGCONT)
        self.send(name, signal.SIGTERM)

    def finish(self, name: str) -> None:
        """Wait for a process that was asked to end, insist when it does not, and forget it."""
        if not self._wait_gone(name, STOP_S_MAX):
            self.kill(name)
        self._path(name).unlink(missing_ok=True)

    def is_paused(self, name: str) -> bool:
        """True while the process is stopped by SIGSTOP."""
        pid = self.pid(name)
        return pid is not None and _state(pid) == "T"

    def _wait_gone(self, name: str, limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if not self.is_alive(name):
                return True
            time.sleep(POLL_S)
        return not self.is_alive(name)

    def _record(self, name: str) -> ProcessRecord | None:
        try:
            return msgspec.json.decode(self._path(name).read_bytes(), type=ProcessRecord)
        except (OSError, msgspec.DecodeError):
            return None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


_children: set[int] = set()
"""Our own children, so that a dead one is reaped and not taken for alive."""


def _is_same(record: ProcessRecord) -> bool:
    if record.pid in _children and os.waitpid(record.pid, os.WNOHANG)[0]:
        _children.discard(record.pid)
        return False
    try:
        os.kill(record.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return _start_ticks(record.pid) == record.started and _state(record.pid) != "Z"


def _start_ticks(pid: int) -> str:
    fields = _stat_fields(pid)
    return fields[19] if len(fields) > 19 else ""


def _state(pid: int) -> str:
    fields = _stat_fields(pid)
    return fields[0] if fields else ""


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the command name, [] when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()
