"""Write what Slither needs to read the contracts into a directory of its own.

    python -m tests.contracts.slither DIRECTORY              # the vault's contracts
    python -m tests.contracts.slither DIRECTORY --private    # those for private tokens

Rule: the sources, the settings and the compiler are the build's own; the directory then holds the
sources, `input.json` and a program `solc` that stands in for the native one.
Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from contracts.build import node_modules
from tests.contracts.mutation.project import CONFIDENTIAL_TOKENS, SETTLEMENT, Project
from tests.contracts.solc_worker import solc_worker

OUTPUTS = ["abi", "metadata", "devdoc", "userdoc", "evm.bytecode", "evm.deployedBytecode"]
SOLC = """#!/usr/bin/env bash
if [ "$1" = --version ]; then
    echo "Version: 0.8.28+commit.7893614a.Linux.g++"
    exit
fi
exec node -e '
const solc = require(process.argv[1]);
let text = "";
process.stdin.on("data", (part) => (text += part));
process.stdin.on("end", () => process.stdout.write(solc.compile(text)));
' MODULES/solc
"""


def main() -> None:
    """Write the directory that is named."""
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.slither")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--private", action="store_true", help="contracts for private tokens")
    options = parser.parse_args()
    write(options.directory, CONFIDENTIAL_TOKENS if options.private else SETTLEMENT)


def write(directory: Path, project: Project) -> None:
    """Write the directory; it needs the compiler's package to stay where it is."""
    with node_modules() as modules, solc_worker(project.folder, project.root) as worker:
        document = worker.document(worker.sources, optimize=True, outputs=[])
        document["settings"]["outputSelection"] = {"*": {"": ["ast"], "*": OUTPUTS}}
        for name, text in worker.sources.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (directory / "input.json").write_text(json.dumps(document))
        program = directory / "solc"
        program.write_text(SOLC.replace("MODULES", str(modules.resolve())))
        program.chmod(0o755)


if __name__ == "__main__":
    main()
