"""Run the daemon in the foreground.

Rule: the operating system's service manager starts and stops it; there is no daemoniser.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import importlib
import os
import shutil
from typing import Any

import click

from node.cli import exits
from node.cli.context import Context
from node.config_schema import Config
from node.datadir import DataDir
from node.keys.keystore import find_key
from node.network_file import load_network
from node.sync.named import parse_named
from node.version import VERSION
from primitives.errors import KeystoreError, OperatorError


@click.command()
@click.option("--p2p-listen", help="p2p.listen: HOST:PORT for other nodes.")
@click.option("--api-listen", help="api.listen: HOST:PORT for API and page.")
@click.option("--evm-rpc", multiple=True, help="evm.rpc_urls: URL of an EVM chain; repeatable.")
@click.option("--validator-key", help="validator.key: first digits of its address.")
@click.option("--password-file", help="validator.password_file.")
@click.option("--trusted-checkpoint", help="sync.trusted_checkpoint: HEIGHT:0xHASH of a block.")
@click.option("--profile", help="profile: home, lowpower or test.")
@click.option("--log-level", help="log.level: debug, info, warning or error.")
@click.option("--log-format", help="log.format: auto, human or json.")
@click.pass_obj
def run(
    context: Context,
    p2p_listen: str | None,
    api_listen: str | None,
    evm_rpc: tuple[str, ...],
    validator_key: str | None,
    password_file: str | None,
    trusted_checkpoint: str | None,
    profile: str | None,
    log_level: str | None,
    log_format: str | None,
) -> int:
    """Run the node until Ctrl-C; twice to force.

    \b
    Example:
      omnibazaar run --api-listen 127.0.0.1:8640
    """
    flags: dict[str, Any] = {
        "p2p.listen": p2p_listen,
        "api.listen": api_listen,
        "evm.rpc_urls": list(evm_rpc) or None,
        "validator.key": validator_key,
        "validator.password_file": password_file and os.path.abspath(password_file),
        "sync.trusted_checkpoint": trusted_checkpoint,
        "profile": profile,
        "log.level": log_level,
        "log.format": log_format,
    }
    os.umask(0o077)  # what the daemon writes is its user's alone
    config = context.load_config(flags).config
    parse_named(config.sync.trusted_checkpoint)
    check_first(context.data, config)
    daemon = importlib.import_module("node.daemon")  # libp2p is loaded here and not before
    code: int = daemon.run(context.data, config, VERSION)
    return code


def check_first(data: DataDir, config: Config) -> None:
    """Find the usual mistakes before the slow imports. Raises OperatorError."""
    network = load_network(data.root / config.network)
    if data.exists():
        data.verify_layout(network.genesis_hash)
    data.verify_permissions()
    data.verify_free()
    verify_disk(data, config)
    if not config.validator.key:
        raise KeystoreError(
            "no validator key is configured",
            code="KEY005",
            fix="omnibazaar keys new; then omnibazaar config set validator.key DIGITS",
        )
    find_key(data.keys, config.validator.key)


def verify_disk(data: DataDir, config: Config) -> None:
    """Raise OperatorError (exit 15) when the disk is nearly full: votes could not be recorded."""
    free_mb = shutil.disk_usage(data.root).free >> 20
    least_mb = config.safety.disk_free_mb_min
    if free_mb < least_mb:
        raise OperatorError(
            f"only {free_mb} MB are free beside {data.root}, {least_mb} MB are needed",
            code="DSK002",
            fix="free some space, or lower safety.disk_free_mb_min",
            exit_code=exits.UNSAFE_HOST,
        )
