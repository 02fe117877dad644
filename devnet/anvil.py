"""Run anvil as the devnet's EVM chain, with the same funded accounts as the embedded one.

    python -m devnet.anvil --port P --data-dir D --chain-id N --accounts N --seed S

Rule: this process becomes anvil, so that whoever kills or pauses it kills or pauses the chain. A
child keeps a copy of each state that is written as a whole, because anvil writes in place, and a
kill in the middle leaves half a file.
Spec: docs/spec/settlement.md §12. Deviations: what anvil did in its last two seconds is lost when
it is killed: it writes its state once a second and on SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from contracts.chain.accounts import account_keys
from contracts.chain.anvil import anvil_command, start_anvil
from devnet.plan import EVM_BLOCK_MS
from primitives.errors import OperatorError

STATE: Final = "anvil.json"
COPY: Final = "anvil.copy.json"
LOOK_S: Final = 0.5


def main() -> int:
    """Become anvil."""
    parser = argparse.ArgumentParser(prog="python -m devnet.anvil")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--chain-id", type=int, required=True)
    parser.add_argument("--accounts", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    options.data_dir.mkdir(parents=True, exist_ok=True)
    state = restore_state(options.data_dir)
    if not state.exists():
        fund_accounts(options.chain_id, options.seed, options.accounts, state)
    states = options.data_dir / "states"
    shutil.rmtree(states, ignore_errors=True)  # an earlier life's: the state file has the newest
    command = anvil_command(
        chain_id=options.chain_id,
        block_ms=EVM_BLOCK_MS,
        port=options.port,
        states=states,
        state_file=state,
    )
    me = os.getpid()
    if os.fork() == 0:
        os.nice(10)
        keep_copies(options.data_dir, me)
        os._exit(0)
    os.execv(command[0], command)


def fund_accounts(chain_id: int, seed: int, count: int, state: Path) -> None:
    """Make the state that a new chain begins with."""
    addresses = [key.address for key in account_keys(seed, count)]
    start_anvil(chain_id=chain_id, block_ms=None, funded=addresses, state_file=state).stop()


def restore_state(folder: Path) -> Path:
    """Return the state to go on with; instead of half a state its copy. Raises OperatorError."""
    state, copy = folder / STATE, folder / COPY
    if not state.exists() or is_whole(state):
        return state
    if not is_whole(copy):
        raise OperatorError(
            f"{state} is damaged, and so is its copy",
            fix="begin the devnet anew: `omnibazaar devnet reset`",
        )
    return shutil.copyfile(copy, state)


def is_whole(state: Path) -> bool:
    """Whether a state was written to its end."""
    try:
        json.loads(state.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def keep_copies(folder: Path, parent: int) -> None:
    """Copy each new state that nobody is writing, until the parent has ended."""
    state, copied_ns = folder / STATE, 0
    while os.getppid() == parent:
        time.sleep(LOOK_S)
        try:
            written_ns = state.stat().st_mtime_ns
            if written_ns == copied_ns:
                continue
            made = shutil.copyfile(state, folder / f"{COPY}.new")
            if state.stat().st_mtime_ns == written_ns and is_whole(made):
                made.replace(folder / COPY)
                copied_ns = written_ns
        except OSError as error:  # a full disk: the last good copy stays
            print(f"the state of anvil could not be copied: {error}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
