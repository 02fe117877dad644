"""Measure the stores: executed heights, blocks, files.

    python -m bench.storage [--fills 100000] [--json]

Rule: synthetic records of the real shape, one process, a fresh folder; the figure for fills
includes receipts (one per fill), account events (two per fill) and the writing of all candles.

Spec: docs/spec/storage.md
Deviations: none
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from primitives.cid import Cid
from storage.block_store import CACHE, BlockStore
from storage.candles import Candle, CandleKey, Trade, advance
from storage.chain_store import ChainStore
from storage.records import AccountEventsRecord, ExecutedRecord, FillRecord, ReceiptRecord
from storage.unixfs import import_file

FILLS_PER_HEIGHT = 500
ACCOUNTS = [hashlib.sha256(bytes([i])).digest()[:20] for i in range(200)]
MIB = 1 << 20


def make_height(height: int, r: random.Random, current: dict[CandleKey, Candle]) -> ExecutedRecord:
    fills = tuple(make_fill(height * FILLS_PER_HEIGHT + i, r) for i in range(FILLS_PER_HEIGHT))
    receipts = tuple(
        ReceiptRecord(action_id=r.randbytes(32), index=i, statuses=b"\0")
        for i in range(FILLS_PER_HEIGHT)
    )
    owners = Counter(owner for fill in fills for owner in (fill.maker, fill.taker))
    events = tuple(
        AccountEventsRecord(
            address=owner, first=height * 1_000 + 1, count=count, body=bytes(40 * count)
        )
        for owner, count in sorted(owners.items())
    )
    time_ms = 1_700_000_000_000 + 100 * height
    trades = [Trade(market=f.market, time_ms=time_ms, price=f.price, size=f.size) for f in fills]
    candles = tuple(advance(current, trades))
    current.update({(candle.market, candle.interval_ms): candle for candle in candles})
    return ExecutedRecord(
        height=height,
        time_ms=time_ms,
        state_root=bytes(32),
        fees_root=bytes(32),
        first_fill=(height - 1) * FILLS_PER_HEIGHT + 1,
        receipts=receipts,
        fills=fills,
        candles=candles,
        events=events,
    )


def make_fill(order: int, r: random.Random) -> FillRecord:
    return FillRecord(
        market=r.randrange(4),
        price=r.randrange(1_000, 1_100),
        size=r.randrange(1, 1 << 30),
        maker=r.choice(ACCOUNTS),
        maker_sub=0,
        maker_order=2 * order,
        maker_fee=12_345,
        taker=r.choice(ACCOUNTS),
        taker_sub=0,
        taker_order=2 * order + 1,
        taker_fee=1 << 70,
        taker_side=0,
    )


def take(work: Callable[[], object]) -> tuple[float, float]:
    """Return (wall seconds, CPU seconds) of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure_fills(folder: Path, fills: int) -> dict[str, float]:
    r = random.Random(1)
    current: dict[CandleKey, Candle] = {}
    count = fills // FILLS_PER_HEIGHT
    heights = [make_height(height, r, current) for height in range(1, count + 1)]
    store = ChainStore(folder / "chain.sqlite", b"n" * 32)
    wall, cpu = take(lambda: [store.write_executed(record) for record in heights])
    count = len(heights) * FILLS_PER_HEIGHT
    size_bytes = store.size_bytes()
    store.close()
    return {
        "fills_per_second": round(count / wall),
        "fills_per_cpu_second": round(count / cpu),
        "bytes_per_fill": round(size_bytes / count),
    }


def measure_blocks(folder: Path) -> dict[str, float]:
    r = random.Random(2)
    blocks = {Cid.raw(data): data for data in (r.randbytes(MIB) for _ in range(64))}
    store = BlockStore(folder / "blocks.sqlite")

    def put_all() -> None:
        for cid, data in blocks.items():
            store.put(cid, data, CACHE)

    put_s, _ = take(put_all)
    get_s, _ = take(lambda: [store.get(cid) for cid in blocks])
    store.close()
    file_s, _ = take(lambda: import_file(io.BytesIO(bytes(256 * MIB)), lambda *_: None))
    return {
        "block_put_mb_s": round(64 * MIB / put_s / 1e6),
        "block_get_mb_s": round(64 * MIB / get_s / 1e6),
        "unixfs_mb_s": round(256 * MIB / file_s / 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fills", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="one JSON line only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = measure_fills(Path(name), options.fills) | measure_blocks(Path(name))
    if options.json:
        print(json.dumps(figures))
        return
    for key, value in figures.items():
        print(f"{key:24} {value:>10,}")


if __name__ == "__main__":
    main()
