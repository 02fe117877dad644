"""Drive a devnet of real processes from a test, through its commands and its nodes' APIs.

Rule: waiting is for a fact, with a limit, never for a time; what a test reads is what a node says
or what lies on its disk.
Spec: docs/reference/devnet.md. Deviations: most faults are done in this process, since starting a
command takes longer than what is tested.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from consensus.journal import scan_journal
from consensus.records import decode_record
from consensus.vote import Vote
from devnet import faults
from devnet.folders import FOLDER, Folder, Record
from devnet.plan import DevnetPlan
from devnet.ports import PortBlock
from devnet.start import plan_of
from devnet.status import DevnetStatus, read_status
from tests.devnet.commands import REPOSITORY, finish
from tests.devnet.fair_time import FairTime
from tests.devnet.storm import SIGNALS, shorten_epochs

MARGIN = 3  # a machine that runs tests is slower than one that does not
PATIENCE_S = 240.0  # for a fact that nothing but a fault keeps from coming
LOOK_S = 10.0  # for an answer that is asked for again
ANSWER_S = 60.0  # a stalled process answers late; a dead one refuses at once
POLL_S = 0.1
NOBODY_READY = 7  # exit code of `status`
FAULTS = ("kill", "start", "pause", "resume", "down", "reset", "partition")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalDevnet:
    """The devnet of one directory."""

    root: Path

    @property
    def folder(self) -> Folder:
        return Folder(self.root / FOLDER)

    @property
    def record(self) -> Record:
        return self.folder.load()

    @property
    def plan(self) -> DevnetPlan:
        return plan_of(self.record)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"v{index}" for index in range(self.record.validators))

    # Commands

    def start_command(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "devnet.cli", *shorten_epochs(arguments)],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run one command and return what it printed; it must end with `code`."""
        with SIGNALS if arguments[0] in FAULTS else nullcontext():
            return self._command(arguments, code)

    def _command(self, arguments: tuple[str, ...], code: int) -> str:
        done = finish(self.start_command(*arguments))
        assert done.returncode == code, f"{arguments} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def up(self, *arguments: str) -> str:
        return self.command("up", "--detach", *arguments)

    def status(self, names: Iterable[str] = ()) -> dict[str, Any]:
        """Return what `status --json` prints once all of `names` (all there are) answer it."""
        wanted = set(names) or set(self.names)
        return self.until(lambda: self._status(wanted), f"{sorted(wanted)} answer `status`")

    def _status(self, wanted: set[str]) -> dict[str, Any] | None:
        done = finish(self.start_command("status", "--json"))
        assert done.returncode in (0, NOBODY_READY), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        ready = {one["name"] for one in found["validators"] if one["ready"]}
        return found if wanted <= ready and done.returncode == 0 else None

    def remove(self) -> None:
        """Stop everything; the files stay for whoever looks into a failure."""
        if self.folder.exists():
            self.command("down")

    # Looking

    def look(self) -> DevnetStatus:
        return read_status(self.folder, self.record)

    def url(self, name: str) -> str:
        index = self.names.index(name)
        return f"http://127.0.0.1:{PortBlock(base=self.record.port_base).api(index)}"

    def ask(self, name: str, path: str) -> Any:
        """Return a node's JSON answer, None when it does not answer soon or has nothing."""
        try:
            status, body = self.fetch(name, path, limit_s=LOOK_S)
        except (OSError, http.client.HTTPException):
            return None
        return json.loads(body) if status == 200 else None

    def read(self, name: str, path: str) -> Any:
        """Return what a node that runs has to answer sooner or later."""
        return self.until(lambda: self.ask(name, path), f"{name} answers {path}")

    def fetch(
        self,
        name: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        token: str = "",
        limit_s: float = ANSWER_S,
    ) -> tuple[int, bytes]:
        """GET, or POST a body as JSON; return status and bytes. Raises when nobody answers."""
        url = urlsplit(self.url(name))
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=limit_s)
        try:
            if body is not None:
                raw = json.dumps(body).encode()
            headers = {"Content-Type": "application/json"} if raw is not None else {}
            if token:
                headers["Authorization"] = f"Bearer {token}"
            connection.request("GET" if raw is None else "POST", path, raw, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def final(self, name: str) -> int:
        """Return the final height a node tells, -1 when it does not answer."""
        answer = self.ask(name, "/v1/status")
        return -1 if answer is None else int(answer["final"])

    def finals(self, names: Iterable[str] = ()) -> list[int]:
        return [self.final(name) for name in tuple(names) or self.names]

    def hashes(self, name: str, low: int, high: int) -> dict[int, str]:
        """Return the hash of every final block of a range as a node tells it.

        A block is stored a little later than it is final, so the newest may have to be waited for.
        """
        found: dict[int, str] = {}
        if high >= low:
            self.read(name, f"/v1/blocks/{high}")
        while high >= low:
            page = self.read(name, f"/v1/blocks?from={high}&limit=500")
            rows = [b for b in page["blocks"] if b["height"] >= low]
            if not rows:
                break
            found.update((b["height"], b["hash"]) for b in rows)
            high = rows[-1]["height"] - 1
        return found

    # Waiting

    def fair_time(self) -> FairTime:
        """Return a stopwatch that knows how the machine serves this devnet."""
        table = self.folder.processes
        return FairTime(lambda: [pid for name in table.names() if (pid := table.pid(name))])

    def until(
        self,
        fact: Callable[[], T],
        what: str,
        limit_s: float = PATIENCE_S,
        *,
        promised_s: float | None = None,
    ) -> T:
        """Return the first truthy answer of `fact`, which may be promised in fair time."""
        watch = None if promised_s is None else self.fair_time()
        deadline = time.monotonic() + limit_s
        while True:
            answer = fact()
            if answer:
                if watch is not None and promised_s is not None:
                    watch.verify(promised_s, what)
                return answer
            if time.monotonic() > deadline:
                state = msgspec.json.encode(self.look()).decode()
                raise AssertionError(f"not within {limit_s:.0f} s: {what}; {state}")
            time.sleep(POLL_S)

    def wait_final(
        self, above: int, names: Iterable[str] = (), *, promised_s: float | None = None
    ) -> None:
        """Wait until nodes have finalized beyond a height, as long as they come nearer to it."""
        watch = None if promised_s is None else self.fair_time()
        wanted = tuple(names) or self.names
        what = f"{', '.join(wanted)} finalize beyond {above}"
        reached = min(self.finals(wanted))
        while reached <= above:
            before = reached
            reached = self.until(
                lambda before=before: max(min(self.finals(wanted)), before) - before,  # type: ignore[misc]
                what,
            )
            reached += before
        if watch is not None and promised_s is not None:
            watch.verify(promised_s, what)

    # Faults

    def kill(self, *names: str) -> None:
        with SIGNALS:
            assert faults.kill(self.folder, names) == list(names)

    def start(self, *names: str) -> None:
        assert faults.start(self.folder, self.record, names) == list(names)

    def pause(self, *names: str) -> None:
        with SIGNALS:
            assert faults.pause(self.folder, names) == list(names)

    def resume(self, *names: str) -> None:
        with SIGNALS:
            assert faults.resume(self.folder, names) == list(names)

    # On disk

    def journaled_votes(self, name: str) -> list[Vote]:
        """Return the votes a validator has ever signed, as its journal holds them."""
        votes = []
        for path in sorted((self.folder.data(name).chain / "journal").glob("*.log")):
            for data in scan_journal(path.read_bytes()).records:
                record = decode_record(data)
                if isinstance(record, Vote):
                    votes.append(record)
        return votes
