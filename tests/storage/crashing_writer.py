"""Write heights to a chain store and snapshots to a block store until killed.

Prints the height after each commit, so that whoever kills this process knows what was promised.
"""

from __future__ import annotations

import sys
from pathlib import Path

from storage.block_store import SNAPSHOT, BlockStore
from storage.chain_store import ChainStore
from storage.pruning import PrunePolicy, prune_step
from storage.snapshots import Snapshots
from tests.storage.chain_records import NETWORK, make_executed, make_final


def run(folder: Path) -> None:
    store = ChainStore(folder / "chain.sqlite", NETWORK)
    blocks = BlockStore(folder / "blocks.sqlite", {SNAPSHOT: 32 << 20})
    snapshots = Snapshots(blocks)
    policy = PrunePolicy(size_bytes_max=1 << 20)
    print("ready", flush=True)
    while True:
        height = store.final_height + 1
        store.write_final(make_final(height, bundles=2))
        if store.executed_height == height - 3:
            store.write_executed(make_executed(height - 2, fills=30))
        print(height, store.executed_height, flush=True)
        if height % 10 == 0:
            chunks = [height.to_bytes(8, "big") * 16_384] * 1 + [b"%d" % height]
            snapshots.write(height, b"r" * 32, chunks)
            snapshots.prune(keep=2)
            prune_step(store, policy, now_ms=0, keep_from=max(0, height - 50))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
