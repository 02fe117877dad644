"""Stop before a height whose rules this program does not know, and say so long before.

Rule: a program that is too old executes nothing of the new version: it ends with exit 13 once the
block before is executed. Its data stays as it is for the newer program.
Spec: docs/spec/upgrades.md. Deviations: none.
"""

from __future__ import annotations

from exchange import protocol as rules
from exchange.protocol import Protocol
from node.problems import Problems
from primitives.errors import OperatorError

EXIT_CODE = 13
UPDATE = "install the newer release and start again; keys, history and chain are kept"


class ProgramTooOld(OperatorError):
    """The network has decided on rules that this program does not know (exit 13)."""

    default_code = "UPG001"
    default_exit_code = EXIT_CODE


def verify_known(protocol: Protocol, height: int) -> None:
    """Raise ProgramTooOld when a height must be executed under a version we do not know."""
    version = protocol.version_at(height)
    if version > rules.NEWEST:
        raise ProgramTooOld(
            f"from height {height} on the network runs protocol {version}, this program knows "
            f"{rules.NEWEST}; nothing was executed or signed wrongly",
            fix=UPDATE,
        )


def note_upgrade(problems: Problems, protocol: Protocol) -> None:
    """Tell the operator of a decision that this program cannot follow."""
    if protocol.next_version > rules.NEWEST:
        problems.set(
            "UPG002",
            f"protocol {protocol.next_version} begins at height {protocol.next_height}; this "
            f"program knows {rules.NEWEST} and will stop there",
            fix=UPDATE,
        )
    else:
        problems.clear("UPG002")
