"""What whole networks and consensus cost: start, load, committees, catching up.

Rule: every load gets a new devnet, because resting orders cost time.
Spec: docs/reference/benchmarks.md. Deviations: none.
"""

from __future__ import annotations

from typing import Any, Final

from bench.devnets import run_devnet
from bench.rows import FAILED, Options, Row, judge, run_json

LOADS: Final = (  # title, options of bench.load
    ("light load", "--ops 1 --rate 20"),
    ("one order per action", "--ops 1 --rate {one}"),
    ("twenty orders per action", "--ops 20 --rate {twenty}"),
)
STARTS: Final = {
    "ready_s": "devnet: all validators ready",
    "first_final_s": "devnet: first final block",
    "first_trade_s": "devnet: first trade",
    "first_checkpoint_s": "devnet: first settled checkpoint",
}


def measure_start(options: Options) -> list[Row]:
    """From the prompt to the first block, trade and checkpoint; a node at rest."""
    command = "bench.start_times" + (" --rounds 1 --rest 10" if options.quick else "")
    code, found = run_json(command)
    if not found:
        return [Row(what="devnet: start", figure=judge(code or 1, ""), command=command)]
    rest = f"{found['rest_cpu_percent']} % of a core, {found['rest_rss_mb']} MB"
    return [
        *(Row(what=STARTS[n], figure=f"{found[n]} s", command=command) for n in STARTS),
        Row(what="a node at rest", figure=rest, command=command),
    ]


def measure_loads(options: Options) -> list[Row]:
    """Finality, commit to fill and orders per second, all nodes verifying everything."""
    rows = []
    seconds = 15 if options.quick else 60
    for title, words in LOADS:
        asked = words.format(one=options.one, twenty=options.twenty)
        with run_devnet("--traders", "0") as devnet:
            devnet.wait_up()
            command = f"bench.load {asked} --seconds {seconds}"
            code, found = run_json(f"{command} --folder {devnet.folder.root}")
            rows.append(Row(what=title, figure=describe(code, found), command=command))
    return rows


def describe(code: int, found: dict[str, Any]) -> str:
    """Put a load's report into one line; a bad exit means that nodes differ."""
    if not found:
        return FAILED
    finality, fill = found["finality_ms"], found["commit_to_fill_ms"]
    text = (
        f"{found['orders_per_second']} orders/s accepted, {found['fills']} fills; proposal → final"
        f" {finality['median']} ms (p95 {finality['p95']}); commit → fill {fill['median']} ms"
        f" (p95 {fill['p95']})"
    )
    return judge(code, text)


def measure_committee(options: Options) -> list[Row]:
    """CPU and bytes of one member per block."""
    command = "bench.committee" + (" --members 4,22" if options.quick else "")
    code, found = run_json(command)
    rows = [
        Row(
            what=f"consensus of {row['members']}, per block and node",
            figure=judge(
                code,
                f"{row['cpu_ms_per_block_and_node']:.2f} ms CPU,"
                f" {row['sent_bytes_per_block_and_node'] / 1_000:.1f} KB sent",
            ),
            command=command,
        )
        for row in found.get("committees", ())
    ]
    return rows or [Row(what="consensus", figure=judge(code or 1, ""), command=command)]


def measure_catch_up(options: Options) -> list[Row]:
    """State sync and replay of a node with an empty disk."""
    command = "bench.catch_up" + (" --blocks 10000" if options.quick else "")
    code, found = run_json(command)
    figure = (
        f"state of height {found['state_height']} in {found['state_s']} s;"
        f" replay {found['replay_blocks_per_s']} blocks/s"
        if found
        else ""
    )
    return [Row(what="an empty node catches up", figure=judge(code, figure), command=command)]
