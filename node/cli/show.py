"""Print for people: errors in four parts, numbers with units, tables.

Rule: text may change freely; scripts use `--json` and exit codes.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from primitives.errors import NodeError, OperatorError, SafetyError

HINTS: Final = {
    "unknown_account": "deposit first: `omnibazaar wallet deposit ASSET AMOUNT`",
    "insufficient_funds": "`wallet balance` shows what is free; `trade cancel` frees what is held",
    "outside_band": "`omnibazaar market list` shows the band; place the limit within",
}
"""What to type after the ledger's commonest refusals."""


def show_error(error: NodeError) -> None:
    """Print what failed, what is at risk and what to do."""
    is_terminal = sys.stderr.isatty()
    click.echo(click.style(f"Error: {error}", fg="red" if is_terminal else None), err=True)
    risk = getattr(error, "risk", "")
    if isinstance(error, SafetyError):
        risk = "signing on could break safety; this node has stopped signing"
    if risk:
        click.echo(f"  risk  {risk}", err=True)
    code = getattr(error, "code", "")
    fix = getattr(error, "fix", "") or HINTS.get(code, "")
    if not fix and getattr(error, "action_id", None) and not code:
        fix = "`omnibazaar status` says whether blocks become final; look before you send it again"
    if fix:
        click.echo(f"  do    {fix}", err=True)
    if code:
        exit_code = f", exit {error.exit_code}" if isinstance(error, OperatorError) else ""
        click.echo(f"  more  docs/reference/errors.md  ({code}{exit_code})", err=True)


def show_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns; numbers to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [
        max(len(header), *(len(row[i]) for row in texts)) if texts else len(header)
        for i, header in enumerate(headers)
    ]
    is_number = [
        bool(rows) and all(isinstance(row[i], int | float) for row in rows)
        for i in range(len(headers))
    ]
    for line in ([list(headers)], texts):
        for row in line:
            cells = [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, is_number, strict=True)
            ]
            click.echo("  ".join(cells).rstrip())


def format_age(ms: int) -> str:
    """Return an age in words: `1.1 s`, `3 min`, `2 h`, `5 days`."""
    seconds = max(0, ms) / 1_000
    if seconds < 100:
        return f"{seconds:.1f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    if seconds < 129_600:
        return f"{seconds / 3_600:.0f} h"
    return f"{seconds / 86_400:.0f} days"


def format_atoms(atoms: int, decimals: int) -> str:
    """Return an amount in whole units, without trailing zeros."""
    whole, part = divmod(atoms, 10**decimals)
    text = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole}.{text}" if text else str(whole)


def shorten(text: str, head: int = 8, tail: int = 4) -> str:
    """Return the ends of a long hash or address."""
    return text if len(text) <= head + tail + 1 else f"{text[:head]}…{text[-tail:]}"


def show_bytes(count: int) -> str:
    """Return a number of bytes in at most four digits: 999 B, 12.3 KB, 1.2 GB."""
    if count < 1_000:
        return f"{count} B"
    size = float(count)
    for unit in ("KB", "MB", "GB"):
        size /= 1_000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1_000:.1f} TB"
