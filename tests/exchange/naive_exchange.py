"""A second exchange, the obvious one: every order type and mode, with no index and no cache.

Rule: written from the spec; of the product it knows the operations, the reasons and the terms of a
market. A refused action that was atomic is undone by going back to a copy of everything.
Spec: docs/spec/exchange.md, docs/spec/orders.md, docs/spec/markets.md
Deviations: one market; no session keys, builders, fee tiers or limits on the number of orders.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from exchange.actions import (
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
    compute_commit_hash,
)
from exchange.genesis import MarketConfig
from exchange.reasons import Reason
from tests.exchange.naive_clearing import DAY_MS, Clearing
from tests.exchange.naive_orders import (
    AUCTION,
    BUY,
    CANCEL_ONLY,
    DELISTED,
    FOK,
    GTC,
    IOC,
    ON_BOOK,
    ONLY_POST,
    OPEN,
    POST_ONLY,
    WAITS,
    WHOLE,
    Change,
    Live,
    Request,
    Sealed,
    Waiting,
)
from tests.exchange.world import DOMAIN, make_key

Placing = Place | PlaceUntil | PlaceBracket | PlaceIceberg | PlaceSchedule
Legs = PlaceTrigger | ReplaceTrigger | PlaceBracket


class Refused(Exception):
    """An operation that changes nothing."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


def check(is_fine: bool, reason: Reason) -> None:
    if not is_fine:
        raise Refused(reason)


class NaiveExchange(Clearing):
    """One market from its first block on."""

    def __init__(self, terms: MarketConfig, open_window_ms: int, steps: int) -> None:
        super().__init__(terms)
        self.open_window_ms = open_window_ms
        self.steps = steps
        self.reached: list[Live] = []
        self.switches: dict[tuple[str, int], int] = {}
        self.clearings: list[tuple[int, int, int, int]] = []
        self.base = terms.reference_price
        self.traded_ms = 0
        self.due = 0
        self.price = 0
        self.uncrossing = False
        self.forfeits: dict[str, list[int]] = {}
        self.hash = b""
        if terms.opening_ms:
            self.phase = AUCTION

    # blocks

    def begin(
        self, height: int, now: int, hash_: bytes, proposer: int, executed: int, *, is_seal: bool
    ) -> None:
        self.height, self.now, self.hash = height, now, hash_
        self.fills, self.ended = [], []
        for batch in self.batches:
            if batch.height == height - 1:
                batch.next_hash = hash_
            if not is_seal and executed >= batch.height:
                batch.openers.append((now, proposer))
        self.fall_due()

    def act(
        self, owner: str, sub: int, id_: bytes, nonce: int, ops: Sequence[AnyOp], *, atomic: bool
    ) -> list[tuple[int, int]]:
        """Admit an action. Returns (reason or 0, order) of each operation."""
        before = copy.deepcopy(self.__dict__) if atomic else {}
        done: list[tuple[int, int]] = []
        for op in ops:
            try:
                done.append((0, self.admit(owner, sub, id_, nonce, op)))
            except Refused as refused:
                done.append((int(refused.reason), 0))
                if atomic:
                    self.__dict__.update(before, next_id=self.next_id)  # numbers stay used
                    failed = [(int(Reason.ATOMIC_FAILED), 0)] * len(ops)
                    failed[len(done) - 1] = done[-1]
                    return failed
        return done

    def finish(self) -> None:
        fills = len(self.fills)
        self.advance()
        if len(self.fills) > fills:
            self.collect()
        self.follow_parts()
        self.sweep()

    # admission

    def open_batch(self) -> Waiting:
        if not self.batches or self.batches[-1].height != self.height:
            self.batches.append(Waiting(self.height, self.hash))
        return self.batches[-1]

    def admit(self, owner: str, sub: int, id_: bytes, nonce: int, op: AnyOp) -> int:
        if isinstance(op, Cancel | CancelClient | CancelAll | CancelAfter):
            return self.admit_cancel(owner, sub, op)
        if isinstance(op, Commit):
            return self.admit_commit(owner, sub, nonce, op)
        if isinstance(op, Open):
            return self.admit_open(owner, sub, id_, op)
        if isinstance(op, Replace):
            return self.admit_replace(owner, sub, id_, op)
        if isinstance(op, PlaceTrigger | PlaceTrailing | ReplaceTrigger):
            return self.admit_waiting(owner, sub, id_, op)
        if isinstance(op, PlaceIceberg | PlaceSchedule):
            return self.admit_whole(owner, sub, id_, op)
        assert isinstance(op, Place | PlaceUntil | PlaceBracket)
        return self.admit_place(owner, sub, id_, op)

    def check_phase(self, tif: int) -> None:
        """What every new order of such a kind must pass."""
        check(self.phase != DELISTED, Reason.MARKET_DELISTED)
        check(self.phase != CANCEL_ONLY, Reason.MARKET_CANCEL_ONLY)
        check(self.phase != ONLY_POST or tif not in (IOC, FOK), Reason.MARKET_POST_ONLY)
        if self.collects and self.phase != ONLY_POST:
            check(tif != FOK, Reason.MARKET_AUCTION)
            check(not (self.phase == AUCTION and self.uncrossing), Reason.MARKET_AUCTION)

    def check_client(self, owner: str, sub: int, client: int) -> None:
        taken = {o.client for o in self.live.values() if (o.owner, o.sub) == (owner, sub)}
        check(not client or client not in taken, Reason.DUPLICATE_CLIENT_ID)

    def check_funds(self, owner: str, sub: int, side: int, need: int) -> None:
        check(need <= self.free(owner, sub, side), Reason.INSUFFICIENT_FUNDS)

    def check_legs(self, op: Legs) -> None:
        check(bool(op.above or op.below), Reason.BAD_TRIGGER)
        whole = bool(op.above) == bool(op.above_price) and bool(op.below) == bool(op.below_price)
        check(whole, Reason.BAD_TRIGGER)
        check(not (op.above and op.below >= op.above), Reason.BAD_TRIGGER)

    def admit_place(
        self, owner: str, sub: int, id_: bytes, op: Place | PlaceUntil | PlaceBracket
    ) -> int:
        tif = op.tif if not isinstance(op, PlaceUntil) else POST_ONLY if op.post_only else GTC
        if isinstance(op, PlaceUntil):
            check(op.expiry_ms > self.now, Reason.BAD_TIME)
        if isinstance(op, PlaceBracket):
            check(op.exit_tif != POST_ONLY, Reason.BAD_TRIGGER)
            self.check_legs(op)
        self.check_phase(tif)
        if self.phase == ONLY_POST:
            tif = POST_ONLY
        if self.terms.mode == "sealed" and not (self.collects and tif == IOC):
            check(tif not in (IOC, FOK), Reason.NEEDS_COMMIT)
            tif = POST_ONLY
        check(not self.is_outside(op.side, op.price), Reason.OUTSIDE_BAND)
        self.check_client(owner, sub, op.client_id)
        self.check_funds(owner, sub, op.side, self.need(op.side, op.price, op.size))
        order = self.new(
            Live(0, owner, sub, op.side, op.price, op.size, tif, op.stp, op.client_id, id_)
        )
        if isinstance(op, PlaceUntil):
            order.expiry = op.expiry_ms
        if isinstance(op, PlaceBracket):
            order.exits = (op.above, op.above_price, op.below, op.below_price)
            order.exit_tif = op.exit_tif
        self.enqueue(id_, order)
        return order.id

    def enqueue(self, id_: bytes, entry: Live | Change) -> None:
        batch = self.open_batch()
        if not batch.groups or batch.groups[-1][0] != id_:
            batch.groups.append((id_, []))
        batch.groups[-1][1].append(entry)

    def admit_cancel(
        self, owner: str, sub: int, op: Cancel | CancelClient | CancelAll | CancelAfter
    ) -> int:
        mine = [o for o in self.live.values() if (o.owner, o.sub) == (owner, sub)]
        reason = int(Reason.CANCELLED)
        if isinstance(op, CancelAfter):
            if op.time_ms:
                check(0 < op.time_ms - self.now <= DAY_MS, Reason.BAD_TIME)
                self.switches[owner, sub] = op.time_ms
            else:
                self.switches.pop((owner, sub), None)
            return 0
        if isinstance(op, CancelAll):
            if mine:
                self.open_batch().cancels.append(Request(0, owner, sub, self.next_id, reason))
            return 0
        if isinstance(op, Cancel):
            found = [o for o in mine if o.id == op.order_id]
        else:
            found = [o for o in mine if o.client and o.client == op.client_id]
        check(bool(found), Reason.UNKNOWN_ORDER)
        self.open_batch().cancels.append(Request(found[0].id, owner, sub, 0, reason))
        return found[0].id

    def admit_replace(self, owner: str, sub: int, id_: bytes, op: Replace) -> int:
        order = self.live.get(op.order_id)
        if order is None or (order.owner, order.sub) != (owner, sub):
            raise Refused(Reason.UNKNOWN_ORDER)
        self.check_phase(POST_ONLY if order.tif == POST_ONLY else IOC)
        moved = op.price != order.price and self.is_outside(order.side, op.price)
        check(not moved, Reason.OUTSIDE_BAND)
        extra = self.need(order.side, op.price, op.size)
        extra = max(extra - self.need(order.side, order.price, order.size), 0)
        self.check_funds(owner, sub, order.side, extra)
        self.enqueue(id_, Change(order, op.price, op.size, order.traded, extra))
        return order.id

    def admit_waiting(
        self, owner: str, sub: int, id_: bytes, op: PlaceTrigger | PlaceTrailing | ReplaceTrigger
    ) -> int:
        known = None
        if isinstance(op, ReplaceTrigger):
            known = self.live.get(op.order_id)
            if known is None or known.where != WAITS or (known.owner, known.sub) != (owner, sub):
                raise Refused(Reason.UNKNOWN_ORDER)
            check(known.trail is None, Reason.BAD_TRIGGER)
        else:
            check(op.tif != POST_ONLY, Reason.BAD_TRIGGER)
        if isinstance(op, PlaceTrailing):
            check(not (op.in_bps and op.distance >= 10_000), Reason.BAD_TRIGGER)
            price = op.price
        else:
            self.check_legs(op)
            price = max(op.above_price, op.below_price)
        if not isinstance(op, ReplaceTrigger):
            check(not op.expiry_ms or op.expiry_ms > self.now, Reason.BAD_TIME)
        tif = op.tif if not isinstance(op, ReplaceTrigger) else known.tif if known else GTC
        self.check_phase(FOK if tif == FOK else IOC)
        if not isinstance(op, PlaceTrailing):
            above = op.above and self.last >= op.above
            below = op.below and self.last <= op.below
            check(not (above or below), Reason.TRIGGER_REACHED)
        if isinstance(op, ReplaceTrigger):
            assert known is not None
            more = self.need(known.side, price, op.size)
            more -= self.need(known.side, known.price, known.size)
            self.check_funds(owner, sub, known.side, more)
            known.price, known.size = price, op.size
            known.legs = (op.above, op.above_price, op.below, op.below_price)
            return known.id
        self.check_client(owner, sub, op.client_id)
        self.check_funds(owner, sub, op.side, self.need(op.side, price, op.size))
        order = self.new(
            Live(0, owner, sub, op.side, price, op.size, op.tif, op.stp, op.client_id, id_, WAITS)
        )
        order.expiry = op.expiry_ms
        if isinstance(op, PlaceTrailing):
            order.trail = op.distance, op.in_bps, op.activation
            self.follow(order, self.last)
        else:
            order.legs = (op.above, op.above_price, op.below, op.below_price)
        return order.id

    def admit_whole(
        self, owner: str, sub: int, id_: bytes, op: PlaceIceberg | PlaceSchedule
    ) -> int:
        if isinstance(op, PlaceIceberg):
            parts = -(-op.size // op.visible)
            check(op.visible < op.size and parts <= 256, Reason.BAD_PLAN)
            check(not op.expiry_ms or op.expiry_ms > self.now, Reason.BAD_TIME)
            self.check_phase(POST_ONLY)
            check(not self.is_outside(op.side, op.price), Reason.OUTSIDE_BAND)
        else:
            parts = op.slots
            check(op.size >= op.slots, Reason.BAD_PLAN)
            self.check_phase(IOC)
        self.check_client(owner, sub, op.client_id)
        cushion = parts if op.side == BUY else 0
        self.check_funds(owner, sub, op.side, self.need(op.side, op.price, op.size) + cushion)
        whole = self.new(
            Live(0, owner, sub, op.side, op.price, op.size, GTC, op.stp, op.client_id, id_, WHOLE)
        )
        whole.cushion = cushion
        if isinstance(op, PlaceIceberg):
            whole.visible, whole.expiry = op.visible, op.expiry_ms
            self.enqueue(id_, self.make_part(whole, op.visible, POST_ONLY))
        else:
            whole.slots, whole.interval = op.slots, op.interval_ms
            whole.share, whole.due = op.participation_bps, self.now + op.interval_ms
        return whole.id

    def admit_commit(self, owner: str, sub: int, nonce: int, op: Commit) -> int:
        check(self.terms.mode == "sealed", Reason.NOT_SEALED)
        self.check_phase(IOC)
        check(self.phase == OPEN, Reason.MARKET_AUCTION)
        tiers = {0: (op.tier, -1), 1: (-1, op.tier), 2: divmod(op.tier, 32)}[op.hold]
        check(tiers[0] <= 24 and tiers[1] <= 12, Reason.BAD_TIER)
        units = self.terms.tick, self.terms.lot
        known = [c for b in self.batches for c in b.commits if c.owner == owner]
        check(op.commit_hash not in [c.hash for c in known], Reason.DUPLICATE_COMMIT)
        lately = [t for t in self.forfeits.get(owner, []) if self.now - t <= DAY_MS]
        ppm = min(self.terms.bond_ppm * 4 ** len(lately), 1_000_000)
        held = [0 if tier < 0 else 10**tier * unit for tier, unit in zip(tiers, units, strict=True)]
        bond = [-(-atoms * ppm // 1_000_000) for atoms in held]
        fee = [-(-atoms * self.terms.commit_fee_ppm // 1_000_000) for atoms in held]
        for side in (0, 1):
            self.check_funds(owner, sub, side, held[side] + bond[side] + fee[side])
        for side in (0, 1):
            self.pay(owner, sub, side, -fee[side])
            self.fees[side] += fee[side]
        commit = Sealed(owner, sub, op.commit_hash, nonce, (held[0], held[1]), (bond[0], bond[1]))
        self.open_batch().commits.append(commit)
        return 0

    def admit_open(self, owner: str, sub: int, id_: bytes, op: Open) -> int:
        found = [
            (batch, commit)
            for batch in self.batches
            for commit in batch.commits
            if (commit.owner, commit.hash) == (owner, op.commit_hash)
        ]
        check(bool(found) and found[0][1].sub == sub, Reason.UNKNOWN_COMMIT)
        batch, commit = found[0]
        check(batch.height < self.height, Reason.OPENED_TOO_EARLY)
        check(not commit.is_open and not commit.is_void, Reason.ALREADY_OPEN)
        address = make_key(owner).address
        told = compute_commit_hash(DOMAIN, address, op.market, commit.nonce, op.orders, op.salt)
        check(told == op.commit_hash, Reason.OPENING_MISMATCH)
        need = [0, 0]
        for order in op.orders:
            need[order.side] += self.need(order.side, order.price, order.size)
        commit.is_void = True
        check(all(o.tif != POST_ONLY and not o.market for o in op.orders), Reason.OPENING_INVALID)
        fits = need[0] <= commit.tier[0] and need[1] <= commit.tier[1]
        check(fits, Reason.OPENING_OVER_TIER)
        commit.is_void, commit.is_open = False, True
        commit.orders, commit.salt, commit.action = op.orders, op.salt, id_
        commit.first = self.next_id
        self.next_id += len(op.orders)
        return commit.first

    def get_resting(self) -> list[tuple[int, int, int, int]]:
        """The book: bids and asks in their order of priority."""
        book = [*self.queue(0), *self.queue(1)]
        return [(o.id, o.side, o.price, o.size) for o in book if o.where == ON_BOOK]
