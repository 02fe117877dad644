"""Run anvil as the devnet's EVM chain, with the same funded accounts as the embedded one.

    python -m devnet.anvil --port P --data-dir D --chain-id N --accounts N --seed S

Rule: this process becomes anvil, so that whoever kills or pauses it kills or pauses the chain.
Spec: docs/spec/settlement.md §12. Deviations: what anvil did in its last second is lost when it is
killed: it writes its state once a second and on SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from contracts.chain.accounts import account_keys
from contracts.chain.anvil import anvil_command, start_anvil
from devnet.plan import EVM_BLOCK_MS


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
    state = options.data_dir / "anvil.json"
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
    os.execv(command[0], command)


def fund_accounts(chain_id: int, seed: int, count: int, state: Path) -> None:
    """Make the state that a new chain begins with."""
    addresses = [key.address for key in account_keys(seed, count)]
    start_anvil(chain_id=chain_id, block_ms=None, funded=addresses, state_file=state).stop()


if __name__ == "__main__":
    sys.exit(main())
