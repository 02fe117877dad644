"""Random blocks for the product and the naive exchange, in lockstep, in every mode.

Rule: deterministic for a seed; after each block both must have told the same fills and ends, and
keep the same orders, balances and phase.
Spec: docs/spec/exchange.md
Deviations: none.
"""

from __future__ import annotations

import random

import msgspec

from exchange import call_auction
from exchange.actions import (
    FOK,
    GTC,
    IOC,
    POST_ONLY,
    AnyOp,
    Cancel,
    CancelAfter,
    CancelAll,
    CancelClient,
    Commit,
    Open,
    Place,
    PlaceBracket,
    PlaceIceberg,
    PlaceSchedule,
    PlaceTrailing,
    PlaceTrigger,
    PlaceUntil,
    Replace,
    ReplaceTrigger,
    SetMarket,
    Transfer,
    VerifiedAction,
    encode_amount,
)
from exchange.order_book import Book
from exchange.outcome import CLOSED, Outcome
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from primitives.keccak import keccak256
from tests.exchange.naive_exchange import NaiveExchange
from tests.exchange.world import BASE, QUOTE, World, make_genesis, make_key

TRADERS = ("a", "b", "c", "d", "e")
PRICE = 1_000
MODES = (
    ("plain", "fair", "uniform"),
    ("fair", "fair", "uniform"),
    ("uniform", "sealed", "uniform"),
    ("shuffle", "sealed", "shuffle"),
    ("auction", "auction", "uniform"),
)
"""Plain: one action a block, so that arrival alone decides."""
Sent = tuple[str, int, VerifiedAction]
GAPS = (100, 400, 1_000, 3_000)


class Flow:
    """One sequence: a world, its naive double, and what was committed and not yet opened."""

    def __init__(self, seed: int, mode: int) -> None:
        rng = self.random = random.Random(seed)
        self.name, kind, matching = MODES[mode]
        terms: dict[str, object] = {
            "mode": kind,
            "matching": matching,
            "tick": 3,
            "taker_bps": rng.choice((0, 21)),
            "maker_bps": 0,
            "sigma_ppm": 0,
            "open_window_ms": 800,
            "auction_interval_ms": 2_000,
            "halt_ms": 2_000,
            "price_window_ms": 6_400,
        }
        if terms["taker_bps"] and rng.random() < 0.5:
            terms["maker_bps"] = 7
        if rng.random() < 0.3:
            terms["band_bps"] = rng.choice((30, 60))
        if rng.random() < 0.3:
            terms["breaker_bps"] = rng.choice((25, 50))
        if rng.random() < 0.2:
            terms["opening_ms"] = 1_500
        self.world = World(make_genesis(**terms))  # type: ignore[arg-type]
        self.rich = rng.random() < 0.7
        self.steps = rng.choice((2, 4_096))
        self.naive = NaiveExchange(self.world.genesis.markets[0], 800, self.steps)
        self.pending: list[tuple[str, Open]] = []
        self.client = 0

    def fund(self) -> None:
        """Everybody has funds in two sub-accounts."""
        quote, base = (10**8, 10**6) if self.rich else (90_000, 300)
        self.world.fund(*TRADERS, quote=quote, base=base)
        moves = []
        for name in TRADERS:
            for side, asset, amount in ((0, QUOTE, quote), (1, BASE, base)):
                part = amount // 3
                self.naive.pay(name, 0, side, amount - part)
                self.naive.pay(name, 1, side, part)
                to = make_key(name).address
                moves.append(self.world.quick(name, Transfer(asset, encode_amount(part), to, 1)))
        self.naive.begin(1, self.world.time_ms, b"", 0, 0, is_seal=False)
        self.naive.finish()
        self.world.block(*moves)
        self.naive.begin(2, self.world.time_ms, b"", 0, 0, is_seal=False)
        self.naive.finish()
        self.verify_state()

    # one block

    def block(self) -> None:
        """Make a block, run it in both and compare."""
        rng = self.random
        if rng.random() < 0.06:
            self.world.state = restore(self.world.genesis, snapshot(self.world.state))
        sent: list[Sent] = []
        waiting = [p for p in self.pending if rng.random() < 0.6]
        count = rng.choice((0, 2, 3, 5)) if self.name != "plain" else 1
        for _ in range(count):
            name = rng.choice(TRADERS)
            ops = tuple(self.make_op(name) for _ in range(rng.choice((1, 1, 2, 3))))
            sub = int(rng.random() < 0.2)
            atomic = len(ops) > 1 and rng.random() < 0.25
            sent.append((name, sub, self.world.quick(name, *ops, sub=sub, atomic=atomic)))
        for name, sealed in waiting:
            sent.append((name, 0, self.world.quick(name, sealed)))
        self.pending = [p for p in self.pending if p not in waiting or rng.random() < 0.3]
        words, phase = [], -1
        if rng.random() < (0.3 if self.naive.phase else 0.04):
            words, phase = self.make_words()
        executed = max(self.world.state.height - rng.randrange(3), 0)
        proposer, is_seal = rng.randrange(4), rng.random() < 0.05
        hash_, gap = keccak256(rng.randbytes(8)), rng.choice(GAPS)
        height, time = self.world.state.height + 1, self.world.time_ms + gap
        self.naive.begin(height, time, hash_, proposer, executed, is_seal=is_seal)
        if words:
            self.naive.decide(phase)
        done = [
            self.naive.act(name, sub, a.id, a.nonce_ms, a.ops, atomic=a.atomic)
            for name, sub, a in sent
        ]
        self.naive.finish()
        outcome = self.world.block(
            *words, *[action for _, _, action in sent], gap_ms=gap, executed=executed,
            proposer=proposer, seal=is_seal, block_hash=hash_,
        )  # fmt: skip
        receipts = outcome.receipts[len(words) :]
        for receipt, told in zip(receipts, done, strict=True):
            assert list(receipt.orders) == [order for _, order in told]
            for status, (reason, _) in zip(receipt.statuses, told, strict=True):
                assert not reason or status == reason, (Reason(status), Reason(reason))
        self.verify_outcome(outcome)
        self.verify_state()

    def make_words(self) -> tuple[list[VerifiedAction], int]:
        """What three of four validators say of the market."""
        market = self.world.state.markets[0]
        phase = self.random.choice((0, 0, 0, 0) if market.status else (1, 1, 2, 2, 4, 4, 4, 4, 3))
        if phase == market.status or market.status == 3:
            return [], -1
        word = SetMarket(0, market.round, phase)
        return [self.world.quick(f"validator {i}", word) for i in range(3)], phase

    # what both say

    def verify_outcome(self, outcome: Outcome) -> None:
        fills = [
            (f.maker_order, f.taker_order, f.price, f.size, f.maker_fee, f.taker_fee,
             f.maker_left, f.taker_left)
            for f in outcome.fills
        ]  # fmt: skip
        assert fills == self.naive.fills
        ended = [(e.order_id, e.size, e.reason) for e in outcome.orders if e.kind == CLOSED]
        assert sorted(ended) == sorted(self.naive.ended)

    def verify_state(self) -> None:
        naive, state = self.naive, self.world.state
        market = state.markets[0]
        mine = {o.id: (o.owner, o.sub, o.side, o.price, o.size) for o in naive.live.values()}
        numbers = {self.world.number(name): name for name in TRADERS}
        assert mine == {
            o.id: (numbers[o.trader.number], o.trader.sub, o.side, o.price, o.size)
            for o in market.book.orders.values()
        }
        assert list_book(market.book) == naive.get_resting()
        here = (market.status, market.last_price, market.uncrossing, state.next_order)
        assert here == (naive.phase, naive.last, naive.uncrossing, naive.next_id)
        assert not market.collecting or market.reopens_ms == naive.due
        for name in TRADERS:
            for sub in (0, 1):
                for side, asset in ((0, QUOTE), (1, BASE)):
                    held = naive.held(name, sub, side)
                    free = naive.totals[name, sub, side] - held
                    assert free >= 0
                    assert self.world.balance(name, asset, sub) == (free, held)
        assert [self.world.insurance(asset) for asset in (QUOTE, BASE)] == naive.insurance
        assert [state.fees[asset] for asset in (QUOTE, BASE)] == naive.fees
        if not market.collecting and not naive.is_crossed():
            return
        assert market.collecting or market.status != 0, "an open book is never crossed"

    # operations

    def make_op(self, name: str) -> AnyOp:
        """One operation, sensible more often than not."""
        rng = self.random
        kind = rng.randrange(26)
        if kind < 9:
            return self.make_place()
        mine = [p for p in self.pending if p[0] == name]
        if kind < 15 and self.naive.terms.mode == "sealed":
            if mine and rng.random() < 0.2:
                return rng.choice(mine)[1]
            return self.make_commit(name)
        if kind < 18:
            return self.make_change(name)
        return self.make_waiting()

    def make_place(self, tif: int = -1) -> Place:
        rng = self.random
        self.client += 1
        if tif < 0:
            tif = rng.choice((GTC, GTC, GTC, IOC, FOK, POST_ONLY))
            if self.naive.terms.mode == "sealed" and rng.random() < 0.9:
                tif = rng.choice((GTC, POST_ONLY))
        client = self.client % 20 if rng.random() < 0.2 else 0
        price = PRICE + rng.randrange(-4, 5)
        side = rng.randrange(2)
        if tif in (GTC, POST_ONLY) and rng.random() < 0.5:
            side = int(price > PRICE)
        return Place(0, side, price, self.make_size(), tif, rng.randrange(4), client)

    def make_size(self) -> int:
        return self.random.choice((1, 2, 3, 5, 8, 20))

    def make_commit(self, name: str) -> Commit:
        rng = self.random
        tifs = [rng.choice((GTC, GTC, IOC, IOC, FOK, FOK, POST_ONLY)) for _ in range(3)]
        if rng.random() < 0.9:
            tifs = [min(tif, FOK) for tif in tifs]
        orders = tuple(self.make_place(tif) for tif in tifs[: rng.choice((1, 1, 2, 3))])
        if rng.random() < 0.3:  # at one price, so that lots are odd
            orders = tuple(msgspec.structs.replace(o, price=PRICE, side=0) for o in orders)
        salt, nonce = rng.randbytes(32), self.world.nonce + 1
        sealed = self.world.hash_commit(name, orders, salt, nonce)
        self.pending.append((name, Open(0, sealed, orders, salt)))
        sides = {order.side for order in orders}
        hold = 2 if len(sides) == 2 or rng.random() < 0.2 else sides.pop()
        quote, base = rng.choice((4, 5, 5, 5)), rng.choice((1, 2, 2))
        return Commit(0, hold, (quote, base, 32 * quote + base)[hold], sealed)

    def make_change(self, name: str) -> AnyOp:
        rng = self.random
        newest = self.naive.next_id
        known = [o.id for o in self.naive.live.values() if o.owner == name] or [1]
        order = rng.choice(known) if rng.random() < 0.9 else rng.randrange(1, newest + 2)
        kind = rng.randrange(12)
        if kind < 4:
            return Cancel(0, order)
        if kind < 5:
            return CancelClient(0, rng.randrange(20))
        if kind < 6:
            return CancelAll(0)
        if kind < 9:
            live = self.naive.live.get(order)
            if live is not None and rng.random() < 0.5:
                return Replace(0, order, live.price, max(live.size - rng.randrange(3), 1))
            return Replace(0, order, PRICE + rng.randrange(-6, 7), self.make_size())
        if kind < 11:
            return ReplaceTrigger(0, order, self.make_size(), *self.make_legs())
        after = self.world.time_ms + rng.choice((-1, 900, 2_500, 10**9))
        return CancelAfter(rng.choice((0, after, after)))

    def make_legs(self) -> tuple[int, int, int, int]:
        rng = self.random
        above = rng.choice((0, PRICE + rng.randrange(1, 6)))
        below = rng.choice((0, PRICE - rng.randrange(1, 6)))
        if not above and rng.random() < 0.9:
            below = PRICE - rng.randrange(1, 6)
        return (
            above, above and PRICE + rng.randrange(-9, 10),
            below, below and PRICE + rng.randrange(-9, 10),
        )  # fmt: skip

    def make_waiting(self) -> AnyOp:
        rng = self.random
        place = self.make_place()
        side, price, size, tif, stp = place.side, place.price, place.size, place.tif, place.stp
        client = place.client_id
        expiry = self.world.time_ms + rng.choice((-1, 700, 700, 2_500, 2_500, 10**6))
        kind = rng.randrange(9)
        if kind == 8 or kind < 1:
            legs = self.make_legs()
            return PlaceTrigger(0, side, size, *legs, tif, stp, client, rng.choice((0, expiry)))
        if kind < 3:
            start = rng.choice((0, PRICE + rng.randrange(-3, 4)))
            in_bps = rng.random() < 0.5
            distance = rng.choice((5, 25)) if in_bps else rng.randrange(1, 4)
            return PlaceTrailing(
                0, side, size, price, distance, in_bps, start, tif, stp, client,
                rng.choice((0, expiry)),
            )  # fmt: skip
        if kind == 3:
            visible = rng.choice((1, 2, 5))
            return PlaceIceberg(
                0, side, price, 2 * size, visible, stp, client, rng.choice((0, expiry))
            )
        if kind == 4:
            share = rng.choice((0, 0, 5_000))
            return PlaceSchedule(
                0, side, price, 2 * size, rng.choice((2, 3)), 1_000, share, stp, client
            )
        if kind == 5:
            return PlaceUntil(0, side, price, size, rng.random() < 0.5, stp, client, expiry)
        legs = self.make_legs()
        return PlaceBracket(0, side, price, size, tif, stp, client, *legs, rng.choice((0, 1, 2)))


def list_book(book: Book) -> list[tuple[int, int, int, int]]:
    """The product's book: bids and asks in their order of priority."""
    found = []
    for side in (book.bids, book.asks):
        for key in reversed(side.keys):
            order = side.levels[key].head
            while order is not None:
                found.append((order.id, order.side, order.price, order.size))
                order = order.next
    return found


def run(seed: int, mode: int, blocks: int = 12) -> Flow:
    """One sequence."""
    flow = Flow(seed, mode)
    right = call_auction.AUCTION_STEPS_PER_BLOCK
    call_auction.AUCTION_STEPS_PER_BLOCK = flow.steps
    try:
        flow.fund()
        for _ in range(blocks):
            flow.block()
    finally:
        call_auction.AUCTION_STEPS_PER_BLOCK = right
    return flow
