"""Measure everything and print one table.

python -m bench [--quick] [--only WORD] [--data DIR]

Rule: each row is what a command of its own printed; the command stands beside it, so that any row
can be repeated alone. Exits 1 if a measurement failed.
Spec: docs/measurements.md.
Deviations: none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.devnets import run_devnet

LOADS: Final = (  # title, options of bench.load
    ("light load", "--ops 1 --rate 20"),
    ("one order per action", "--ops 1 --rate {one}"),
    ("twenty orders per action", "--ops 20 --rate {twenty}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    figure: str
    command: str


def run_json(command: str) -> tuple[int, dict[str, Any]]:
    """Run `python -m COMMAND` and return its exit code and last line."""
    words = [sys.executable, "-m", *command.split()]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode, json.loads(lines[-1]) if lines else {}


def measure_start(quick: bool) -> list[Row]:
    """From the prompt to the first block, trade and checkpoint; a node at rest."""
    command = "bench.start_times" + (" --rounds 1 --rest 10" if quick else "")
    _, found = run_json(command)
    names = {
        "ready_s": "devnet: all validators ready",
        "first_final_s": "devnet: first final block",
        "first_trade_s": "devnet: first trade",
        "first_checkpoint_s": "devnet: first settled checkpoint",
    }
    rows = [Row(what=names[n], figure=f"{found[n]} s", command=command) for n in names]
    rest = f"{found['rest_cpu_percent']} % of a core, {found['rest_rss_mb']} MB"
    return [*rows, Row(what="a node at rest", figure=rest, command=command)]


def measure_loads(quick: bool, one: float, twenty: float) -> list[Row]:
    """Finality, commit to fill and orders per second, all nodes verifying everything."""
    rows = []
    seconds = 15 if quick else 60
    for title, options in LOADS:
        asked = options.format(one=one, twenty=twenty)
        with run_devnet("--traders", "0") as devnet:  # a new one: resting orders cost time
            devnet.wait_up()
            command = f"bench.load {asked} --seconds {seconds}"
            code, found = run_json(f"{command} --folder {devnet.folder.root}")
            rows.append(Row(what=title, figure=describe(code, found), command=command))
    return rows


def describe(code: int, found: dict[str, Any]) -> str:
    """Put a load's report into one line."""
    if not found:
        return "failed"
    finality, fill = found["finality_ms"], found["commit_to_fill_ms"]
    text = (
        f"{found['orders_per_second']} orders/s accepted, {found['fills']} fills; proposal → final"
        f" {finality['median']} ms (p95 {finality['p95']}); commit → fill {fill['median']} ms"
        f" (p95 {fill['p95']})"
    )
    return text if code == 0 else f"{text}; NODES DIFFER"


def measure_pipeline() -> list[Row]:
    """What one order costs a node."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.pipeline"], stdout=subprocess.PIPE, text=True, check=True
    )
    rows = []
    for line in done.stdout.splitlines():
        if not line.startswith("{"):
            continue
        found = json.loads(line)
        if "orders_per_action" in found:
            what = f"decode, verify, execute: {found['orders_per_action']} orders per action"
            figure = f"{found['orders_per_second']} orders/s of one core"
            rows.append(Row(what=what, figure=figure, command="bench.pipeline"))
    return rows


def measure_order_flow(data: Path) -> list[Row]:
    """The recorded order flow, compared with the venue's own record."""
    rows = []
    for name in ("bitstamp_btcusd", "lobster_aapl", "cme_es_mbo", "databento_arl_mbo"):
        command = f"bench.orderflow {data / name}"
        code, found = run_json(command)
        equal = "all equal" if code == 0 else "NOT EQUAL"
        figure = f"{found.get('events_per_second', 0)} events/s, {equal}"
        rows.append(Row(what=name, figure=figure, command=f"bench.orderflow DIR/{name}"))
    return rows


def measure_gas() -> list[Row]:
    """Gas of every call to the contracts."""
    _, found = run_json("bench.gas --json")
    return [
        Row(what=f"gas: {what}", figure=str(gas), command="bench.gas")
        for what, gas in found.get("gas", {}).items()
    ]


def print_table(rows: list[Row]) -> None:
    """Print the rows in columns."""
    width = max(len(row.what) for row in rows)
    for row in rows:
        print(f"{row.what:<{width}}  {row.figure}\n{'':<{width}}    python -m {row.command}")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="shorter, and each start once")
    parser.add_argument("--only", default="", help="start, load, pipeline, orderflow or gas")
    parser.add_argument("--data", type=Path, default=os.environ.get("OMNIBAZAAR_DATA"))
    parser.add_argument("--one", type=float, default=2_100.0, help="orders/s at one per action")
    parser.add_argument("--twenty", type=float, default=10_800.0, help="orders/s at twenty")
    given = parser.parse_args()
    rows: list[Row] = []
    if given.only in ("", "start"):
        rows += measure_start(given.quick)
    if given.only in ("", "load"):
        rows += measure_loads(given.quick, given.one, given.twenty)
    if given.only in ("", "pipeline"):
        rows += measure_pipeline()
    if given.only in ("", "orderflow") and given.data is not None:
        rows += measure_order_flow(Path(given.data))
    if given.only in ("", "gas"):
        rows += measure_gas()
    print_table(rows)
    failed = ("failed", "NOT EQUAL", "NODES DIFFER")
    return int(any(word in row.figure for row in rows for word in failed))


if __name__ == "__main__":
    sys.exit(main())
