"""This program opens what every release left behind and goes on from it.

Rule: the directories were stored by the releases themselves and are never changed.
Spec: docs/spec/upgrades.md (Programs). Deviations: none.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from client.actions import ActionBuilder
from client.keys import Credentials
from client.node_client import now_ms
from devnet.folders import node_command, node_environment
from exchange.actions import CancelAll
from exchange.limits import PROTOCOL_NOTICE_HEIGHTS
from node.cli import exits
from node.cli.root import call
from node.datadir import DataDir
from primitives.eip712 import network_domain
from primitives.secp256k1 import PrivateKey
from storage.chain_reader import ChainReader
from tests.devnet.commands import REPOSITORY
from tests.devnet.local_devnet import LOOK_S, PATIENCE_S, POLL_S
from tests.devnet.member import as_json

pytestmark = pytest.mark.processes

TIME_TO_SIGN = 60  # heights; a busy machine takes seconds for a command
STORED = sorted((REPOSITORY / "tests/data_directories").glob("*.tar.xz"))


def unpack(archive: Path, folder: Path) -> DataDir:
    """Unpack a stored directory; its node takes free ports."""
    with tarfile.open(archive, "r:xz") as packed:
        packed.extractall(folder, filter="data")
    data = DataDir(folder / "data")
    text = data.config_file.read_text()
    data.config_file.write_text(re.sub(r'(?m)^(listen = )".*"$', r'\1"127.0.0.1:0"', text))
    data.run.mkdir(mode=0o700, exist_ok=True)
    for folder in (data.root, data.keys, data.signing):
        folder.chmod(0o700)
    return data


def terminal_of(data: DataDir) -> Path:
    """Return the file of what its node writes to the terminal; a full pipe would stop it."""
    return data.root.with_name("terminal")


@contextmanager
def running(data: DataDir) -> Iterator[subprocess.Popen[bytes]]:
    with terminal_of(data).open("ab") as terminal:
        process = subprocess.Popen(
            node_command(data),
            cwd=REPOSITORY,
            env={**node_environment(), "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE_S)


def ask(data: DataDir) -> dict[str, Any]:
    """Return the node's status, empty while it does not answer."""
    try:
        url = urlsplit(tomllib.loads(data.api_file.read_text())["url"])
        with closing(http.client.HTTPConnection(url.netloc, timeout=LOOK_S)) as connection:
            connection.request("GET", "/v1/status")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
    except (OSError, http.client.HTTPException, tomllib.TOMLDecodeError):
        return {}


def keep_busy(data: DataDir, process: subprocess.Popen[bytes]) -> None:
    """Send actions until the node ends: a chain with work makes blocks faster."""
    status = ask(data)
    builder = ActionBuilder(
        domain=network_domain(bytes.fromhex(status["network_id"][2:])),
        credentials=Credentials.of_wallet(PrivateKey.generate()),
        clock=now_ms,
    )
    netloc = urlsplit(tomllib.loads(data.api_file.read_text())["url"]).netloc
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        body = {"actions": [as_json(builder.sign(CancelAll(0)))]}
        connection = http.client.HTTPConnection(netloc, timeout=LOOK_S)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request(
                "POST", "/v1/actions", json.dumps(body), {"Content-Type": "application/json"}
            )
            connection.getresponse().read()
        time.sleep(POLL_S)


def wait_final(data: DataDir, process: subprocess.Popen[bytes], above: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while ask(data).get("final", -1) <= above:
        assert process.poll() is None, f"the node ended: {terminal_of(data).read_text()[-2_000:]}"
        assert time.monotonic() < deadline, (ask(data), terminal_of(data).read_text()[-2_000:])
        time.sleep(POLL_S)


def test_one_is_stored_for_this_release() -> None:
    assert STORED


@pytest.mark.parametrize("archive", STORED, ids=lambda path: path.name)
def test_it_is_opened_and_continued_until_the_rules_are_too_new(
    archive: Path, tmp_path: Path
) -> None:
    data = unpack(archive, tmp_path)
    with closing(ChainReader.open(data.chain / "chain.sqlite")) as reader:
        stored = reader.latest_executed()
        assert stored is not None
    with running(data) as process:
        wait_final(data, process, stored.height + 2)
        status = ask(data)
        assert status["protocol"]["version"] == 1
        # Its one validator is a quorum: the network moves to rules that this program lacks.
        height = status["final"] + PROTOCOL_NOTICE_HEIGHTS + TIME_TO_SIGN
        newer = status["protocol"]["newest"] + 1
        command = ["--data-dir", str(data.root), "protocol", "upgrade", str(newer)]
        words = [*command, "--height", str(height), "--password-file", str(data.keys / "password")]
        assert call(words) == exits.OK
        keep_busy(data, process)
        assert process.wait(PATIENCE_S) == exits.SCHEMA
        text = terminal_of(data).read_text()
        assert f"from height {height} on the network runs protocol {newer}" in text
        assert "install the newer release" in text
    with closing(ChainReader.open(data.chain / "chain.sqlite")) as reader:
        after = reader.latest_executed()
        kept = reader.executed(stored.height)
        assert after is not None
        assert after.height == height - 1
        assert kept == stored
    with running(data) as process:
        assert process.wait(PATIENCE_S) == exits.SCHEMA, "it stops again at once"
