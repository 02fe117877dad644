"""Snapshot a state with many resting orders, restart from it in another process, replay, compare.

python -m bench.restart [--resting 1000000] [--markets 4] [--blocks 32]

Rule: the second process gets the snapshot's chunks and the recorded blocks as files and nothing
else; every root must be the first one's. Exits 1 if not.
Spec: docs/reference/benchmarks.md
Deviations: none.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from bench.recording import Recording, load_block, read_recording, record_block, write_recording
from bench.resting import Crowd, get_memory_mb
from exchange.execute import execute
from exchange.restore import restore
from exchange.roots import compute_roots, compute_state_root
from exchange.snapshot import snapshot


def prepare(folder: Path, resting: int, markets: int, blocks: int) -> dict[str, Any]:
    """Write the snapshot and the blocks after it; returns what it took and the roots."""
    crowd = Crowd(resting, markets)
    execute(crowd.state, crowd.make_block(1, 1_000))
    live = sum(len(market.book.orders) for market in crowd.state.markets)
    gc.collect()
    gc.freeze()
    started = time.process_time()
    chunks = snapshot(crowd.state)
    seconds = time.process_time() - started
    root = compute_state_root(compute_roots(crowd.state))
    (folder / "chunks").write_bytes(msgspec.msgpack.encode(chunks))
    recorded, roots = [], [root.hex()]
    for height in range(2, blocks + 2):
        block = crowd.make_block(height, 1_000)
        recorded.append(record_block(block))
        roots.append(execute(crowd.state, block).state_root.hex())
    write_recording(Recording(crowd.genesis, (), tuple(recorded)), folder / "blocks")
    return {
        "orders": live,
        "snapshot_s": round(seconds, 2),
        "snapshot_mb": round(sum(map(len, chunks)) / 1e6, 1),
        "chunks": len(chunks),
        "memory_mb": get_memory_mb(),
        "roots": roots,
    }


def resume(folder: Path) -> dict[str, Any]:
    """Restore and replay; returns what it took and the roots."""
    chunks = msgspec.msgpack.decode((folder / "chunks").read_bytes(), type=tuple[bytes, ...])
    recording = read_recording(folder / "blocks")
    gc.disable()  # as a node does while it starts
    started = time.process_time()
    state = restore(recording.genesis, chunks)
    restored = time.process_time()
    gc.freeze()
    gc.enable()
    roots = [compute_state_root(compute_roots(state)).hex()]
    blocks = [load_block(block) for block in recording.blocks]
    begun = time.process_time()
    roots += [execute(state, block).state_root.hex() for block in blocks]
    return {
        "restore_s": round(restored - started, 2),
        "replay_s": round(time.process_time() - begun, 2),
        "blocks": len(blocks),
        "restarted_memory_mb": get_memory_mb(),
        "roots": roots,
    }


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.restart")
    parser.add_argument("--resting", type=int, default=1_000_000)
    parser.add_argument("--markets", type=int, default=4)
    parser.add_argument("--blocks", type=int, default=32)
    parser.add_argument("--resume", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.resume is not None:
        print(json.dumps(resume(given.resume)))
        return 0
    with tempfile.TemporaryDirectory(prefix="omnibazaar-restart-") as name:
        before = prepare(Path(name), given.resting, given.markets, given.blocks)
        command = [sys.executable, "-m", "bench.restart", "--resume", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    after = json.loads(done.stdout)
    equal = before.pop("roots") == after.pop("roots")
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({**before, **after, "roots_equal": equal, "load": load}))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
