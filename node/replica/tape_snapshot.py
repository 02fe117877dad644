"""Write the tape and the scores into chunks of a snapshot, and read them back.

Rule: the bytes are a pure function of the tape; the header's checkpoint digest covers them with the
state's chunks, so they need no proof of their own; the scores are proven by the state besides. A
snapshot begins with one chunk that says how many belong to what.
Spec: docs/spec/market-data.md#snapshots
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from exchange.operations import Hash32
from node.replica.market_stats import Minute
from node.replica.tape import BlockTape, Tape
from primitives import codec
from primitives.cid import Cid
from primitives.errors import InvalidMessage
from storage.candles import Candle
from storage.integers import decode_integer, encode_integer
from storage.limits import CHUNK_BYTES_MAX, SNAPSHOT_CHUNKS_MAX

VERSION: Final = 6
CID_BYTES_MAX: Final = 64
TAPE_BYTES_MAX: Final = 1 << 30
Count = Annotated[int, Meta(ge=0)]
Link = Annotated[bytes, Meta(max_length=CID_BYTES_MAX)]
Big = int | bytes


class Record(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Root of all records."""


class Head(Record, frozen=True):
    """The first chunk of a snapshot."""

    version: int
    state_chunks: Count
    tape_chunks: Count
    score_chunks: Count


class CandleRecord(Record, frozen=True):
    """The newest candle of one interval."""

    market: Count
    interval_ms: Count
    start_ms: Count
    open: int
    high: int
    low: int
    close: int
    volume: Big
    quote_volume: Big
    trades: Count


class MinuteRecord(Record, frozen=True):
    """One minute of the last day."""

    start_ms: Count
    open: int
    high: int
    low: int
    volume: Big
    quote_volume: Big
    trades: Count


class MarketRecord(Record, frozen=True):
    """One market."""

    update: Count
    trades: Count
    last_price: int | None
    last_trade_ms: Count
    minutes: tuple[MinuteRecord, ...]
    events: Count  # of the market


class TapeRecord(Record, frozen=True):
    """The whole tape."""

    height: Count
    fills: Count
    markets: tuple[MarketRecord, ...]
    candles: tuple[CandleRecord, ...]  # by market, then interval
    events: tuple[Count, ...]  # by account number
    pending: tuple[tuple[Hash32, Count, Count], ...]  # action, account, operations; oldest first
    cid: Link  # of the newest block; empty at genesis
    parent: Link  # of the block before it; empty for the child of genesis


def wrap_chunks(state: Sequence[bytes], tape: Tape, scores: bytes) -> tuple[bytes, ...]:
    """Return a whole snapshot: head, the state's chunks, the tape's, those of the scores."""
    parts, more = _cut(codec.encode(_record(tape))), _cut(scores)
    head = Head(VERSION, len(state), len(parts), len(more))
    return (codec.encode(head), *state, *parts, *more)


def _cut(data: bytes) -> list[bytes]:
    return [data[i : i + CHUNK_BYTES_MAX] for i in range(0, len(data), CHUNK_BYTES_MAX)]


def unwrap_chunks(chunks: Sequence[bytes]) -> tuple[tuple[bytes, ...], Tape, bytes]:
    """Split a snapshot into the state's chunks, the tape and the scores. Raises PeerError."""
    if not 0 < len(chunks) <= SNAPSHOT_CHUNKS_MAX:
        raise InvalidMessage("a snapshot begins with its head")
    head = codec.decode(chunks[0], Head)
    end = 1 + head.state_chunks
    last = end + head.tape_chunks
    if head.version != VERSION or last + head.score_chunks != len(chunks):
        raise InvalidMessage("the snapshot's head does not fit its chunks")
    record = codec.decode(b"".join(chunks[end:last]), TapeRecord, max_bytes=TAPE_BYTES_MAX)
    return tuple(chunks[1:end]), _tape(record), b"".join(chunks[last:])


def _record(tape: Tape) -> TapeRecord:
    return TapeRecord(
        height=tape.height,
        fills=tape.fills,
        markets=tuple(_market(tape, market) for market in range(len(tape.updates))),
        candles=tuple(_candle(tape.candles[key]) for key in sorted(tape.candles)),
        events=tuple(tape.events),
        pending=tuple((action_id, *entry) for action_id, entry in tape.pending.items()),
        cid=_link(tape.cid),
        parent=_link(tape.block.parent),
    )


def _market(tape: Tape, market: int) -> MarketRecord:
    stats = tape.stats[market]
    return MarketRecord(
        update=tape.updates[market],
        trades=stats.trades,
        last_price=stats.last_price,
        last_trade_ms=stats.last_trade_ms,
        minutes=tuple(
            MinuteRecord(
                m.start_ms,
                m.open,
                m.high,
                m.low,
                encode_integer(m.volume),
                encode_integer(m.quote_volume),
                m.trades,
            )
            for m in stats.minutes
        ),
        events=tape.market_events[market],
    )


def _candle(candle: Candle) -> CandleRecord:
    return CandleRecord(
        candle.market,
        candle.interval_ms,
        candle.start_ms,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        encode_integer(candle.volume),
        encode_integer(candle.quote_volume),
        candle.trades,
    )


def _link(cid: Cid | None) -> bytes:
    return b"" if cid is None else cid.encode()


def _cid(link: bytes) -> Cid | None:
    return Cid.decode(link) if link else None


def _tape(record: TapeRecord) -> Tape:
    tape = Tape(
        height=record.height,
        fills=record.fills,
        events=list(record.events),
        pending={action_id: (account, count) for action_id, account, count in record.pending},
        cid=_cid(record.cid),
    )
    for number, market in enumerate(record.markets):
        tape.know_market(number)
        stats = tape.get_stats(number)
        tape.updates[number] = market.update
        tape.market_events[number] = market.events
        stats.trades = market.trades
        stats.last_price = market.last_price
        stats.last_trade_ms = market.last_trade_ms
        for m in market.minutes:
            volume, quote_volume = decode_integer(m.volume), decode_integer(m.quote_volume)
            stats.minutes.append(
                Minute(m.start_ms, m.open, m.high, m.low, volume, quote_volume, m.trades)
            )
    for c in record.candles:
        tape.candles[c.market, c.interval_ms] = Candle(
            market=c.market,
            interval_ms=c.interval_ms,
            start_ms=c.start_ms,
            open=c.open,
            high=c.high,
            low=c.low,
            close=c.close,
            volume=decode_integer(c.volume),
            quote_volume=decode_integer(c.quote_volume),
            trades=c.trades,
        )
    tape.block = BlockTape(
        height=record.height,
        first_fill=record.fills + 1,
        updates={},
        candles=(),
        accounts=(),
        parent=_cid(record.parent),
    )
    return tape
