"""What the contracts cost on the chain.

Rule: gas is counted, not timed; the figures are the same on every machine.
Spec: docs/reference/benchmarks.md. Deviations: none.
"""

from __future__ import annotations

from bench.rows import Options, Row, judge, run_json


def measure_gas(_: Options) -> list[Row]:
    """Gas of every call to the contracts."""
    code, found = run_json("bench.gas --json")
    return [
        Row(what=f"gas: {what}", figure=judge(code, str(gas)), command="bench.gas")
        for what, gas in found.get("gas", {}).items()
    ]
