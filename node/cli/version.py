"""Show the version.

Rule: one line for people, one document for scripts.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import platform

import click

from node.cli.context import json_option
from node.cli.show import show_json
from node.datadir import LAYOUT_VERSION
from node.version import PROTOCOL, VERSION, describe_engine


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Show version, protocol, Python and whether the exchange runs compiled.

    \b
    Example:
      omnibazaar version --json
    """
    facts = {
        "version": VERSION,
        "protocol": PROTOCOL,
        "layout": LAYOUT_VERSION,
        "python": platform.python_version(),
        "exchange": describe_engine(),
    }
    if as_json:
        show_json(facts)
    else:
        click.echo(
            "omnibazaar " + "  ".join(f"{name} {value}" for name, value in facts.items())[8:]
        )
