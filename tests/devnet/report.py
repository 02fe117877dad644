"""Say how a network of processes was when a test of it failed.

Rule: the newest facts come last, since the end of a long log is what people read: what the nodes
wrote, what was typed, and one line for every node.
Spec: docs/how-to/run-the-tests.md (A failure). Deviations: none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.devnet.commands import last_commands
from tests.devnet.local_devnet import LocalDevnet
from tests.devnet.lone_node import LoneNode

TAIL = 25  # lines of each log
WARNINGS = 15  # lines above INFO, of the whole log
LINE = 300  # characters
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
FACTS = ("epoch", "view", "height", "final", "executed", "ready", "evm", "peers")

Section = tuple[str, str]


def describe(devnets: Sequence[LocalDevnet], lone: Sequence[LoneNode] = ()) -> list[Section]:
    """Return titled texts about everything that runs or ran."""
    made = [one for one in devnets if one.folder.exists()]
    sections = [
        read_log(log) for one in made for log in sorted((one.folder.root / "logs").glob("*.log"))
    ]
    sections += [read_log(one.log) for one in lone if one.log.exists()]
    sections.append(("commands, the last one last", "\n".join(last_commands) or "none"))
    sections += [(f"nodes of {one.root}", "\n".join(describe_nodes(one))) for one in made]
    return sections


def read_log(path: Path) -> Section:
    """Return what a process warned of, then what it wrote last."""
    lines = [COLOUR.sub("", line)[:LINE] for line in path.read_text(errors="replace").splitlines()]
    earlier = [line for line in lines[:-TAIL] if " WARN" in line or " ERROR" in line]
    return path.name, "\n".join([*earlier[-WARNINGS:], "…", *lines[-TAIL:]])


def describe_nodes(devnet: LocalDevnet) -> list[str]:
    """Return one line for every process of a devnet."""
    table = devnet.folder.processes
    found = []
    for name in table.names():
        state = "paused" if table.is_paused(name) else "runs" if table.is_alive(name) else "is gone"
        answer = devnet.ask(name, "/v1/status") if name in devnet.names else {}
        if answer is None:
            state += ", does not answer"
        facts = [f"{fact}={answer[fact]}" for fact in FACTS if answer and fact in answer]
        problems = [one["code"] for one in (answer or {}).get("problems", ())]
        found.append(" ".join([f"{name} {state}", *facts, *problems]))
    return found
