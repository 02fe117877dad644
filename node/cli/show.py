"""Print for people: errors in four parts, numbers with units, tables.

Rule: text may change freely; scripts use `--json` and exit codes.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from primitives.errors import NodeError, OperatorError, SafetyError

HINTS: Final = {
    "unknown_account": "deposit first: `omnibazaar wallet deposit ASSET AMOUNT`",
    "insufficient_funds": "`wallet balance` shows what is free; `trade cancel` frees what is held",
    "unknown_order": "`trade orders` shows what rests; it has filled or ended, or is another key's",
    "post_only_crosses": "`trade book` shows the best prices; place further away, or take without"
    " --maker",
    "needs_wallet": "sign with the wallet's own key: --as its name, without --account",
    "unknown_key": "the account has not granted this key, or names another: look at --account",
    "key_expired": "the wallet grants another key: `keys new`, then `wallet grant`",
    "key_revoked": "the wallet grants another key: `keys new`, then `wallet grant`",
    "key_lacks_market": "`wallet grants` shows the key's markets; the wallet grants another key",
    "over_key_notional": "`wallet grants` shows the most per order; an order that takes counts as"
    " the tier that hides it, which is up to ten times its size",
    "over_key_total": "the key has used its budget up; the wallet grants another key",
    "over_key_orders": "the key has used its orders up; the wallet grants another key",
    "deadline_passed": "compare this machine's clock with the world's: by it, what is signed is"
    " good for a minute",
    "nonce_out_of_window": "compare this machine's clock with the world's; `doctor` shows by how"
    " much it is off",
    "below_minimum": "the smallest amounts of each asset stand in the node's /v1/assets",
    "outside_band": "`omnibazaar market list` shows the band; place the limit within",
}
"""What to type after the ledger's commonest refusals."""


NUMBER: Final = re.compile(r"[-−+]?[0-9][0-9,]*(\.[0-9]+)?")
NO_NUMBER: Final = ("", "-", "–")
"""What stands in a column of numbers where there is none."""


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


def show_result(value: Any, text: str, as_json: bool) -> None:
    """Print what a command has done: one JSON document, or a text for people."""
    show_json(value) if as_json else click.echo(text)


def show_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns; numbers to the right, their decimal points under each other."""
    columns = [_align(header, [str(row[i]) for row in rows]) for i, header in enumerate(headers)]
    for cells in zip(*columns, strict=True):
        click.echo("  ".join(cells).rstrip())


def _align(header: str, cells: list[str]) -> list[str]:
    """Return a column with its header, all of one width."""
    is_number = any(map(NUMBER.fullmatch, cells)) and all(
        cell in NO_NUMBER or NUMBER.fullmatch(cell) for cell in cells
    )
    if is_number:
        places = max(len(cell.partition(".")[2]) for cell in cells)
        cells = [_pad_decimals(cell, places) for cell in cells]
    width = max(len(cell) for cell in (header, *cells))
    return [cell.rjust(width) if is_number else cell.ljust(width) for cell in (header, *cells)]


def _pad_decimals(cell: str, places: int) -> str:
    part = cell.partition(".")[2]
    missing = places - len(part) + (not part and places > 0)
    return cell + " " * (0 if cell in NO_NUMBER else missing)


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
