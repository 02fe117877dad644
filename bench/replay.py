"""Replay a recording and print every root.

python -m bench.replay FILE

Rule: the output is one JSON line with the roots, which engine ran, and its CPU seconds; the same
recording gives the same roots on every machine and under both engines.
Spec: docs/how-to/compile-the-exchange.md
Deviations: none.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.recording import load_block, read_recording
from exchange.execute import execute
from node.version import describe_engine


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m bench.replay FILE", file=sys.stderr)
        return 2
    recording = read_recording(Path(arguments[0]))
    state = recording.start()
    blocks = [load_block(block) for block in recording.blocks]
    gc.collect()
    gc.freeze()
    gc.disable()
    started = time.process_time()
    roots = []
    fills = 0
    for block in blocks:
        outcome = execute(state, block)
        roots.append((outcome.state_root.hex(), outcome.fees_root.hex()))
        fills += len(outcome.fills)
    seconds = time.process_time() - started
    report = {
        "engine": describe_engine(),
        "blocks": len(blocks),
        "orders": state.next_order - 1,
        "fills": fills,
        "cpu_s": round(seconds, 4),
        "roots": roots,
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
