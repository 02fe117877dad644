"""What the exchange costs: per order, beside others, at scale, over a restart, compiled.

Rule: ratios are of one run; the absolute figures beside them are of this machine, now.
Spec: docs/reference/benchmarks.md. Deviations: none.
"""

from __future__ import annotations

from typing import Final

from bench.rows import Options, Row, judge, run_json, run_lines

VENUES: Final = ("bitstamp_btcusd", "lobster_aapl", "cme_es_mbo", "databento_arl_mbo")


def measure_pipeline(_: Options) -> list[Row]:
    """What one order costs a node."""
    code, lines = run_lines("bench.pipeline")
    return [
        Row(
            what=f"decode, verify, execute: {found['orders_per_action']} orders per action",
            figure=judge(code, f"{found['orders_per_second']} orders/s of one core"),
            command="bench.pipeline",
        )
        for found in lines
        if "orders_per_action" in found
    ]


def measure_order_flow(options: Options) -> list[Row]:
    """The recorded order flow, compared with the venue's own record."""
    rows = []
    for name in VENUES if options.data is not None else ():
        assert options.data is not None
        code, found = run_json(f"bench.orderflow {options.data / name}")
        figure = judge(code, f"{found.get('events_per_second', 0)} events/s, all compared")
        rows.append(Row(what=name, figure=figure, command=f"bench.orderflow DIR/{name}"))
    return rows


def measure_matching(options: Options) -> list[Row]:
    """Our engine beside every one from PyPI, fills compared."""
    command = "bench.matching" + (" --events 50000 --rounds 1" if options.quick else "")
    code, lines = run_lines(command)
    rows = [
        Row(
            what=f"matching: {found['engine']}",
            figure=judge(code, f"{found['events_per_second']} events/s"),
            command=command,
        )
        for found in lines
        if "events_per_second" in found
    ]
    ratios = lines[-1] if lines else {}
    figure = ", ".join(f"{name} {value}" for name, value in ratios.items())
    return [*rows, Row(what="matching: ratios", figure=judge(code, figure), command=command)]


def measure_compiled(options: Options) -> list[Row]:
    """Recorded blocks through the interpreted and the compiled exchange, roots compared."""
    command = "bench.compiled" + (" --events 5000" if options.quick else "")
    code, lines = run_lines(command)
    return [
        Row(
            what=f"compiled by interpreted: {found['recording']}",
            figure=judge(code, f"{found['times_faster']} times"),
            command=command,
        )
        for found in lines
    ]


def measure_scale(options: Options) -> list[Row]:
    """The cost of an order beside many others and in many markets."""
    command = "bench.scale" + (" --resting 1000,100000 --markets 1,10" if options.quick else "")
    code, lines = run_lines(command)
    rows = [
        Row(
            what=f"{found['resting']:,} resting orders, {found['markets']} markets",
            figure=judge(code, f"{found['execute_us']} µs per operation, {found['rss_mb']} MB"),
            command=command,
        )
        for found in lines
        if "resting" in found
    ]
    ratios = lines[-1] if lines else {}
    figure = ", ".join(f"{name} {value}" for name, value in ratios.items())
    return [*rows, Row(what="scale: ratios", figure=judge(code, figure), command=command)]


def measure_restart(options: Options) -> list[Row]:
    """Snapshot, restoration and replay beside many resting orders."""
    command = "bench.restart" + (" --resting 100000" if options.quick else "")
    code, found = run_json(command)
    figure = (
        f"restored in {found['restore_s']} s, {found['blocks']} blocks replayed in"
        f" {found['replay_s']} s, {found['restarted_memory_mb']} MB, roots equal"
        if found
        else ""
    )
    what = "restart beside resting orders"
    return [Row(what=what, figure=judge(code, figure), command=command)]
