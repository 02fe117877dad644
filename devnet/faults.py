"""Break a devnet on purpose: kill, start, pause, resume, partition.

Rule: a fault is a real one — a signal to a process, or links that carry nothing — and every fault
has
a verb that ends it.
Spec: docs/reference/devnet.md (Faults). Deviations: none.
"""

from __future__ import annotations

import http.client
import json
import signal
from collections.abc import Sequence

from devnet.folders import Folder, Record
from devnet.limits import FAULT_S_MAX
from devnet.plan import derive_key
from devnet.ports import PortBlock
from devnet.start import start_chain, start_validators, validator_names
from primitives.address import to_checksum
from primitives.errors import OperatorError


def resolve(folder: Folder, record: Record, names: Sequence[str]) -> tuple[str, ...]:
    """Return the named processes; `all` means all validators. Raises OperatorError."""
    known = (*validator_names(record), *record.chain_names)
    wanted = validator_names(record) if "all" in names else tuple(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            raise OperatorError(
                f"there is no {name}; this devnet has {', '.join(known)}", exit_code=2
            )
    return wanted


def kill(folder: Folder, names: Sequence[str]) -> list[str]:
    """End processes at once (SIGKILL); return those that ran."""
    return [name for name in names if folder.processes.kill(name)]


def start(folder: Folder, record: Record, names: Sequence[str]) -> list[str]:
    """Start processes that are down; return those that were."""
    down = [name for name in names if not folder.processes.is_alive(name)]
    for name in down:
        if name in record.chain_names:
            start_chain(folder, record, name)
    start_validators(folder, [name for name in down if name not in record.chain_names])
    return down


def pause(folder: Folder, names: Sequence[str]) -> list[str]:
    """Stop processes where they are (SIGSTOP)."""
    return [name for name in names if folder.processes.send(name, signal.SIGSTOP)]


def resume(folder: Folder, names: Sequence[str]) -> list[str]:
    """Let paused processes go on (SIGCONT)."""
    return [name for name in names if folder.processes.send(name, signal.SIGCONT)]


def parse_groups(record: Record, groups: Sequence[str]) -> list[set[str]]:
    """Read `v0,v1 v2,v3`; whoever is not named is in a last group together. Raises
    OperatorError."""
    known = validator_names(record)
    parts = [{name for name in group.split(",") if name} for group in groups]
    named: set[str] = set()
    for part in parts:
        for name in part:
            if name not in known or name in named:
                raise OperatorError(f"{name} is unknown or in two groups", exit_code=2)
            named.add(name)
    rest = {name for name in known if name not in named}
    return [part for part in (*parts, rest) if part]


def partition(folder: Folder, record: Record, groups: Sequence[set[str]]) -> list[str]:
    """Let each validator exchange nothing with those outside its group; one group heals all.

    Return the validators that did not answer.
    """
    ports = PortBlock(base=record.port_base)
    failed = []
    for index, name in enumerate(validator_names(record)):
        group = next(group for group in groups if name in group)
        blocked = [
            to_checksum(derive_key(record.seed, "validator", other).address)
            for other, other_name in enumerate(validator_names(record))
            if other_name not in group
        ]
        if not _isolate(folder, name, ports.api(index), blocked):
            failed.append(name)
    return failed


def _isolate(folder: Folder, name: str, port: int, blocked: list[str]) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=FAULT_S_MAX)
    try:
        connection.request(
            "POST",
            "/v1/operator/isolate",
            json.dumps({"addresses": blocked}),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {folder.data(name).token()}",
            },
        )
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
