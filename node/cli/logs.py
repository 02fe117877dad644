"""Show the log file in readable form; works while the daemon is down.

Rule: the file is read as it is; what is no log line is printed unchanged.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from node.cli.context import Context
from node.cli.units import parse_span
from primitives.errors import OperatorError

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
POLL_S: Final = 0.3


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Wait for more.")
@click.option("-n", "--lines", default=100, show_default=True, help="Newest lines shown.")
@click.option("--since", help="Only the last 30s, 10m, 2h or 1d.")
@click.option(
    "--level", type=click.Choice(LEVELS[:4]), default="info", show_default=True, help="Least level."
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON lines as they are.")
@click.pass_obj
def logs(
    context: Context, follow: bool, lines: int, since: str | None, level: str, as_json: bool
) -> None:
    """Show what the daemon wrote.

    \b
    Example:
      omnibazaar logs -f --level warning
    """
    from node.logs import render_line

    file = context.data.log_file
    if not file.is_file():
        raise OperatorError(f"there is no log in {file.parent}", fix="has the node ever run here?")
    oldest = _parse_since(since)
    kept: deque[str] = deque(maxlen=max(1, lines))
    with file.open(encoding="utf-8", errors="replace") as stream:
        kept.extend(line for line in stream if _is_wanted(line, level, oldest))
        for line in kept:
            click.echo(line.rstrip("\n") if as_json else render_line(line, sys.stdout))
        if follow:
            for line in _new_lines(file, stream.tell()):
                if _is_wanted(line, level, oldest):
                    click.echo(line.rstrip("\n") if as_json else render_line(line, sys.stdout))


def _new_lines(file: Path, offset: int) -> Iterator[str]:
    """Yield lines as they are written; start again when the file was rolled over."""
    while True:
        with file.open(encoding="utf-8", errors="replace") as stream:
            if file.stat().st_size < offset:
                offset = 0
            stream.seek(offset)
            for line in stream:
                if not line.endswith("\n"):
                    break
                offset += len(line.encode("utf-8", "replace"))
                yield line
        time.sleep(POLL_S)


def _is_wanted(line: str, level: str, oldest: str) -> bool:
    try:
        fields = json.loads(line)
        found, stamp = fields["level"], fields["ts"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return True
    is_loud = found not in LEVELS or LEVELS.index(found) >= LEVELS.index(level)
    return is_loud and str(stamp) >= oldest


def _parse_since(text: str | None) -> str:
    if text is None:
        return ""
    moment = time.time() - parse_span(text, "--since")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
