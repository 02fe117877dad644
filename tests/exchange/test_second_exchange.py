"""Every order type in every mode: the product and a naive second exchange never differ.

Fills with their fees, ends with their reasons, orders with their priority, balances free and held,
fees, forfeits, phases and the times of auctions are compared after every block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from exchange import (
    auction,
    brackets,
    call_auction,
    call_price,
    clearing,
    governance,
    plans,
    price_band,
    price_window,
    sealing,
    slicing,
    triggers,
)
from exchange.actions import BUY
from exchange.order_book import Order
from exchange.reasons import Reason
from tests.conftest import soak_factor
from tests.exchange.second_flow import MODES, run
from tests.exchange.test_exchange_brute_force import MUTANTS as BOOK_MUTANTS

SEQUENCES = 200 * soak_factor()
"""In each mode."""


def test_both_exchanges_agree() -> None:
    told: Counter[int] = Counter()
    fills: Counter[str] = Counter()
    for mode, (name, _, _) in enumerate(MODES):
        for seed in range(SEQUENCES):
            try:
                flow = run(seed, mode)
            except AssertionError as error:
                raise AssertionError(f"sequence {seed} in mode {name}") from error
            for outcome in flow.world.outcomes:
                fills[name] += len(outcome.fills)
                told.update(event.reason for event in outcome.orders)
                told.update(event.reason for event in outcome.commits)
                told.update(status for receipt in outcome.receipts for status in receipt.statuses)
    assert all(2 * fills[name] > SEQUENCES for name, _, _ in MODES)
    expected = {
        Reason.EXPIRED, Reason.SWITCHED_OFF, Reason.LAST_PART, Reason.CANCELLED,
        Reason.OUTSIDE_BAND, Reason.MARKET_CANCEL_ONLY, Reason.MARKET_AUCTION,
        Reason.INSUFFICIENT_FUNDS, Reason.TRIGGER_REACHED, Reason.BAD_PLAN, Reason.SELF_TRADE,
        Reason.EXIT_REACHED, Reason.DUPLICATE_CLIENT_ID, Reason.IOC_UNFILLED, Reason.NOT_OPENED,
        Reason.OPENING_OVER_TIER, Reason.OPENING_INVALID, Reason.ATOMIC_FAILED,
        Reason.MARKET_DELISTED, Reason.MARKET_POST_ONLY, Reason.FOK_UNFILLABLE,
        Reason.POST_ONLY_CROSSES, Reason.PARTLY_FILLED,
    }  # fmt: skip
    assert not expected - set(told), [Reason(reason).name for reason in expected - set(told)]


# Deliberately wrong engines: each must be told from the right one in some mode.

right_follow = triggers.Trail.follow
right_reached = triggers.TriggerIndex.take_reached
right_end = plans.PlanIndex.note_end
right_part = slicing.make_part
right_arm = brackets.arm_exits
right_share = auction.share_pro_rata
right_band = price_band.compute_band
right_note = price_band.note_prices
right_call = call_price.find_call_price
right_uniform = auction.find_price
right_settle = auction.settle
right_clip = price_band.clip_to_band


def never_follows(self: triggers.Trail, price: int) -> bool:
    best = self.best
    reached = right_follow(self, price)
    self.best = best or self.best
    return reached


def is_reached_as_it_activates(self: triggers.Trail, price: int) -> bool:
    waits = self.activation
    reached = right_follow(self, price)
    return reached or (waits > 0 and not self.activation)


def ignores_the_exact_price(self, price):  # type: ignore[no-untyped-def]
    kept = [t for t in self.by_id.values() if price in (t.above, t.below)]
    for trigger in kept:
        self.forget(trigger.order.id)
    taken = right_reached(self, price)
    for trigger in kept:
        self.add(trigger)
    return taken


def counts_its_own_volume(self: plans.PlanIndex, order: Order) -> int:
    plan = self.parts.get(order.id)
    seen = 0 if plan is None else plan.seen
    cushion = right_end(self, order)
    if plan is not None:
        plan.seen = seen
    return cushion


def forgets_what_came_back(self: plans.PlanIndex, order: Order) -> int:
    plan = self.parts.get(order.id)
    cushion = right_end(self, order)
    if plan is not None and not plan.visible:
        plan.returned = 0
    return cushion


def keeps_the_cushion(self: plans.PlanIndex, order: Order) -> int:
    right_end(self, order)
    return 0


def shows_two_parts(state, market, plan, size, tif):  # type: ignore[no-untyped-def]
    return right_part(state, market, plan, min(2 * size, plan.order.size), tif)


def rounds_parts_down(market, plan):  # type: ignore[no-untyped-def]
    left = plan.order.size
    if plan.bps:
        return min((market.traded - plan.seen) * plan.bps // 10_000, left)
    return left // plan.slots


def arms_nothing_for_filled_entries(state, market, first_fill):  # type: ignore[no-untyped-def]
    market.plans.closing.clear()
    right_arm(state, market, first_fill)


def gives_odd_lots_to_the_last(sizes, available):  # type: ignore[no-untyped-def]
    return right_share(sizes[::-1], available)[::-1]


def lets_the_band_stand_still(market, time_ms):  # type: ignore[no-untyped-def]
    window = market.window
    quiet = (time_ms - window.last_ms) // market.window_ms
    return right_band(market, time_ms - quiet * market.window_ms)


def never_trips(market, time_ms, fills):  # type: ignore[no-untyped-def]
    right_note(market, time_ms, fills)
    return False


def takes_the_higher_price(bids, asks, reference):  # type: ignore[no-untyped-def]
    return right_uniform(bids, asks, 10**9)


def prefers_the_lower_price(book, reference, levels_max=0):  # type: ignore[no-untyped-def]
    return right_call(book, 1, levels_max)


def nets_nothing(market, buys, sells):  # type: ignore[no-untyped-def]
    return False


def clips_buys_only(market, order, time_ms):  # type: ignore[no-untyped-def]
    if order.side == BUY:
        right_clip(market, order, time_ms)


def ranks_by_arrival(item):  # type: ignore[no-untyped-def]
    return b"", item.order.id


MUTANTS: dict[str, tuple[object, str, Callable[..., object]]] = {
    **{f"book_{name}": wrong for name, wrong in BOOK_MUTANTS.items()},
    "trailing_never_follows": (triggers.Trail, "follow", never_follows),
    "trailing_reached_as_it_activates": (triggers.Trail, "follow", is_reached_as_it_activates),
    "trigger_ignores_its_own_price": (
        triggers.TriggerIndex, "take_reached", ignores_the_exact_price,
    ),
    "vwap_counts_itself": (plans.PlanIndex, "note_end", counts_its_own_volume),
    "schedule_loses_lots": (plans.PlanIndex, "note_end", forgets_what_came_back),
    "cushion_stays_held": (plans.PlanIndex, "note_end", keeps_the_cushion),
    "iceberg_shows_two_parts": (slicing, "make_part", shows_two_parts),
    "slots_round_down": (slicing, "_compute_size", rounds_parts_down),
    "exits_forget_filled_entries": (clearing, "arm_exits", arms_nothing_for_filled_entries),
    "odd_lots_to_the_last": (auction, "share_pro_rata", gives_odd_lots_to_the_last),
    "uniform_price_too_high": (auction, "find_price", takes_the_higher_price),
    "uniform_self_trades": (auction, "_net_self_trades", nets_nothing),
    "uniform_fills_part_of_all_or_nothing": (
        auction, "_drop_unfillable", lambda market, sealed, buys, sells: False,
    ),
    "sealed_by_arrival": (clearing, "_get_sealed_rank", ranks_by_arrival),
    "band_never_widens": (price_band, "compute_band", lets_the_band_stand_still),
    "band_clips_buys_only": (clearing, "clip_to_band", clips_buys_only),
    "breaker_never_trips": (clearing, "note_prices", never_trips),
    "window_forgets_nothing": (
        price_window.PriceWindow, "restart", lambda self, price: None,
    ),
    "auction_too_low": (call_auction, "find_call_price", prefers_the_lower_price),
    "auction_nets_nothing": (call_auction, "_net_self_trades", lambda market: None),
    "halt_keeps_commits": (governance, "_keep_for_auction", lambda market: None),
    "bond_is_free": (sealing, "get_bond_ppm", lambda ppm, account, time_ms: 0),
}  # fmt: skip


def run_many(count: int) -> None:
    for seed in range(count):
        for mode in range(len(MODES)):
            run(seed, mode)


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_wrong_exchange_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, wrong = MUTANTS[name]
    monkeypatch.setattr(owner, attribute, wrong)
    with pytest.raises(AssertionError):
        run_many(200)
