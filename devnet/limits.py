"""Bound what a devnet starts, waits for and asks.

Rule: every number that limits size, time or count in `devnet/` is named here, with its unit.
Spec: docs/reference/devnet.md (Limits). Deviations: none.
"""

from __future__ import annotations

from typing import Final

PORT_BASE: Final = 18_640  # first validator's API; the chain has the ten ports before it
PORTS_PER_NODE: Final = 10
PORT_BLOCKS_MAX: Final = 200
CONFIRMATIONS_MAX: Final = 100  # EVM blocks
CHAINS_MAX: Final = 4  # EVM chains; their ports lie below the validators'
VALIDATORS_MIN: Final = 1
VALIDATORS_MAX: Final = 16
TRADERS_MAX: Final = 64
EPOCH_BLOCKS: Final = 600  # heights of a devnet's epoch unless asked for; 0: one without end
EPOCH_BLOCKS_MIN: Final = 40
EPOCH_BLOCKS_MAX: Final = 1_000_000

READY_S_MAX: Final = 240  # until all validators are ready; one that has ended is told at once
STOP_S_MAX: Final = 30  # a process has this long to end by itself
STATUS_S_MAX: Final = 3  # one validator's answer
LIVE_LINE_S: Final = 1  # between two refreshes on a terminal
PLAIN_LINE_S: Final = 10  # between two lines without a terminal
CHAIN_S_MAX: Final = 120  # until the EVM chain answers; one that has ended is told at once
FAULT_S_MAX: Final = 20  # a validator takes an order to isolate itself
STATUS_BYTES_MAX: Final = 4 << 20  # one answer of a validator
