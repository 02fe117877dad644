"""Run one validator that is a whole network by itself, as a child whose end can be watched.

Rule: the command line is the one a user types; the node has no EVM chain and does not need it.
Spec: docs/reference/exit-codes.md; docs/reference/data-directory.md. Deviations: none.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from devnet.folders import Folder, node_command, node_environment
from devnet.plan import DevnetPlan
from devnet.start import Wishes, prepare
from node.datadir import DataDir
from tests.devnet.commands import REPOSITORY
from tests.devnet.local_devnet import LOOK_S, PATIENCE_S, POLL_S

T = TypeVar("T")


class LoneNode:
    """One data directory and the daemon that runs on it."""

    def __init__(
        self, root: Path, seed: int = 1, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = Folder(root)
        self.seed = seed
        self._environment = dict(environment or {})
        self.log = root.with_name(root.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None
        _, self.plan = self._prepare()

    def _prepare(self) -> tuple[object, DevnetPlan]:
        return prepare(self.folder, Wishes(validators=1, traders=0, seed=self.seed))

    @property
    def data(self) -> DataDir:
        return self.folder.data("v0")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the daemon without waiting for anything."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                node_command(self.data),
                cwd=REPOSITORY,
                env={**node_environment(), "PYTHONPATH": str(REPOSITORY), **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start(self) -> None:
        """Start and wait until it finalizes."""
        assert self.process is None or self.process.poll() is not None
        self.process = self.launch()
        self.until(lambda: self.final() > 0, "a first final block")

    def end(self, number: signal.Signals, limit_s: float) -> int:
        """Send a signal; return the exit code, which must come within the limit."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(limit_s)

    def remove(self) -> None:
        if self.process is not None and self.is_running:
            self.process.kill()
            self.process.wait(PATIENCE_S)

    # Looking

    def status(self) -> dict[str, Any]:
        """Return what the node says of itself; empty when it has ended or not begun to answer."""
        deadline = time.monotonic() + LOOK_S
        while not (answer := self._ask()) and self.is_running and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return answer

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _ask(self) -> dict[str, Any]:
        port = self.plan.validators[0].api_port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LOOK_S)
        try:
            connection.request("GET", "/v1/status")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()

    def final(self) -> int:
        return int(self.status().get("final", -1))

    def problems(self) -> dict[str, str]:
        return {p["code"]: p["message"] for p in self.status().get("problems", ())}

    def text(self) -> str:
        """Return what it has written to the terminal, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.log.read_text(errors="replace"))

    def until(self, fact: Callable[[], T], what: str) -> T:
        """Return the first truthy answer of `fact`."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = fact()
            if answer:
                return answer
            if not self.is_running or time.monotonic() > deadline:
                raise AssertionError(f"never: {what}; {self.status()}; {self.text()[-3_000:]}")
            time.sleep(POLL_S)

    def wait_final(self, above: int) -> None:
        self.until(lambda: self.final() > above, f"a final block above {above}")
