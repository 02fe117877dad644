"""A seeded stream of blocks in which everything happens, good and bad, in three market modes.

Rule: deterministic for a seed, without signatures; the stream never looks at the state, so the same
blocks can be fed to a restored one.
Spec: docs/spec/exchange.md
Deviations: none.
"""

from __future__ import annotations

import random

from exchange.actions import (
    AnyOp,
    ApproveBuilder,
    Cancel,
    CancelAfter,
    CancelAll,
    CancelClient,
    Commit,
    Grant,
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
    Revoke,
    Transfer,
    UseBuilder,
    VerifiedAction,
    Withdraw,
    encode_amount,
)
from exchange.execute import BlockInput
from exchange.genesis import AllowanceTerms, ExchangeGenesis, FeeTier, VolumeRate, VolumeTerms
from exchange.volume import DAY_MS
from primitives.keccak import keccak256
from tests.exchange.world import BASE, DOMAIN, QUOTE, World, make_genesis, make_key

NAMES = [f"trader {i}" for i in range(6)]


def make_chaos_genesis(**safety: int | str) -> ExchangeGenesis:
    """Three markets: sealed uniform, sealed shuffle, fair; small windows, early checkpoints."""
    genesis = make_genesis(markets=3, tick=3, open_window_ms=300, checkpoint_interval=16)
    data = {field: getattr(genesis, field) for field in genesis.__struct_fields__}
    first, second, third = genesis.markets
    markets = []
    for market, mode, matching in (
        (first, "sealed", "uniform"),
        (second, "sealed", "shuffle"),
        (third, "fair", "uniform"),
    ):
        fields = {field: getattr(market, field) for field in market.__struct_fields__}
        fields.update({"mode": mode, "matching": matching, **safety})
        markets.append(type(market)(**fields))
    data["markets"] = tuple(markets)
    data["builder_fee_ppm_max"] = 10_000
    data["allowance"] = AllowanceTerms(operations_per_hour=150, growth_units=3_000, growth_max=3)
    data["volume"] = VolumeTerms(
        rates=(VolumeRate(asset=QUOTE, numerator=2, denominator=3),),
        tiers=(FeeTier(volume=1_000, maker_share_bps=3_333, taker_share_bps=6_667),),
    )
    return ExchangeGenesis(**data)


class Chaos:
    """Makes blocks; `height` is the height of the next one."""

    def __init__(self, seed: int, **safety: int | str) -> None:
        self.random = random.Random(seed)
        self.world = World(make_chaos_genesis(**safety))
        self.addresses = {name: make_key(name).address for name in NAMES}
        self.sessions: dict[str, list[bytes]] = {name: [] for name in NAMES}
        self.used_keys = 0
        self.pending: list[tuple[int, str, int, Open]] = []
        self.client_id = 0
        self.time_ms = self.world.time_ms
        self.nonce = self.time_ms
        self.height = 2
        self.orders_seen = 1
        self.markets = 3

    def first_block(self) -> None:
        """Fund everybody."""
        midnight = (self.world.time_ms // DAY_MS + 1) * DAY_MS
        self.world.time_ms = self.world.nonce = midnight - 2_500  # fee tiers begin in the run
        self.world.fund(*NAMES, quote=5_000_000, base=500_000)
        for name in NAMES[1:]:
            builder = self.world.number(NAMES[0])
            self.world.state.by_address[self.addresses[name]].builders[builder] = 10_000
        self.time_ms = self.world.time_ms
        self.nonce = self.time_ms + 1_000

    def make_block(self) -> BlockInput:
        """Make the next block."""
        rng = self.random
        self.time_ms += rng.choice((1, 50, 100, 100, 400))
        actions = [self.make_action() for _ in range(rng.choice((0, 3, 8, 16)))]
        if actions and rng.random() < 0.1:
            actions.append(rng.choice(actions))
        height = self.height
        self.height += 1
        self.orders_seen += len(actions)
        return BlockInput(
            height=height,
            time_ms=self.time_ms,
            block_hash=keccak256(b"chaos" + rng.randbytes(8)),
            proposer=rng.randrange(4),
            executed_height=max(0, height - rng.randrange(1, 4)),
            is_seal=False,
            committee=self.world.committee,
            actions=tuple(actions),
        )

    def make_action(self) -> VerifiedAction:
        rng = self.random
        name = rng.choice(NAMES)
        signer = self.addresses[name]
        self.nonce += 1
        if rng.random() < 0.12:
            ops: tuple[AnyOp, ...] = (self.make_wallet_op(name),)
        else:
            if self.sessions[name] and rng.random() < 0.5:
                signer = rng.choice(self.sessions[name])
            ops = tuple(self.make_op(name) for _ in range(rng.randrange(1, 6)))
            if rng.random() < 0.35:
                builder = self.addresses[NAMES[0] if rng.random() < 0.9 else rng.choice(NAMES)]
                ops = (UseBuilder(builder, rng.choice((0, 3_333, 5_000, 10_000))), *ops)
        action = VerifiedAction(
            keccak256(b"action" + self.nonce.to_bytes(8, "big")), 0, None, signer
        )
        action.domain = DOMAIN
        action.account = self.addresses[name]
        action.sub = 0 if rng.random() < 0.9 else 1
        action.nonce_ms = self.nonce
        action.deadline_ms = self.nonce + 80_000_000
        action.atomic = rng.random() < 0.2
        action.ops = ops
        return action

    def make_wallet_op(self, name: str) -> AnyOp:
        rng = self.random
        kind = rng.randrange(6)
        if kind == 0:
            self.used_keys += 1
            key = keccak256(b"session" + bytes([self.used_keys % 6]))[:20]
            self.sessions[name].append(key)
            cap = encode_amount(rng.choice((0, 0, 20_000)))
            markets = rng.choice(((), (), (0, 2)))
            expiry = self.time_ms + rng.choice((500, 10**7))
            total, orders = (encode_amount(60_000), 9) if self.used_keys % 3 else (cap, 0)
            return Grant(
                key, expiry, rng.choice((0x1FFFE, 0x7FE, 0x06)), markets, cap, rng.random() < 0.5,
                total, orders,
            )  # fmt: skip
        if kind == 1 and self.sessions[name]:
            return Revoke(rng.choice(self.sessions[name]))
        if kind > 4:
            return ApproveBuilder(self.addresses[NAMES[0]], rng.choice((0, 5_000, 10_000, 10_000)))
        amount = encode_amount(rng.choice((1, 500, 50_000, 10**9)))
        if kind == 2:
            return Withdraw(rng.randrange(3), amount, b"\x09" * 20)
        to = rng.choice((*self.addresses.values(), b"\x08" * 20))
        return Transfer(rng.choice((QUOTE, BASE)), amount, to, rng.randrange(2))

    def make_place(self, market: int, tif: int | None = None) -> Place:
        rng = self.random
        self.client_id += 1
        return Place(
            market,
            rng.randrange(2),
            1_000 + rng.randrange(-6, 7),
            rng.choice((1, 2, 5, 9, 40, 2_000)),
            rng.choice((0, 0, 1, 2, 3)) if tif is None else tif,
            rng.randrange(4),
            rng.choice((0, 0, self.client_id % 30)),
        )

    def make_op(self, name: str) -> AnyOp:
        rng = self.random
        market = rng.randrange(self.markets)
        draw = rng.random()
        if draw < 0.36:
            return self.make_place(market)
        if draw < 0.45:
            return self.make_waiting(market)
        if draw < 0.55:
            return Cancel(market, rng.randrange(1, self.orders_seen + 40))
        if draw < 0.6:
            return CancelClient(market, rng.randrange(30))
        if draw < 0.63:
            return CancelAll(market)
        if draw < 0.75:
            order = rng.randrange(1, self.orders_seen + 40)
            return Replace(market, order, 1_000 + rng.randrange(-6, 7), rng.randrange(1, 50))
        mine = [p for p in self.pending if p[1] == name]
        if mine and draw < 0.9:
            chosen = rng.choice(mine)
            if rng.random() < 0.8:
                self.pending.remove(chosen)
            return chosen[3]
        return self.make_commit(name, market)

    def make_waiting(self, market: int) -> AnyOp:
        """An order with a trigger or an expiry, sensible or not, or a cancel-after time."""
        rng = self.random
        kind = rng.randrange(16)
        if kind == 0:
            after = rng.choice((0, self.time_ms - 1, self.time_ms + 900, self.time_ms + 10**6))
            return CancelAfter(after)
        place = self.make_place(market)
        expiry = self.time_ms + rng.choice((-1, 300, 900, 10**6))
        if kind < 3:
            return PlaceUntil(
                market, place.side, place.price, place.size, kind == 1, place.stp,
                place.client_id, expiry,
            )  # fmt: skip
        if kind == 11:
            return PlaceIceberg(
                market, place.side, place.price, rng.choice((3, 9, 20)), rng.choice((1, 2, 7)),
                place.stp, place.client_id, rng.choice((0, expiry)),
            )  # fmt: skip
        if kind in (12, 13):
            return PlaceSchedule(
                market, place.side, place.price, rng.choice((2, 9, 30)), rng.choice((2, 5)),
                rng.choice((1_000, 2_000)), rng.choice((0, 3_000, 9_000)), place.stp,
                place.client_id,
            )  # fmt: skip
        if kind > 13:
            low = 1_000 - rng.randrange(-1, 5)
            high = rng.choice((0, low + rng.randrange(1, 6)))
            return PlaceBracket(
                market, place.side, place.price, place.size, place.tif, place.stp, place.client_id,
                high, high and high + rng.randrange(-3, 4), low, low + rng.randrange(-3, 4),
                rng.choice((0, 1, 2)),
            )  # fmt: skip
        if kind == 8:
            return PlaceTrailing(
                market, place.side, min(place.size, 40), place.price, rng.randrange(1, 6),
                False, rng.choice((0, 1_000 + rng.randrange(-2, 3))), place.tif, place.stp,
                place.client_id, rng.choice((0, expiry)),
            )  # fmt: skip
        above = rng.choice((0, 1_000 + rng.randrange(-1, 5)))
        below = rng.choice((0, 1_000 - rng.randrange(-1, 5)))
        if kind >= 9:
            return ReplaceTrigger(
                market, rng.randrange(1, self.orders_seen + 40), rng.randrange(1, 40),
                above, above and above + 1, below, below and below + 1,
            )  # fmt: skip
        return PlaceTrigger(
            market, place.side, min(place.size, 40),
            above, above and above + rng.randrange(-4, 5),
            below, below and below + rng.randrange(-4, 5),
            place.tif, place.stp, place.client_id, rng.choice((0, expiry)),
        )  # fmt: skip

    def make_commit(self, name: str, market: int) -> Commit:
        rng = self.random
        orders = tuple(
            self.make_place(market if rng.random() < 0.97 else 0, rng.choice((0, 0, 1, 1, 2, 2, 3)))
            for _ in range(rng.choice((1, 1, 1, 2, 3)))
        )
        salt = rng.randbytes(32)
        nonce = self.nonce if rng.random() < 0.95 else self.nonce + 1
        sealed = self.world.hash_commit(name, orders, salt, nonce, market)
        self.pending.append((self.height, name, market, Open(market, sealed, orders, salt)))
        hold = rng.randrange(3)
        tier = rng.randrange(4, 6) if hold == 0 else rng.randrange(1, 4)
        if hold == 2:
            tier += 32 * rng.randrange(4, 6)
        return Commit(market, hold, tier, sealed)
