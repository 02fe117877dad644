"""The command line, `omnibazaar`.

Rule: importing this package loads nothing but itself; each command is imported when it is invoked,
so `--help` and `status` stay quick.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its code."""
    from node.cli.root import run

    run()
