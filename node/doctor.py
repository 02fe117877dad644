"""Check machine, files and surroundings before they cause trouble.

Rule: every check ends with ok, warn or fail and, unless ok, with what to do; nothing is changed.
Spec: docs/reference/cli.md (doctor). Deviations: none.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from node.config_schema import Config
from node.datadir import DataDir
from node.version import describe_engine
from primitives.errors import KeystoreError, OperatorError

Outcome = Literal["ok", "warn", "fail"]

SYNC_WRITES: Final = 20
SYNC_MS_MAX: Final = 50  # a vote waits for one such write
MEMORY_MB_MIN: Final = 2_000
FILES_MIN: Final = 1_024
NTP_SERVER: Final = "pool.ntp.org"
NTP_EPOCH_S: Final = 2_208_988_800  # 1900 to 1970
TIMEOUT_S: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check."""

    name: str
    outcome: Outcome
    text: str
    fix: str = ""


def examine(data: DataDir, config: Config) -> Iterator[Finding]:
    """Run every check, one after the other."""
    checks: tuple[tuple[str, Callable[[DataDir, Config], Finding]], ...] = (
        ("python", check_python),
        ("data directory", check_data_dir),
        ("disk", check_disk),
        ("memory", check_memory),
        ("open files", check_files),
        ("network file", check_network),
        ("keys", check_keys),
        ("signing guard", check_guard),
        ("API port", check_api_port),
        ("p2p port", check_p2p_port),
        ("EVM", check_evm),
        ("clock", check_clock),
    )
    for name, check in checks:
        try:
            yield check(data, config)
        except OperatorError as error:
            yield Finding(name=name, outcome="fail", text=str(error), fix=error.fix)
        except OSError as error:
            yield Finding(name=name, outcome="warn", text=f"cannot be checked: {error}")


def check_python(data: DataDir, config: Config) -> Finding:
    """Python is new enough, and assertions are on."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.flags.optimize:
        return Finding(
            name="python", outcome="fail", text="assertions are switched off", fix="run without -O"
        )
    return Finding(name="python", outcome="ok", text=f"{version}, exchange {describe_engine()}")


def check_data_dir(data: DataDir, config: Config) -> Finding:
    """The directory exists, is private and writable."""
    if not data.exists():
        return Finding(
            name="data directory", outcome="fail", text=f"{data.root} is none yet",
            fix="omnibazaar init",
        )  # fmt: skip
    data.verify_permissions()
    if not os.access(data.root, os.W_OK):
        return Finding(
            name="data directory", outcome="fail", text=f"{data.root} is read-only",
            fix="make it writable for this user",
        )  # fmt: skip
    running = "in use by a running daemon" if data.is_locked() else "free"
    return Finding(name="data directory", outcome="ok", text=f"{data.root} ({running})")


def check_disk(data: DataDir, config: Config) -> Finding:
    """There is room, and one durable write is quick enough for voting."""
    place = data.root if data.root.is_dir() else data.root.parent
    while not place.is_dir():
        place = place.parent
    free_mb = shutil.disk_usage(place).free >> 20
    least = config.safety.disk_free_mb_min
    if free_mb < least:
        return Finding(
            name="disk", outcome="fail", text=f"{free_mb} MB free, {least} MB are needed",
            fix="free some space, or lower safety.disk_free_mb_min",
        )  # fmt: skip
    delay_ms = measure_sync_ms(place)
    text = f"{free_mb} MB free, a durable write takes {delay_ms:.1f} ms"
    if delay_ms > SYNC_MS_MAX:
        return Finding(
            name="disk", outcome="warn", text=text, fix="use a faster disk; votes wait for it"
        )
    if free_mb < 20 * least:
        return Finding(name="disk", outcome="warn", text=text, fix="plan for more space")
    return Finding(name="disk", outcome="ok", text=text)


def measure_sync_ms(folder: Path) -> float:
    """Return the median time of one small durable write. Raises OSError."""
    file = folder / f".doctor-{os.getpid()}"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    times = []
    try:
        for _ in range(SYNC_WRITES):
            start = time.perf_counter()
            os.write(descriptor, b"x" * 256)
            os.fsync(descriptor)
            times.append(time.perf_counter() - start)
    finally:
        os.close(descriptor)
        file.unlink()
    return sorted(times)[SYNC_WRITES // 2] * 1_000


def check_memory(data: DataDir, config: Config) -> Finding:
    """The machine has memory for a node."""
    total_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    if total_mb < MEMORY_MB_MIN:
        return Finding(
            name="memory", outcome="warn", text=f"{total_mb} MB", fix="use profile lowpower"
        )
    return Finding(name="memory", outcome="ok", text=f"{total_mb} MB, {os.cpu_count()} processors")


def check_files(data: DataDir, config: Config) -> Finding:
    """Enough connections can be open at once."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES_MIN:
        return Finding(
            name="open files", outcome="warn", text=f"limit {soft}", fix=f"ulimit -n {FILES_MIN}"
        )
    return Finding(name="open files", outcome="ok", text=f"limit {soft}")


def check_network(data: DataDir, config: Config) -> Finding:
    """The network file is readable and the directory belongs to it."""
    from node.network_file import load_network

    network = load_network(data.root / config.network)
    if data.exists():
        data.verify_layout(network.genesis_hash)
    text = f"{network.name}, {len(network.committee)} validators, {len(network.chains)} EVM chains"
    return Finding(name="network file", outcome="ok", text=text)


def check_keys(data: DataDir, config: Config) -> Finding:
    """The configured validator key is there; whether it has a seat is said too."""
    from node.keys.keystore import find_key
    from node.network_file import load_network

    if not config.validator.key:
        return Finding(
            name="keys", outcome="fail", text="validator.key is not set; no node runs without",
            fix="omnibazaar keys new, then omnibazaar config set validator.key DIGITS",
        )  # fmt: skip
    info = find_key(data.keys, config.validator.key)
    seats = load_network(data.root / config.network).committee
    seat = next((seat for seat in seats if seat.address_bytes == info.address), None)
    whose = f"is {seat.name}" if seat else "is in no seat of the network's first committee"
    text = f"0x{info.address.hex()[:8]}… {whose}"
    if seat is None:
        return Finding(
            name="keys",
            outcome="warn",
            text=text,
            fix="right for one that joined later: omnibazaar validator status shows its seat, and "
            "validator join registers a new one",
        )
    return Finding(name="keys", outcome="ok", text=text)


def check_guard(data: DataDir, config: Config) -> Finding:
    """The signing guard is sound, if the key has ever signed."""
    if data.is_locked():
        return Finding(name="signing guard", outcome="ok", text="held by the running daemon")
    file = _find_guard(data, config)
    if not file.is_file():
        return Finding(
            name="signing guard", outcome="warn", text="none yet; right only for a new key",
            fix="if this key has signed before, restore signing/ from a backup first",
        )  # fmt: skip
    try:
        connection = sqlite3.connect(file)  # after a kill it is SQLite's to undo what is half done
        try:
            verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        return Finding(
            name="signing guard", outcome="fail", text=f"damaged: {verdict}",
            fix="restore signing/ from a backup: docs/how-to/lost-signing-history.md",
        )  # fmt: skip
    return Finding(name="signing guard", outcome="ok", text="sound")


def _find_guard(data: DataDir, config: Config) -> Path:
    from node.keys.history_files import find_history
    from node.keys.keystore import find_key

    try:
        return find_history(data, find_key(data.keys, config.validator.key).address).guard
    except KeystoreError:
        return data.guard_file  # which key it is, is another check's matter


def check_api_port(data: DataDir, config: Config) -> Finding:
    """The API's address is free, or ours."""
    return _check_port("API port", data, config.api.listen, "api.listen")


def check_p2p_port(data: DataDir, config: Config) -> Finding:
    """The p2p address is free, or ours."""
    return _check_port("p2p port", data, config.p2p.listen, "p2p.listen")


def check_evm(data: DataDir, config: Config) -> Finding:
    """Every settlement chain has an endpoint that serves it."""
    from node.network_file import load_network

    wanted = {chain.chain_id for chain in load_network(data.root / config.network).chains}
    found = {_chain_id(url) for url in config.evm.rpc_urls}
    missing = sorted(wanted - found)
    if missing:
        return Finding(
            name="EVM", outcome="warn", text=f"no endpoint answers for chain {missing}",
            fix="set evm.rpc_urls; trading goes on without it, settlement waits",
        )  # fmt: skip
    if len(config.evm.rpc_urls) >= 3 * len(wanted) and config.evm.rpc_quorum == 1:
        return Finding(
            name="EVM", outcome="warn", text="the first endpoint that answers is believed alone",
            fix="omnibazaar config set evm.rpc_quorum 2",
        )  # fmt: skip
    return Finding(name="EVM", outcome="ok", text=f"chains {sorted(wanted)} answer")


def check_clock(data: DataDir, config: Config) -> Finding:
    """The clock agrees with a time server, as far as one can be reached."""
    offset_ms = measure_clock_offset_ms(NTP_SERVER)
    if offset_ms is None:
        return Finding(name="clock", outcome="warn", text=f"{NTP_SERVER} does not answer")
    text = f"{offset_ms:+d} ms against {NTP_SERVER}"
    if abs(offset_ms) > config.safety.clock_offset_ms_max:
        return Finding(name="clock", outcome="fail", text=text, fix="switch a time service on")
    return Finding(name="clock", outcome="ok", text=text)


def measure_clock_offset_ms(server: str) -> int | None:
    """Ask a time server (SNTP, RFC 4330); None when it does not answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT_S)
        try:
            sent = time.time()
            sock.sendto(b"\x23" + bytes(47), (server, 123))
            data = sock.recv(512)
            received = time.time()
        except OSError:
            return None
    if len(data) < 48:
        return None
    seconds, fraction = struct.unpack("!II", data[40:48])
    theirs = seconds - NTP_EPOCH_S + fraction / 2**32
    offset_ms: float = (theirs - (sent + received) / 2) * 1_000
    return round(offset_ms)


def _check_port(name: str, data: DataDir, listen: str, key: str) -> Finding:
    host, _, port = listen.rpartition(":")
    if data.is_locked():
        return Finding(name=name, outcome="ok", text=f"{listen}, held by the running daemon")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host.strip("[]"), int(port)))
        except OSError as error:
            return Finding(
                name=name, outcome="fail", text=f"{listen}: {error.strerror}",
                fix=f"stop the program that uses it, or set {key}",
            )  # fmt: skip
    return Finding(name=name, outcome="ok", text=f"{listen} is free")


def _chain_id(url: str) -> int | None:
    import json
    from urllib.request import Request, urlopen

    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'
    request = Request(url, body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:
            chain_id: str = json.loads(answer.read(4_096))["result"]
            return int(chain_id, 16)
    except (OSError, ValueError, KeyError, TypeError):
        return None
