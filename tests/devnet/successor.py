"""Follow the how-to for lost keys to the letter, on one machine.

Rule: what is run are the lines of the page; only folders, ports, the archive's CID and files that
lie elsewhere are replaced. The new network's nodes are real processes in folders beside the old.
Spec: docs/how-to/restart-after-lost-keys.md. Deviations: keys and settings of the new nodes are
written as a devnet's are, not by the commands of another page.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devnet.folders import node_command, write_validator
from devnet.plan import ValidatorPlan, plan_validator
from devnet.ports import PortBlock
from node.datadir import DataDir
from node.network_file import Bootstrap, Seat, load_network
from primitives.address import to_checksum
from tests.devnet.commands import REPOSITORY, environment, run_program
from tests.devnet.local_devnet import LocalDevnet

PAGE = REPOSITORY / "docs" / "how-to" / "restart-after-lost-keys.md"
SECTION = re.compile(r"^## (?:\d+\. )?(.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEW_SEED = 77  # keys of the members who were not there before


def read_sections() -> dict[str, list[str]]:
    """Return the command lines of every section of the page."""
    return {
        title: [line for block in BLOCK.findall(text) for line in block.splitlines() if line]
        for title, text in SECTION.findall(PAGE.read_text())
    }


@dataclass(slots=True)
class Successor:
    """The network that takes over, and the folder of one of its operators."""

    devnet: LocalDevnet
    survivors: int = 2
    sections: dict[str, list[str]] = field(default_factory=read_sections)

    @property
    def validators(self) -> tuple[ValidatorPlan, ...]:
        """Survivors with their old keys, and new members."""
        record = self.devnet.record
        ports = PortBlock(base=record.port_base)
        return tuple(
            plan_validator(record.seed if i < self.survivors else NEW_SEED, i, ports)
            for i in range(record.validators)
        )

    def run(self, line: str, folder: Path, *, code: int = 0, **names: str) -> Any:
        """Run a line of the page in an operator's folder; return its JSON, or what it printed."""
        for name, value in names.items():
            line = line.replace(name, value)
        is_ours = line.startswith("omnibazaar ")
        line = line.replace("omnibazaar ", f"{sys.executable} -m node.cli -y ", 1)
        done = run_program(["sh", "-c", f"{line} --json" if is_ours else line], folder)
        assert done.returncode == code, f"{line}: {done.stderr}"
        return json.loads(done.stdout) if is_ours and done.stdout else done.stderr

    def write_plan(self, file: Path, genesis_time_ms: int) -> None:
        """Write what the operators agree on."""
        seats = self.validators
        parts = {
            "name": "devnet-2",
            "genesis_time_ms": genesis_time_ms,
            "attempt": 1,
            "committee": [
                Seat(
                    name=seat.name,
                    address=to_checksum(seat.key.address),
                    payout=to_checksum(seat.payout.address),
                )
                for seat in seats
            ],
            "bootstrap": [
                Bootstrap(
                    address=to_checksum(seat.key.address),
                    peer_id=seat.peer_id,
                    multiaddrs=(f"/ip4/127.0.0.1/tcp/{seat.p2p_port}",),
                )
                for seat in seats
            ],
        }
        file.write_text(json.dumps(parts, default=_plain))

    def data(self, name: str) -> DataDir:
        return DataDir(self.devnet.root / f"next-{name}")

    def start(self, network_file: Path) -> None:
        """Start every validator of the new network."""
        network, file = load_network(network_file), network_file.read_bytes()
        processes = self.devnet.folder.processes
        for seat in self.validators:
            data = self.data(seat.name)
            write_validator(data, seat, network, file, [self.devnet.record.rpc])
            processes.start(
                seat.name,
                node_command(data),
                environment(),
            )


def _plain(value: Any) -> Any:
    return {name: getattr(value, name) for name in value.__struct_fields__}
