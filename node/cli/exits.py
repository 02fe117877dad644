"""Name the exit codes.

Rule: they are a contract with scripts and service managers; a code never changes its meaning.
Spec: docs/reference/exit-codes.md. Deviations: none.
"""

from __future__ import annotations

from typing import Final

OK: Final = 0
ERROR: Final = 1
USAGE: Final = 2
CONFIG: Final = 3
IN_USE: Final = 4
NOT_RUNNING: Final = 5
TIMED_OUT: Final = 6
NOT_READY: Final = 7
KEY: Final = 10
GUARD: Final = 11
DOPPELGANGER: Final = 12
SCHEMA: Final = 13
WRONG_NETWORK: Final = 14
UNSAFE_HOST: Final = 15
INTERRUPTED: Final = 130
TERMINATED: Final = 143

MEANINGS: Final[dict[int, str]] = {
    OK: "ok",
    ERROR: "error",
    USAGE: "wrong usage of a command",
    CONFIG: "the configuration cannot be used",
    IN_USE: "another process owns the data directory",
    NOT_RUNNING: "the daemon is not running or cannot be reached",
    TIMED_OUT: "no result in time",
    NOT_READY: "the node is not ready (syncing, no peers)",
    KEY: "a key file or its password is wrong",
    GUARD: "the signing guard is missing, damaged or behind",
    DOPPELGANGER: "our validator key is in use elsewhere",
    SCHEMA: "data, or the network's rules, are newer than this program",
    WRONG_NETWORK: "wrong network, genesis or EVM chain",
    UNSAFE_HOST: "refused at start: clock off or disk nearly full",
    INTERRUPTED: "SIGINT, clean stop",
    TERMINATED: "SIGTERM, clean stop",
}
