"""Follow the how-to for new validators to the letter, with other ports and addresses.

Rule: what is run are the lines of the page; only `OWNER`, `HOT`, the folder and the ports are
replaced, because several devnets run on one machine.
Spec: docs/how-to/join-as-a-validator.md. Deviations: none.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from devnet.ports import PortBlock
from tests.devnet.commands import REPOSITORY, environment, run_program
from tests.devnet.local_devnet import LOOK_S, LocalDevnet

PAGE = REPOSITORY / "docs" / "how-to" / "join-as-a-validator.md"
SECTION = re.compile(r"^## (?:\d+\. )?(.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read_sections() -> dict[str, list[str]]:
    """Return the command lines of every section of the page."""
    return {
        title: [line for block in BLOCK.findall(text) for line in block.splitlines() if line]
        for title, text in SECTION.findall(PAGE.read_text())
    }


class FifthValidator:
    """A validator that somebody makes who has read nothing but the page."""

    def __init__(self, devnet: LocalDevnet, index: int = 4) -> None:
        self.devnet = devnet
        self.name = f"fifth{index}"
        self.sections = read_sections()
        self.ports = PortBlock(base=devnet.record.port_base)
        self.index = index
        self.process: subprocess.Popen[bytes] | None = None
        (devnet.root / "password.txt").write_text("a password\n")
        (devnet.root / "password.txt").chmod(0o600)

    def address(self, role: str) -> str:
        """Return the address of a key as `keys list` shows it; a placeholder before it exists."""
        listed = json.loads(self.run_line("omnibazaar -d fifth keys list --json"))
        found: str = next(row["address"] for row in listed if row["role"] == role)
        return found

    def run_section(self, title: str) -> list[str]:
        """Run a section's lines; return what they print."""
        return [self.run_line(line) for line in self.sections[title]]

    def adapt(self, line: str) -> str:
        """Return a line of the page for this machine."""
        line = line.replace("-d fifth", f"-d {self.name}")
        line = line.replace("http://127.0.0.1:18630", self.devnet.record.rpc)
        line = line.replace("18791", str(self.ports.p2p(self.index)))
        line = line.replace("18790", str(self.ports.api(self.index)))
        if line.endswith("OWNER"):
            line = line.replace("OWNER", self.address("trader"))
        if line.endswith("HOT"):
            line = line.replace("HOT", self.address("validator"))
        return line.replace("omnibazaar ", f"{sys.executable} -m node.cli ", 1)

    def run_line(self, line: str) -> str:
        done = run_program(["sh", "-c", self.adapt(line)], self.devnet.root)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout

    def start(self) -> None:
        """Leave the page's `run` running."""
        line = self.sections["Run"][0]
        log: Path = self.devnet.folder.root / "logs" / f"{self.name}.log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                ["sh", "-c", f"exec {self.adapt(line)}"],
                cwd=self.devnet.root,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def remove(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def status(self) -> dict[str, Any]:
        """Return what the node says of itself; empty when it does not answer."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.ports.api(self.index), timeout=LOOK_S
        )
        try:
            connection.request("GET", "/v1/status")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()

    def problems(self) -> list[str]:
        return [problem["code"] for problem in self.status().get("problems", [])]

    def votes(self) -> int:
        validator = self.status().get("validator") or {}
        return int(validator.get("votes_sent") or 0)
