"""Run a devnet in a folder of its own for as long as something is measured.

Rule: everything happens through the commands a person would type; the folder is deleted at the end.
Spec: docs/reference/devnet.md.
Deviations: none.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devnet.folders import FOLDER, Folder, Record
from devnet.ports import PortBlock
from devnet.status import DevnetStatus, read_status
from primitives.errors import OperatorError

ROOT: Final = Path(__file__).parent.parent
UP_S_MAX: Final = 120.0
POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A devnet that is up or coming up."""

    folder: Folder
    process: subprocess.Popen[bytes]
    started: float  # time.monotonic() when `up` was typed

    @property
    def record(self) -> Record:
        """What it was made with. Raises OperatorError before it has its files."""
        return self.folder.load()

    @property
    def urls(self) -> list[str]:
        """Every node's API."""
        ports = PortBlock(base=self.record.port_base)
        return [f"http://127.0.0.1:{ports.api(i)}" for i in range(self.record.validators)]

    def status(self) -> DevnetStatus | None:
        """Return what the validators say; None before there are any."""
        try:
            return read_status(self.folder, self.record)
        except OperatorError:
            return None

    def wait_up(self) -> None:
        """Wait until `up` says that all validators are ready."""
        code = self.process.wait(UP_S_MAX)
        assert code == 0, f"devnet up ended with {code}"


@contextmanager
def run_devnet(*options: str) -> Iterator[Running]:
    """Type `devnet up --detach` in a new folder; stop and delete it afterwards."""
    with tempfile.TemporaryDirectory(prefix="omnibazaar-bench-") as path:
        started = time.monotonic()
        process = _start(path, "up", "--detach", *options)
        try:
            folder = Folder(Path(path) / FOLDER)
            yield Running(folder=folder, process=process, started=started)
        finally:
            process.terminate()
            process.wait()
            _start(path, "reset").wait()


def _start(path: str, *words: str) -> subprocess.Popen[bytes]:
    """Import the checkout's packages wherever the devnet's folder is."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from node.cli import main; main()"
    command = [sys.executable, "-c", code, "devnet", *words]
    return subprocess.Popen(command, cwd=path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
