"""Build CometBFT with the Go toolchain and run its local network of four with the kvstore.

Rule: the release's own `go install`, `testnet` and `node` commands; of its configuration only
ports, peers, the mempool's size, and the pauses between blocks and looks for news are set.
Spec: docs/reference/benchmarks.md (Beside CometBFT). Deviations: none.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

MODULE: Final = "github.com/cometbft/cometbft/cmd/cometbft"
NODES: Final = 4
STOP_S_MAX: Final = 10.0


class CannotBuild(Exception):
    """There is no Go toolchain, or it could not build."""


def build(version: str, folder: Path) -> Path:
    """Return the program, built into a folder unless it is there. Raises CannotBuild."""
    program = folder / f"cometbft-{version}"
    if program.is_file():
        return program
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise CannotBuild("the Go toolchain is not installed")
    environment = {**os.environ, "GOBIN": str(folder)}
    done = subprocess.run([go, "install", f"{MODULE}@{version}"], env=environment, check=False)
    if done.returncode:
        raise CannotBuild(f"go install {MODULE}@{version} failed")
    return (folder / "cometbft").rename(program)


@contextmanager
def run_network(program: Path, home: Path, gap_ms: int, gossip_ms: int) -> Iterator[list[int]]:
    """Run four validators; yield their RPC ports."""
    command = [str(program), "testnet", "--v", str(NODES), "--o", str(home)]
    subprocess.run(
        [*command, "--populate-persistent-peers=false"], check=True, stdout=subprocess.DEVNULL
    )
    homes = [home / f"node{index}" for index in range(NODES)]
    ports = find_ports(2 * NODES)
    rpc, p2p = ports[:NODES], ports[NODES:]
    peers = ",".join(
        f"{read_id(program, one)}@127.0.0.1:{port}" for one, port in zip(homes, p2p, strict=True)
    )
    with ExitStack() as stack:
        for one, rpc_port, p2p_port in zip(homes, rpc, p2p, strict=True):
            file = one / "config/config.toml"
            change_lines(
                file,
                {
                    "proxy_app": '"kvstore"',
                    "persistent_peers": f'"{peers}"',
                    "timeout_commit": f'"{gap_ms}ms"',
                    "peer_gossip_sleep_duration": f'"{gossip_ms}ms"',
                    "size": "100000",
                    "cache_size": "200000",
                    "pprof_laddr": '""',
                },
            )
            set_ports(file, rpc_port, p2p_port)
            log = stack.enter_context((one / "log").open("w"))
            command = [str(program), "node", "--home", str(one), "--log_level", "error"]
            process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(stop, process)
        yield rpc


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a node to end, and insist."""
    process.terminate()
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def find_ports(count: int) -> list[int]:
    """Return free ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def read_id(program: Path, home: Path) -> str:
    """Return a node's p2p identity."""
    command = [str(program), "show-node-id", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def change_lines(file: Path, values: dict[str, str]) -> None:
    """Give settings of a node other values."""
    text = file.read_text()
    for name, value in values.items():
        text = re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
    file.write_text(text)


def set_ports(file: Path, rpc_port: int, p2p_port: int) -> None:
    """Have a node listen on the loopback only."""
    text = file.read_text()
    text = text.replace('laddr = "tcp://127.0.0.1:26657"', f'laddr = "tcp://127.0.0.1:{rpc_port}"')
    text = text.replace('laddr = "tcp://0.0.0.0:26656"', f'laddr = "tcp://127.0.0.1:{p2p_port}"')
    file.write_text(text)
