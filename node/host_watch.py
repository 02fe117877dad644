"""Look after what surrounds the node: its clock, its disk, its registration.

Rule: what is found is told as a condition with a way out; only a full disk stops duties.
Spec: docs/spec/node.md (Clock); docs/reference/errors.md. Deviations: none.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from node.node import Node

LOOK_S = 1.0
CLOCK_PROBLEM_S = 10.0  # a jump is shown for this long
CLOCK_AHEAD_MS_MAX = 60_000  # ahead of clock and chain by more, a node begins anew

log = logging.getLogger("omnibazaar.node")


async def watch_host(node: Node, root: Path) -> None:
    """Look once a second until cancelled."""
    jumped_at = -CLOCK_PROBLEM_S
    while True:
        if follow_clock(node):
            jumped_at = trio.current_time()
        elif trio.current_time() - jumped_at > CLOCK_PROBLEM_S:
            node.problems.clear("CLK001")
        check_time(node)
        check_disk(node, root)
        check_registration(node)
        await trio.sleep(LOOK_S)


def follow_clock(node: Node) -> bool:
    """Follow the system's clock; True when it has jumped."""
    jump_ms = node.clock.follow_wall()
    if jump_ms:
        node.problems.set(
            "CLK001",
            f"the system clock jumped by {jump_ms} ms; the node follows it",
            fix="run a time service (chrony, systemd-timesyncd)",
        )
    return bool(jump_ms)


def check_time(node: Node) -> None:
    """Begin anew when this node alone lives in the future.

    After a step forward and back its time runs at half speed for as long again, twice over, and
    others refuse all blocks that it proposes meanwhile. A new life begins with the true time. When
    everybody's clock was wrong, the chain is ahead too, and time goes on as it is.
    """
    now_ms = node.clock.now_ms()
    if min(node.clock.ahead_ms, now_ms - node.replica.tip.time_ms) <= CLOCK_AHEAD_MS_MAX:
        return
    log.warning(
        "time here is %d s ahead of clock and chain; it is set", node.clock.ahead_ms // 1_000
    )
    node.begin_anew()


def check_disk(node: Node, root: Path) -> None:
    """Stop duties while too little of the disk is free."""
    least_mb = node.config.safety.disk_free_mb_min
    try:
        free_mb = shutil.disk_usage(root).free >> 20
    except OSError:
        free_mb = 0  # who cannot even ask cannot write
    if free_mb >= least_mb:
        node.problems.clear("DSK002")
        return
    node.problems.set(
        "DSK002",
        f"{free_mb} MB of disk are free, {least_mb} are wanted; voting has stopped",
        fix="free some space; voting resumes by itself",
        stops_duties=True,
    )


def check_registration(node: Node) -> None:
    """Say so while nobody can know this node's key."""
    keeper, key = node.ledger.scorekeeper, node.key.address
    if node.me is not None or (keeper is not None and keeper.find(key) is not None):
        node.problems.clear("VAL001")
        return
    node.problems.set(
        "VAL001",
        f"the key 0x{key.hex()} is not registered: other validators do not let this node in",
        fix="omnibazaar validator join; it takes effect when the EVM block is attested",
    )
