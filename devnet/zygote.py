"""Load the daemon's code once and fork a validator process from it for each data directory.

    python -m devnet.zygote LOG_FOLDER NAME=DATA_DIR …

Prints one JSON object {name: pid} and ends; the validators live on in sessions of their own.

Rule: nothing runs before the fork but imports: no threads, no event loop, no open files.
Spec: docs/reference/devnet.md (Start). Deviations: a validator started alone (`devnet start v3`)
is an ordinary process of its own; the code it runs is the same. Loading it takes longer than all
else that a start does, so even two of them gain.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from pathlib import Path

import node.daemon  # loaded here on purpose: every fork shares it
from node.cli.root import call


def main() -> None:
    """Fork the validators named on the command line."""
    logs = Path(sys.argv[1])
    gc.collect()
    gc.freeze()
    pids = {}
    for argument in sys.argv[2:]:
        name, _, folder = argument.partition("=")
        pid = os.fork()
        if pid == 0:
            become_validator(logs / f"{name}.log", folder)
        pids[name] = pid
    print(json.dumps(pids), flush=True)
    os._exit(0)


def become_validator(log: Path, folder: str) -> None:
    """Leave the parent's session and files behind and run the daemon; never returns."""
    os.setsid()
    output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    source = os.open(os.devnull, os.O_RDONLY)
    os.dup2(source, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    assert node.daemon is not None
    code = 1
    try:
        code = call(["--data-dir", folder, "run"])
    except BaseException:  # noqa: BLE001  the end of this process: say why
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
