"""Phases, batches and call auctions of the naive exchange.

Rule: the whole book is sorted anew for every question.
Spec: docs/spec/exchange.md#clearing, docs/spec/markets.md
Deviations: none.
"""

from __future__ import annotations

from exchange.reasons import Reason
from primitives.keccak import keccak256
from tests.exchange.naive_orders import (
    AUCTION,
    BUY,
    CANCEL_ONLY,
    DELISTED,
    FOK,
    IOC,
    ON_BOOK,
    ONLY_POST,
    OPEN,
    POST_ONLY,
    REACHED,
    SELL,
    WHOLE,
    Change,
    Live,
    Request,
    Sealed,
    Waiting,
)
from tests.exchange.naive_prices import Prices

REASONS = {
    ONLY_POST: Reason.MARKET_POST_ONLY,
    CANCEL_ONLY: Reason.MARKET_CANCEL_ONLY,
    DELISTED: Reason.MARKET_DELISTED,
}
DAY_MS = 86_400_000


class Clearing(Prices):
    """What happens to a market in a block once the actions are admitted."""

    open_window_ms: int
    steps: int
    """Trades and ends of orders in one block of an auction."""
    due: int
    """When the auction is held, 0 where that is not known yet."""
    price: int
    """Of the auction under way."""
    uncrossing: bool
    forfeits: dict[str, list[int]]
    """Times of an owner's forfeits."""

    @property
    def collects(self) -> bool:
        return self.phase == AUCTION or self.terms.mode == "auction"

    def advance(self) -> None:
        if self.uncrossing:
            self.step_auction()
            if self.uncrossing:
                return
        while self.batches and self.is_ready(self.batches[0]):
            self.clear(self.batches[0])
        if not self.collects or self.phase not in (OPEN, AUCTION):
            return
        if not self.due:
            opening = self.phase == AUCTION
            wait = self.terms.opening_ms if opening else self.terms.auction_interval_ms
            self.due = self.now + wait
        if self.now >= self.due:
            self.begin_auction()
            self.step_auction()

    def is_ready(self, batch: Waiting) -> bool:
        if not batch.commits:
            return True
        if not batch.next_hash:
            return False
        if all(c.is_open or c.is_void for c in batch.commits):
            return True
        times = [time for time, _ in batch.openers]
        proposers = {proposer for _, proposer in batch.openers}
        if len(times) < 2 or len(proposers) < 2:
            return False
        return self.now - times[0] >= self.open_window_ms

    def clear(self, batch: Waiting) -> None:
        before = len(self.fills)
        for request in batch.cancels:
            self.cancel(request)
        if self.orphans:
            self.follow_parts()
        hash_ = batch.next_hash or batch.hash
        for action, entries in sorted(batch.groups, key=lambda g: keccak256(g[0] + hash_)):
            for entry in list(entries):
                entries.remove(entry)
                if isinstance(entry, Change):
                    self.replace(entry)
                elif entry.size:
                    self.run(entry)
            assert action
        ranked: list[tuple[bytes, int, Live]] = []
        for commit in list(batch.commits):
            batch.commits.remove(commit)
            if commit.is_open:
                rank = keccak256(commit.salt + hash_)
                ranked += [(rank, order.id, order) for order in self.show(commit)]
            else:
                self.forfeit(commit)
        ranked += [(keccak256(o.action + hash_), o.id, o) for o in batch.reached if o.size]
        sealed = [order for _, _, order in sorted(ranked, key=lambda item: item[:2])]
        for order in sealed:
            order.price = self.clip(order.side, order.price)
        if sealed and self.terms.mode == "sealed" and self.terms.matching == "uniform":
            self.clear_uniform(sealed)
        else:
            for order in sealed:
                self.run(order)
        self.batches.remove(batch)
        self.after_batch(before)

    def after_batch(self, before: int) -> None:
        prices = [fill[2] for fill in self.fills[before:]]
        watched = self.terms.band_bps or self.terms.breaker_bps
        tripped = False
        if prices and watched:
            self.note_trades(prices)
            tripped = self.is_tripped()
        self.arm()
        self.follow_parts()
        if tripped:
            self.begin_window()
            self.enter(AUCTION, self.now + self.terms.halt_ms)

    def cancel(self, request: Request) -> None:
        for order in list(self.live.values()):
            mine = (order.owner, order.sub) == (request.owner, request.sub)
            named = order.id == request.order if request.order else order.id < request.before
            if mine and named and order.size:
                self.end(order, Reason(request.reason))

    def run(self, order: Live) -> None:
        if not self.collects:
            self.match(order)
        elif order.tif == FOK:
            self.end(order, Reason.FOK_UNFILLABLE)
        else:
            self.rest(order)

    def replace(self, change: Change) -> None:
        order = change.order
        if not order.size or order.where != ON_BOOK:
            return
        size = change.size - (order.traded - change.traded)
        if size <= 0:
            self.end(order, Reason.CANCELLED)
            return
        keeps = change.price == order.price and size <= order.size
        only_rests = order.tif == POST_ONLY or self.terms.mode == "sealed"
        only_rests = only_rests and not self.collects
        if not keeps and only_rests and self.crossing(order.side, change.price):
            return
        more = self.need(order.side, change.price, size)
        more -= self.need(order.side, order.price, order.size)
        if more > self.free(order.owner, order.sub, order.side):
            return
        order.price, order.size = change.price, size
        if not keeps:
            order.where = REACHED
            self.run(order)

    def show(self, commit: Sealed) -> list[Live]:
        """Turn an opened commit into orders."""
        shown = []
        for offset, place in enumerate(commit.orders):
            taken = any(
                (o.owner, o.sub, o.client) == (commit.owner, commit.sub, place.client_id)
                for o in self.live.values()
            )
            order = Live(
                commit.first + offset, commit.owner, commit.sub, place.side, place.price,
                place.size, place.tif, 3, 0 if taken else place.client_id,
                commit.action, REACHED,
            )  # fmt: skip
            self.live[order.id] = order
            shown.append(order)
        return shown

    def forfeit(self, commit: Sealed) -> None:
        for side in (0, 1):
            self.pay(commit.owner, commit.sub, side, -commit.bond[side])
            self.insurance[side] += commit.bond[side]
        self.forfeits.setdefault(commit.owner, []).append(self.now)

    # phases

    def enter(self, phase: int, due: int = 0) -> None:
        stops = self.phase == AUCTION and phase == ONLY_POST
        self.phase, self.due = phase, due
        self.uncrossing = False
        if phase == AUCTION:
            put_back: list[Live] = []
            for batch in self.batches:
                batch.commits.clear()
                put_back += [o for o in batch.reached if o.size]
                batch.reached.clear()
            self.reached = put_back + self.reached
        elif phase in (CANCEL_ONLY, DELISTED) or stops:
            batches, self.batches = self.batches, []
            for batch in batches:
                self.void(batch, REASONS[phase])

    def void(self, batch: Waiting, reason: Reason) -> None:
        for request in batch.cancels:
            self.cancel(request)
        for _, entries in batch.groups:
            for entry in entries:
                if isinstance(entry, Live) and entry.size:
                    self.end(entry, reason)
        for order in batch.reached:
            if order.size:
                self.end(order, reason)

    def decide(self, phase: int) -> None:
        """The committee decides."""
        if phase == AUCTION:
            self.enter(AUCTION, self.now + self.terms.halt_ms)
        elif phase == OPEN and (self.phase == AUCTION or self.is_crossed()):
            self.enter(AUCTION, self.now)
        else:
            self.enter(phase)

    def is_crossed(self) -> bool:
        bids, asks = self.queue(BUY), self.queue(SELL)
        if any(o.tif == IOC for o in (*bids, *asks)):
            return True
        return bool(bids and asks and bids[0].price >= asks[0].price)

    # auctions

    def begin_auction(self) -> None:
        """Net self-trades, best with best; then the one price."""
        bids = [(o, o.size) for o in self.queue(BUY)]
        asks = [(o, o.size) for o in self.queue(SELL)]
        met = []
        while bids and asks and bids[0][0].price >= asks[0][0].price:
            (bid, wanted), (ask, offered) = bids[0], asks[0]
            size = min(wanted, offered)
            if bid.owner == ask.owner:
                met.append((bid, ask, size))
            bids[0], asks[0] = (bid, wanted - size), (ask, offered - size)
            bids = bids if wanted > size else bids[1:]
            asks = asks if offered > size else asks[1:]
        for bid, ask, size in met:
            self.shrink(bid, size)
            self.shrink(ask, size)
        self.uncrossing = True
        self.price, _ = self.seek(self.queue(BUY), self.queue(SELL))

    def step_auction(self) -> None:
        before = len(self.fills)
        steps = self.steps
        while True:
            bids, asks = self.queue(BUY), self.queue(SELL)
            if not self.price or not bids or not asks:
                break
            bid, ask = bids[0], asks[0]
            if bid.price < self.price or ask.price > self.price or not steps:
                break
            maker, taker = (bid, ask) if bid.place < ask.place else (ask, bid)
            self.trade(maker, taker, self.price, min(bid.size, ask.size), first=bid)
            steps -= 1
        goes_on = bool(
            self.price and bids and asks and bids[0].price >= self.price >= asks[0].price
        )
        if not goes_on:
            only = [o for o in sorted((*bids, *asks), key=lambda o: o.id) if o.tif == IOC]
            for order in only[:steps]:
                self.end(order, Reason.PARTLY_FILLED if order.traded else Reason.IOC_UNFILLED)
            goes_on = len(only) > steps
        self.arm()
        self.follow_parts()
        if len(self.fills) > before:
            self.note_trades([self.last])
        if goes_on:
            return
        self.uncrossing = False
        self.begin_window()
        self.due = 0
        self.phase = OPEN
        if self.terms.mode == "auction":
            self.due = self.now + self.terms.auction_interval_ms

    def sweep(self) -> None:
        """A delisted market ends all orders."""
        if self.phase == DELISTED:
            for number in sorted(self.live):
                order = self.live.get(number)
                if order is not None:
                    self.end(order, Reason.MARKET_DELISTED)
                    self.follow_parts()
            self.reached = []
            assert not [o for o in self.live.values() if o.where == WHOLE]
