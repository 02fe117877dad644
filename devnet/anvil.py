"""Run anvil as the devnet's EVM chain, with the same funded accounts as the embedded one.

    python -m devnet.anvil --port P --data-dir D --chain-id N --accounts N --seed S

Rule: this process lives as long as anvil and ends it on SIGTERM.
Spec: docs/spec/settlement.md §12. Deviations: none.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from contracts.chain.accounts import account_keys
from contracts.chain.anvil import start_anvil
from devnet.plan import EVM_BLOCK_MS


def main() -> int:
    """Start anvil and wait for it."""
    parser = argparse.ArgumentParser(prog="python -m devnet.anvil")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--chain-id", type=int, required=True)
    parser.add_argument("--accounts", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    options.data_dir.mkdir(parents=True, exist_ok=True)
    funded = [key.address for key in account_keys(options.seed, options.accounts)]
    chain = start_anvil(
        chain_id=options.chain_id,
        block_ms=EVM_BLOCK_MS,
        funded=funded,
        port=options.port,
        state_file=options.data_dir / "anvil.json",
    )

    def stop(_number: int, _frame: FrameType | None) -> None:
        chain.stop()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return chain.process.wait()


if __name__ == "__main__":
    sys.exit(main())
