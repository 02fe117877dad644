"""Run the devnet's EVM chain as a process of its own.

    python -m contracts.chain --data-dir D [--port P] [--chain-id 31337] [--block-ms 1000]
                              [--accounts N --seed S] [--fund ADDRESS ...]
                              [--mpc]

Prints one JSON line when it serves: {"rpc", "chain_id", "height", "accounts"}. Ends on SIGTERM or
SIGINT after the block in hand.

Rule: the data directory is everything; the same directory continues the same chain.

Spec: docs/spec/settlement.md §12
Deviations: none
"""

from __future__ import annotations

import argparse
import fcntl
import json
import signal
import sys
import threading
import time
from pathlib import Path

from contracts.chain.accounts import BALANCE_WEI, account_keys
from contracts.chain.evm import EvmChain
from contracts.chain.methods import RpcMethods
from contracts.chain.server import BlockClock, ChainServer
from contracts.chain.store import ChainStore
from contracts.limits import ACCOUNTS_MAX
from primitives.address import parse_address, to_checksum
from primitives.errors import DataDirInUse, InvalidMessage, OperatorError


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options; exits with code 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="python -m contracts.chain")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--chain-id", type=int, default=31337)
    parser.add_argument("--block-ms", type=int, default=1000, help="time between blocks")
    parser.add_argument("--accounts", type=int, default=10, help="prefunded accounts")
    parser.add_argument("--seed", type=int, default=1, help="of the accounts' keys")
    parser.add_argument("--fund", action="append", default=[], type=_address, metavar="ADDRESS")
    parser.add_argument("--mpc", action="store_true", help="emulate COTI's precompile at 0x64")
    options = parser.parse_args(arguments)
    if not 0 <= options.accounts <= ACCOUNTS_MAX or not 10 <= options.block_ms <= 60_000:
        parser.error(f"at most {ACCOUNTS_MAX} accounts; 10 to 60000 ms between blocks")
    if not 0 <= options.seed < 2**63 or not 0 < options.chain_id < 2**53:
        parser.error("seed or chain id out of range")
    return options


def _address(text: str) -> bytes:
    """An address on the command line."""
    try:
        return parse_address(text)
    except InvalidMessage as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(options: argparse.Namespace) -> int:
    """Serve until a signal; returns the exit code."""
    options.data_dir.mkdir(parents=True, exist_ok=True)
    lock = (options.data_dir / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise DataDirInUse(
            f"{options.data_dir} is in use by another chain", fix="stop it or use another directory"
        ) from error
    keys = account_keys(options.seed, options.accounts)
    funded = [key.address for key in keys] + options.fund
    chain = EvmChain(
        chain_id=options.chain_id,
        store=ChainStore(options.data_dir / "chain.sqlite"),
        balances=[(address, BALANCE_WEI) for address in funded],
        now_s=lambda: int(time.time()),
        mpc=options.mpc,
    )
    methods = RpcMethods(chain, [key.address for key in keys], automine=False)
    server = ChainServer(methods, options.port)
    clock = BlockClock(methods, options.block_ms)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: clock.request_stop())
    threading.Thread(target=server.serve_forever, name="rpc", daemon=True).start()
    clock.start()
    ready = {
        "rpc": server.url,
        "chain_id": options.chain_id,
        "height": chain.head_number,
        "accounts": [to_checksum(key.address) for key in keys],
    }
    print(json.dumps(ready), flush=True)
    clock.wait()
    server.shutdown()
    server.server_close()
    chain.close()
    if clock.failure is not None:
        raise clock.failure
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the chain; an operator's mistake gives its exit code and a message."""
    try:
        return run(parse_arguments(arguments))
    except OperatorError as error:
        print(f"{error.code}: {error}\n  fix: {error.fix}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
