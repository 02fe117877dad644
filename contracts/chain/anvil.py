"""Start Foundry's anvil at the Paris level as the EVM chain of a devnet or a test.

Rule: it listens on 127.0.0.1 only and ends with whoever started it; the states of old blocks, which
it puts on disk by the gigabyte, stay where we say and not in the home directory.

Spec: docs/spec/settlement.md §12
Deviations: none
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.chain.accounts import BALANCE_WEI
from contracts.limits import ANVIL_START_SECONDS_MAX, CHAIN_GAS_LIMIT
from contracts.rpc import HttpRpc
from contracts.rpc_values import data, quantity
from primitives.errors import ConfigError, TransientError

BINARY_VARIABLE = "OMNIBAZAAR_ANVIL"
NPM_SCOPE = "@foundry-rs"
LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnvilChain:
    """A running anvil."""

    process: subprocess.Popen[str]
    url: str
    states: Path  # of old blocks

    def stop(self) -> None:
        """End it and wait."""
        self.process.terminate()
        try:
            self.process.wait(ANVIL_START_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        shutil.rmtree(self.states, ignore_errors=True)


def find_anvil() -> str | None:
    """Return the path of anvil: OMNIBAZAAR_ANVIL, or the one on PATH.

    The npm package's command only starts another program, which would outlive it when it is killed:
    then that program is returned.
    """
    found = os.environ.get(BINARY_VARIABLE) or shutil.which("anvil")
    if found is None:
        return None
    scope = next((one for one in Path(found).resolve().parents if one.name == NPM_SCOPE), None)
    programs = sorted(scope.glob("anvil-*/bin/anvil")) if scope is not None else []
    return str(programs[0]) if programs else found


def start_anvil(
    *,
    chain_id: int,
    block_ms: int | None,
    funded: Sequence[bytes],
    port: int = 0,
    state_file: Path | None = None,
) -> AnvilChain:
    """Start anvil and give each of `funded` its coins; `block_ms` None mines per transaction.

    Raises ConfigError if it is not installed and TransientError if it does not come up.
    """
    states = Path(tempfile.mkdtemp(prefix="anvil-states-"))
    command = anvil_command(
        chain_id=chain_id, block_ms=block_ms, port=port, states=states, state_file=state_file
    )
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    try:
        chain = AnvilChain(process=process, url=_await_url(process), states=states)
    except TransientError:
        shutil.rmtree(states, ignore_errors=True)
        raise
    rpc = HttpRpc(chain.url)
    for address in funded:
        rpc.call("anvil_setBalance", data(address), quantity(BALANCE_WEI))
    rpc.close()
    return chain


def anvil_command(
    *, chain_id: int, block_ms: int | None, port: int, states: Path, state_file: Path | None
) -> list[str]:
    """Return the command line of anvil. Raises ConfigError if it is not installed.

    `states` is a folder for old blocks, `state_file` keeps the newest one over a restart.
    """
    binary = find_anvil()
    if binary is None:
        raise ConfigError(
            "anvil is not installed", fix=f"install Foundry, or set {BINARY_VARIABLE} to the binary"
        )
    command = [binary, "--hardfork", "paris", "--chain-id", str(chain_id), "--host", "127.0.0.1"]
    command += ["--cache-path", str(states)]
    command += ["--port", str(port), "--gas-limit", str(CHAIN_GAS_LIMIT), "--accounts", "1"]
    if block_ms is not None:
        command += ["--block-time", str(max(1, round(block_ms / 1000)))]
    if state_file is not None:
        command += ["--state", str(state_file), "--state-interval", "1"]
    return command


def _await_url(process: subprocess.Popen[str]) -> str:
    """The URL that anvil prints; the rest of its output is read and dropped."""
    assert process.stdout is not None
    output = process.stdout
    found: list[str] = []
    ready = threading.Event()

    def read() -> None:
        for line in output:
            match = LISTENING.search(line)
            if match is not None:
                found.append(f"http://127.0.0.1:{match[1]}")
                ready.set()
        ready.set()

    threading.Thread(target=read, name="anvil output", daemon=True).start()
    if not ready.wait(ANVIL_START_SECONDS_MAX) or not found:
        process.kill()
        process.wait()
        raise TransientError("anvil did not start")
    return found[0]
