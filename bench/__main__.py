"""Measure everything and print one table.

python -m bench [--quick] [--only WORD] [--data DIR]

Rule: each row is what a command of its own printed; the command stands beside it, so that any row
can be repeated alone. Exits 1 if a measurement failed or gave nothing.
Spec: docs/measurements.md.
Deviations: none.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import contract_rows, ledger_rows, network_rows
from bench.rows import FAILED, Options, Row

KINDS: Final[dict[str, Callable[[Options], list[Row]]]] = {
    "start": network_rows.measure_start,
    "load": network_rows.measure_loads,
    "committee": network_rows.measure_committee,
    "catch-up": network_rows.measure_catch_up,
    "pipeline": ledger_rows.measure_pipeline,
    "orderflow": ledger_rows.measure_order_flow,
    "matching": ledger_rows.measure_matching,
    "compiled": ledger_rows.measure_compiled,
    "scale": ledger_rows.measure_scale,
    "restart": ledger_rows.measure_restart,
    "gas": contract_rows.measure_gas,
}


def measure(kinds: list[str], options: Options) -> list[Row]:
    """Run the chosen measurements, one after the other; one without rows counts as failed."""
    rows: list[Row] = []
    for kind in kinds:
        print(f"measuring: {kind}", file=sys.stderr, flush=True)
        found = KINDS[kind](options)
        if not found and (kind != "orderflow" or options.data is not None):
            found = [Row(what=kind, figure=FAILED, command=f"bench --only {kind}")]
        rows += found
    return rows


def print_table(rows: list[Row]) -> None:
    """Print the rows in columns."""
    width = max((len(row.what) for row in rows), default=0)
    for row in rows:
        print(f"{row.what:<{width}}  {row.figure}\n{'':<{width}}    python -m {row.command}")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="shorter, and each start once")
    parser.add_argument("--only", choices=KINDS, help="one kind of measurement")
    parser.add_argument("--data", type=Path, default=os.environ.get("OMNIBAZAAR_DATA"))
    parser.add_argument("--one", type=float, default=2_100.0, help="orders/s at one per action")
    parser.add_argument("--twenty", type=float, default=10_800.0, help="orders/s at twenty")
    given = parser.parse_args()
    data = None if given.data is None else Path(given.data)
    options = Options(quick=given.quick, data=data, one=given.one, twenty=given.twenty)
    rows = measure([given.only] if given.only else list(KINDS), options)
    print_table(rows)
    return int(any(row.is_bad for row in rows))


if __name__ == "__main__":
    sys.exit(main())
