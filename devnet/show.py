"""Print a devnet for people: the banner, the status table, one live line.

Rule: facts first, then what to try; a key is never shown without the warning that it is public.
Spec: docs/reference/devnet.md (Output). Deviations: none.
"""

from __future__ import annotations

import os
import sys
import time

import click

from devnet.folders import Folder, Record
from devnet.limits import LIVE_LINE_S, PLAIN_LINE_S
from devnet.plan import DevnetPlan, name_asset
from devnet.status import DevnetStatus, FeeShares, read_status
from node.cli.context import name_program
from node.cli.show import format_atoms
from primitives.address import to_checksum

WARNING = "WARNING: the keys below are public. Never send real funds to them."


def print_banner(folder: Folder, record: Record, plan: DevnetPlan, seconds: float) -> None:
    """Print where everything is and what to try."""
    echo = click.echo
    echo(
        f"omnibazaar devnet   seed {record.seed}   {record.validators} validators   "
        f"ready in {seconds:.1f} s   state {folder.root}"
    )
    echo(f"\n  {'node':6}{'api and page':26}{'p2p':8}address")
    for seat in plan.validators:
        url = f"http://127.0.0.1:{seat.api_port}"
        echo(f"  {seat.name:6}{url:26}{seat.p2p_port:<8}{to_checksum(seat.key.address)}")
    echo(f"\n{WARNING}\n")
    echo(f"  {'account':9}{'address':44}private key")
    for name, key in plan.people.items():
        echo(f"  {name:9}{to_checksum(key.address):44}0x{key.secret.hex()}")
    echo(f"\n{WARNING}")
    for chain, deployment in enumerate(plan.deployments):
        echo(
            f"\n  {record.chain_name(chain):10} {record.rpc_of(chain)}   "
            f"chain {deployment.chain_id}"
        )
        echo(f"  vault      {to_checksum(deployment.vault)}")
        for token in deployment.tokens:
            name = name_asset(token.symbol, chain)
            echo(f"  {name:10} {to_checksum(token.address)}   {token.decimals} decimals")
    echo(f"\n  page       http://127.0.0.1:{plan.validators[0].api_port}/")
    me = name_program()
    echo(f"  try        {me} devnet status")
    echo(f"             {me} devnet logs v2 -f")
    echo(f"             {me} devnet kill v3      (the others keep finalizing)")
    echo(f"             {me} devnet fund alice   (then she deposits and trades:)")
    home = os.path.relpath(folder.data(plan.validators[0].name).root)
    echo(f"             {me} -d {home} wallet deposit USDX 1000 --as alice")
    echo(f"             {me} -d {home} trade buy 100 XOM-USDX --limit 0.12 --as alice")
    echo(f"             {me} devnet down\n")


def print_status(status: DevnetStatus) -> None:
    """Print the status as a table."""
    echo = click.echo
    echo(f"  {'node':6}{'state':10}{'height':>9}{'final':>9}{'executed':>10}{'peers':>7}  root")
    for v in status.validators:
        state = "paused" if v.paused else "ready" if v.ready else "down" if not v.pid else "waits"
        echo(
            f"  {v.name:6}{state:10}{_cell(v.height):>9}{_cell(v.final):>9}"
            f"{_cell(v.executed):>10}{_cell(v.peers):>7}  {(v.state_root or '')[:18]}"
        )
    _print_quorum(status)
    echo(f"\n  {'market':12}{'orders':>8}{'trades':>9}{'bid':>14}{'ask':>14}")
    for m in status.markets:
        echo(f"  {m.name:12}{m.orders:>8}{m.trades:>9}{_cell(m.bid):>14}{_cell(m.ask):>14}")
    settled = status.settlement
    echo(f"\n  settled    {settled.checkpoints} checkpoints, height {settled.height}")
    for symbol, fees in settled.fees.items():
        if fees.total != "0":
            echo(f"  fees       {symbol} {_fees(fees)}")
    echo(f"  chat       {status.chat['messages']} messages")


def _print_quorum(status: DevnetStatus) -> None:
    """Say why nothing becomes final when too few are up; all weigh the same on a devnet."""
    up = [v for v in status.validators if v.final is not None and not v.paused]
    needed = 2 * len(status.validators) // 3 + 1
    if len(up) < needed:
        missing = [v.name for v in status.validators if v not in up]
        paused = [v.name for v in status.validators if v.paused]
        click.echo(
            f"\n  Nothing becomes final: {len(up)} of {len(status.validators)} validators answer, "
            f"{needed} are needed. Nothing is lost.\n  Next: {name_program()} devnet "
            f"{'resume' if paused else 'start'} {' '.join(paused or missing)}"
        )


def _fees(fees: FeeShares) -> str:
    """Show fees in whole units; in atoms if no market tells the decimals any more."""
    parts: tuple[str, ...] = (fees.total, fees.validators, fees.company, fees.development)
    if fees.decimals is not None:
        parts = tuple(format_atoms(int(atoms), fees.decimals) for atoms in parts)
    unit = "" if fees.decimals is not None else " atoms"
    total, validators, company, development = parts
    return (
        f"{total}{unit} = {validators} validators + {company} company + {development} development"
    )


def _cell(value: int | str | None) -> str:
    return "-" if value is None else str(value)


def run_live_line(folder: Folder, record: Record, *, quiet: bool) -> None:
    """Refresh one line until interrupted, or until somebody takes the devnet down.

    Without a terminal it prints a line now and then.
    """
    is_terminal = sys.stdout.isatty()
    started = time.monotonic()
    before: tuple[float, int] | None = None
    while folder.processes.names():
        now = time.monotonic()
        if not quiet:
            status = read_status(folder, record)
            actions = max((v.actions or 0 for v in status.validators), default=0)
            rate = 0.0
            if before is not None:
                rate = max(0, actions - before[1]) / max(now - before[0], 1e-9)
            before = (now, actions)
            line = format_line(status, int(now - started), rate)
            if is_terminal:
                click.echo(f"\r\x1b[K{line}", nl=False)
            else:
                click.echo(line)
        time.sleep(LIVE_LINE_S if is_terminal else PLAIN_LINE_S)
    if not quiet:
        click.echo("\ntaken down" if is_terminal else "taken down")


def format_line(status: DevnetStatus, seconds: int, actions_per_s: float) -> str:
    """Return the live line."""
    up = [v for v in status.validators if v.final is not None]
    final = max((v.final or 0 for v in up), default=0)
    finality = sorted(v.finality_ms or 0 for v in up)
    trades = sum(m.trades for m in status.markets)
    peers = "/".join(_cell(v.peers) for v in status.validators)
    delay = f"{finality[len(finality) // 2]} ms" if finality else "-"
    return (
        f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}  final {final}  "
        f"finality {delay}  actions/s {actions_per_s:.1f}  trades {trades}  "
        f"settled {status.settlement.checkpoints}  peers {peers}"
    )
