"""Write what Slither needs to read the contracts into a directory of its own.

    python -m tests.contracts.slither DIRECTORY

Rule: the sources, the settings and the compiler are the build's own; the directory then holds the
sources, `input.json` and a program `solc` that stands in for the native one.
Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from contracts.build import node_modules
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


def main(directory: Path) -> None:
    """Write the directory; it needs the compiler's package to stay where it is."""
    with node_modules() as modules, solc_worker() as worker:
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
    main(Path(sys.argv[1]))
