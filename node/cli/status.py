"""Show one screen: ready or not and why, chain, validator, network, markets.

Rule: words before numbers, at most 24 lines; exit 0 only when the node is ready (7 otherwise).
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import json
import time
from typing import Any

import click

from node.cli import exits, http
from node.cli.context import Context, json_option
from node.cli.show import format_age, shorten, show_json
from primitives.errors import NodeError, NotRunning


@click.command()
@click.option("--watch", is_flag=True, help="Repeat every second until Ctrl-C.")
@click.option("--live", is_flag=True, help="Exit 0 as soon as the daemon answers.")
@json_option
@click.pass_obj
def status(context: Context, watch: bool, live: bool, as_json: bool) -> int:
    """Show whether the node is ready.

    \b
    Example:
      omnibazaar status --json
    """
    while True:
        try:
            url = context.find_url()
        except NotRunning:
            progress = read_progress(context)
            if progress is None:
                raise
            if as_json:
                show_json({"ready": False, "sync": progress})
            else:
                click.echo(f"CATCHING UP   {progress['line']}")
            if not watch:
                return exits.NOT_READY
            time.sleep(1)
            continue
        found = http.get(url, "/v1/status")
        if as_json:
            show_json(found)
        else:
            if watch:
                click.clear()
            for line in describe(found, _markets(url)):
                click.echo(line)
        if not watch:
            return exits.OK if live or found["ready"] else exits.NOT_READY
        time.sleep(1)


def read_progress(context: Context) -> dict[str, Any] | None:
    """Return what a daemon notes that fetches a state and has no API yet; None without one."""
    if not context.data.is_locked():
        return None
    try:
        found = json.loads(context.data.sync_file.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("line"), str) else None


def _markets(url: str) -> list[dict[str, Any]]:
    try:
        markets: list[dict[str, Any]] = http.get(url, "/v1/markets")["markets"]
    except NodeError:
        return []
    return markets


def describe(found: dict[str, Any], markets: list[dict[str, Any]]) -> list[str]:
    """Return the lines of the screen."""
    now = found["now_ms"]
    ready = "READY" if found["ready"] else "NOT READY"
    age = format_age(now - found["block_time_ms"])
    lines = [
        f"{ready}   {found['network']}   omnibazaar {found['version']}"
        f"   up {format_age(now - found['started_ms'])}",
        f"chain      height {found['height']}  final {found['final']}  executed "
        f"{found['executed']}  {age} ago   finality {found['finality_ms'] or '–'} ms",
        f"           block {found['block_cid'] or 'genesis'}",
        f"           root  {found['state_root']}",
    ]
    validator = found["validator"]
    if validator is None:
        lines.append("validator  none; this is a full node")
    else:
        seat = "no seat" if validator["index"] is None else f"seat {validator['index']}"
        signed = format_age(now - validator["last_signed_ms"]) + " ago"
        lines += [
            f"validator  {shorten(validator['address'])}  {seat}  weight {validator['weight']}"
            f"  votes {validator['votes_sent']}  proposed {validator['proposals']}",
            f"guard      last signed view {validator['last_signed_view']}"
            f"  {signed if validator['last_signed_ms'] else 'never'}",
        ]
    lines += [
        f"network    {found['peers']} peers ({found['peers_in']} in, {found['peers_out']} out)"
        f"   waiting actions {found['mempool_actions']}",
        f"settlement {found['checkpoints']} checkpoints   EVM {'ok' if found['evm'] else 'away'}",
        f"activity   {found['actions']} actions  {found['trades']} trades"
        f"  {found['chat_messages']} messages  {found['verified_signatures']} signatures verified",
    ]
    if found["decisions_waiting"]:
        lines.append(
            f"decisions  {found['decisions_waiting']} wait for your word: omnibazaar decision list"
        )
    for market in markets[:6]:
        lines.append(
            f"market     {market['name']:<12} last {_price(market, market['last_price'])}"
            f"  bid {_price(market, market['best_bid'])}  ask {_price(market, market['best_ask'])}"
            f"  {market['trades']} trades"
        )
    if not found["ready"]:
        lines.append(f"waits for  {found['waits_for']}")
    problems = found["problems"]
    lines.append("problems   none" if not problems else "problems")
    lines += [f"  {item['code']}  {item['message']}  → {item['fix']}" for item in problems]
    return lines


def _price(market: dict[str, Any], ticks: int | None) -> str:
    if ticks is None:
        return "–"
    exponent = market["base"]["decimals"] - market["quote"]["decimals"]
    value = ticks * market["tick"] * 10.0**exponent / market["lot"]
    return f"{value:.8g}"
