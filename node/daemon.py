"""Run one node as a process: load, lock, serve, stop.

Rule: everything that can be wrong with the surroundings is found before the first vote and ends
with the
exit code of its error; SIGTERM and SIGINT end in order, the second one at once.
Spec: docs/reference/exit-codes.md; docs/spec/node.md (Life cycle). Deviations: none.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
from collections.abc import Sequence
from pathlib import Path

import trio

from node.api.access import Access
from node.api.app import build_app
from node.api.server import open_listeners, serve
from node.api.ticker import run_ticker
from node.config_schema import Config
from node.datadir import DataDir
from node.keys.keystore import find_key, load_key, read_password
from node.limits import FILES_WANTED, GC_THRESHOLDS, SHUTDOWN_S
from node.logs import set_up_logs
from node.network_file import load_network
from node.node import Node, Setup
from node.service import Service
from p2p.identity import SEED_BYTES
from primitives.errors import KeystoreError, NodeError
from primitives.secp256k1 import PrivateKey

log = logging.getLogger("omnibazaar.node")

EXIT_OF_SIGNAL = {signal.SIGINT: 130, signal.SIGTERM: 143}


def run(data: DataDir, config: Config, version: str) -> int:
    """Run until a signal; return the exit code. Raises OperatorError and SafetyError."""
    file = load_network(data.root / config.network)
    data.create(file.name, file.genesis_hash)
    data.verify_permissions()
    with data.lock():
        set_up_logs(config.log, file=data.log_file)
        raise_file_limit()
        key, gas_key = load_keys(data, config)
        setup = Setup(
            config=config,
            data=data,
            file=file,
            key=key,
            gas_key=gas_key,
            seed=load_identity(data),
            listen=(to_multiaddr(config.p2p.listen),),
            announce=tuple(map(to_multiaddr, config.p2p.announce)),
            version=version,
        )
        return run_lives(setup)


def raise_file_limit() -> None:
    """Take as many open files as the system grants: else two addresses that fill the API's seats
    leave no file for a connection to another validator."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        log.warning("only %d files may be open: %s", soft, error)


def run_lives(setup: Setup) -> int:
    """Run the node, again whenever it wants to begin anew; return the exit code."""
    while (code := trio.run(_main, setup)) is None:
        log.info("starting again")
        gc.unfreeze()  # what was frozen is never collected: a whole state for each life
        gc.collect()
    return code


def load_keys(data: DataDir, config: Config) -> tuple[PrivateKey, PrivateKey]:
    """Return the validator's key and the one that pays gas. Raises KeystoreError."""
    if not config.validator.key:
        raise KeystoreError(
            "no validator key is configured",
            fix="omnibazaar keys new; then omnibazaar config set validator.key ADDRESS",
        )
    password_file = Path(config.validator.password_file) if config.validator.password_file else None
    if password_file is not None and not password_file.is_absolute():
        password_file = data.root / password_file
    password = read_password(password_file) or ""
    key = load_key(find_key(data.keys, config.validator.key), password)
    if not config.evm.gas_key:
        return key, key
    return key, load_key(find_key(data.keys, config.evm.gas_key), password)


def to_multiaddr(listen: str) -> str:
    """Turn HOST:PORT into a libp2p TCP multiaddr; a host is an IP address or a name."""
    host, _, port = listen.rpartition(":")
    if host.startswith("["):
        return f"/ip6/{host[1:-1]}/tcp/{port}"
    is_name = any(character.isalpha() for character in host)
    return f"/{'dns' if is_name else 'ip4'}/{host}/tcp/{port}"


def load_identity(data: DataDir) -> bytes:
    """Return the seed of the p2p identity. Raises KeystoreError."""
    try:
        seed = bytes.fromhex(data.node_key_file.read_text().strip())
    except (OSError, ValueError):
        seed = b""
    if len(seed) != SEED_BYTES:
        raise KeystoreError(
            f"the p2p identity {data.node_key_file} is missing or damaged",
            fix="omnibazaar init makes a new one; peers then have to learn it",
        )
    return seed


async def _main(setup: Setup) -> int | None:
    """Run one life of the node; None when it shall begin anew."""
    host, _, port = setup.config.api.listen.rpartition(":")
    listeners = await open_listeners(host.strip("[]"), int(port))
    node = Node(setup)
    code_of: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch_signals, node, code_of)
        await nursery.start(_run_node, node, nursery.cancel_scope)
        await _serve_api(node, setup, listeners)
    log.info("stopped")
    if node.begins_anew and not code_of:
        return None
    return code_of[0] if code_of else 0


async def _serve_api(node: Node, setup: Setup, listeners: Sequence[trio.SocketListener]) -> None:
    """Serve until cancelled; the file that tells where goes with it."""
    settings = setup.config.api
    access = Access(
        token=setup.data.token(),
        hosts=frozenset(settings.hosts),
        origins=frozenset(settings.origins),
        requests_per_s=settings.requests_per_s,
        actions_per_s=settings.actions_per_s,
    )
    service = Service(node)
    app = build_app(service, access, version=setup.version, on_answer=node.metrics.on_answer)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, app, listeners)
        nursery.start_soon(run_ticker, service)
        with setup.data.announce(url):
            log.info("API and page at %s", url)
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            await trio.sleep_forever()


async def _run_node(
    node: Node,
    scope: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the node; when it ends, the API ends with it."""
    try:
        await node.run(task_status=task_status)
    finally:
        scope.cancel()


async def _watch_signals(node: Node, code_of: list[int]) -> None:
    """Stop in order on the first signal, at once on the second or when stopping takes too long."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if code_of:
                os._exit(code_of[0])
            code_of.append(EXIT_OF_SIGNAL[signal.Signals(number)])
            log.info("stopping on %s", signal.Signals(number).name)
            signal.signal(signal.SIGALRM, lambda *_: os._exit(code_of[0]))
            signal.alarm(SHUTDOWN_S)
            node.request_stop()


def explain(error: BaseException) -> NodeError | None:
    """Return the expected error inside a group of failures, if that is all it was."""
    if isinstance(error, NodeError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [explain(inner) for inner in error.exceptions]
        expected = [one for one in found if one is not None]
        return expected[0] if expected else None
    return None
