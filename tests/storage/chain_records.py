"""Make records for the chain store, deterministically from a height."""

from __future__ import annotations

import hashlib
import random

from primitives import dag_cbor
from primitives.cid import DAG_CBOR, Cid
from storage.candles import Candle, CandleKey, Trade, advance
from storage.records import (
    BUY,
    AccountEventsRecord,
    BundleRecord,
    ExecutedRecord,
    FillRecord,
    FinalRecord,
    ReceiptRecord,
    WithdrawalRecord,
)

NETWORK = b"n" * 32
START_MS = 1_700_000_000_000
BLOCK_MS = 100


def digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def address(number: int) -> bytes:
    return digest("account", number)[:20]


def make_bundle(height: int, number: int = 0, size: int = 300) -> BundleRecord:
    data = hashlib.shake_128(repr((height, number)).encode()).digest(size)
    return BundleRecord(digest=hashlib.sha256(data).digest(), size_bytes=size, actions=3, data=data)


def make_final(height: int, bundles: int = 1, salt: int = 0) -> FinalRecord:
    node = dag_cbor.encode({"height": height, "salt": salt})
    return FinalRecord(
        height=height,
        view=height + 2,
        epoch=1,
        block_hash=digest("block", height, salt),
        cid=Cid.of(DAG_CBOR, node).encode(),
        time_ms=START_MS + height * BLOCK_MS,
        proposer=height % 4,
        executed_height=max(0, height - 2),
        encoded=b"wire" + node,
        node=node,
        certificate=b"certificate" + bytes([height % 256]),
        signers=3,
        actions=3 * bundles,
        bundles=tuple(make_bundle(height, number) for number in range(bundles)),
    )


def make_fill(height: int, number: int, markets: int = 2) -> FillRecord:
    r = random.Random(f"{height}/{number}")
    return FillRecord(
        market=r.randrange(markets),
        price=r.randrange(900, 1_100),
        size=r.randrange(1, 1 << 40),
        maker=address(r.randrange(6)),
        maker_sub=0,
        maker_order=2 * number + 1,
        maker_fee=r.randrange(-10, 1 << 100),
        taker=address(r.randrange(6)),
        taker_sub=r.randrange(128),
        taker_order=(1 << 64) - 1 - number,
        taker_fee=r.randrange(1 << 100),
        taker_side=BUY,
        maker_left=r.randrange(1 << 40),
        taker_left=r.randrange(1 << 40),
        batch=height - 1,
        sealed=bool(number % 2),
    )


class History:
    """Numbers and candles of heights 1, 2, … with so many fills each, as a node's tape gives."""

    def __init__(self, fills: int) -> None:
        self.fills = fills
        self.events: list[tuple[AccountEventsRecord, ...]] = []
        self.candles: list[tuple[Candle, ...]] = []
        self._counts: dict[bytes, int] = {}
        self._open: dict[CandleKey, Candle] = {}

    def reach(self, height: int) -> None:
        while len(self.events) < height:
            number = len(self.events) + 1
            made = [make_fill(number, i) for i in range(self.fills)]
            self.events.append(self._number(made))
            trades = [
                Trade(market=f.market, time_ms=time_of(number), price=f.price, size=f.size)
                for f in made
            ]
            candles = advance(self._open, trades)
            self._open.update({(c.market, c.interval_ms): c for c in candles})
            self.candles.append(tuple(candles))

    def _number(self, fills: list[FillRecord]) -> tuple[AccountEventsRecord, ...]:
        owners = [owner for fill in fills for owner in (fill.maker, fill.taker)]
        rows = []
        for owner in sorted(set(owners)):
            first, count = self._counts.get(owner, 0) + 1, owners.count(owner)
            self._counts[owner] = first + count - 1
            rows.append(AccountEventsRecord(address=owner, first=first, count=count, body=b"fill"))
        return tuple(rows)


_histories: dict[int, History] = {}


def time_of(height: int) -> int:
    return START_MS + height * BLOCK_MS


def make_executed(height: int, fills: int = 4, **changes: object) -> ExecutedRecord:
    history = _histories.setdefault(fills, History(fills))
    history.reach(height)
    made = tuple(make_fill(height, number) for number in range(fills))
    values: dict[str, object] = {
        "height": height,
        "time_ms": START_MS + height * BLOCK_MS,
        "state_root": digest("state", height),
        "fees_root": digest("fees", height),
        "roots": digest("roots", height) * 7,
        "actions": 3,
        "withdrawal_count": height,
        "fee_totals": (height, 1 << 90),
        "receipts": tuple(
            ReceiptRecord(
                action_id=digest("action", height, i),
                index=i,
                statuses=bytes([i, 1]),
                orders=(i, 7),
            )
            for i in range(3)
        ),
        "first_fill": (height - 1) * fills + 1,
        "fills": made,
        "candles": history.candles[height - 1],
        "events": history.events[height - 1],
        "withdrawals": (
            WithdrawalRecord(
                index=height - 1,
                account=address(height % 6),
                chain_id=31_337,
                vault=b"v" * 20,
                token=b"t" * 20,
                amount=(1 << 128) - height,
                to=b"w" * 20,
                leaf=digest("leaf", height),
            ),
        ),
    }
    return ExecutedRecord(**{**values, **changes})  # type: ignore[arg-type]
