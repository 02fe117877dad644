"""The load generator keeps its mix and its word, on a node of one.

Rule: the exchange and the API are real; only the network of validators is not.
Spec: docs/reference/benchmarks.md (End to end). Deviations: none.
"""

from __future__ import annotations

from collections import Counter

import pytest

from bench.load import Wishes, is_good, run_load
from bench.load_flow import LoadFlow, make_key
from bench.load_runner import split
from client.actions import MarketTerms
from exchange.actions import CancelClient, Commit, Open, Place, decode_action
from tests.client.exchange_node import DOMAIN, ExchangeNode, node

TERMS = [MarketTerms(id=n, tick=1, lot=10, taker_bps=20) for n in range(4)]
NOW_MS = 1_790_000_000_000


def make_flow():
    return LoadFlow(
        domain=DOMAIN, markets=TERMS, middles=[1_000] * 4, accounts=20, seed=3, now_ms=NOW_MS
    )


@pytest.mark.parametrize("per_action", [1, 20])
def test_of_ten_orders_six_are_placed_three_cancelled_and_one_is_sealed(per_action):
    flow = make_flow()
    flow.warm_up()
    sends = flow.make(orders_per_second=2_000, seconds=2, per_action=per_action)
    kinds = Counter()
    for send in sends:
        for signed in (send.signed, send.opening):
            if signed is not None:
                ops = decode_action(signed.payload).ops
                kinds.update(type(op) for op in ops)
                assert len(ops) == per_action
    orders = kinds[Place] + kinds[CancelClient] + kinds[Open]
    assert orders == sum(send.orders for send in sends) == 4_000
    assert kinds[Commit] == kinds[Open] == 400
    assert abs(kinds[CancelClient] - 1_200) <= 24
    assert {send.account for send in sends} == set(range(20))


def test_nonces_of_an_account_rise_in_the_order_of_sending():
    flow = make_flow()
    sends = flow.warm_up() + flow.make(orders_per_second=500, seconds=1, per_action=1)
    last = Counter()
    for send in sends:
        assert send.signed.nonce_ms > last[send.account]
        last[send.account] = (send.opening or send.signed).nonce_ms
    for index, part in enumerate(split(flow, sends, 4)):
        assert all(send.account % 4 == index for send in part)


@pytest.mark.parametrize("per_action", [1, 20])
async def test_a_load_is_accepted_and_reported(monkeypatch, per_action):
    monkeypatch.setattr("bench.load_nodes.PATIENCE_S", 20.0)
    service = ExchangeNode(open_window_ms=60_000)  # a busy machine must not cost a bond
    service.world.check = False
    seed = 7
    monkeypatch.setattr("bench.load.now_ms", lambda: service.world.time_ms)
    shown = seed ^ (service.world.time_ms & 0xFFFFFFFF) << 8
    service.fund(*(make_key(shown, index) for index in range(10)), quote=10**15, base=10**15)
    monkeypatch.setattr("bench.load.LoadFlow", lambda **f: LoadFlow(**{**f, "seed": shown}))
    wishes = Wishes(accounts=10, seconds=1.0, rate=400.0, ops=per_action, seed=seed)
    async with node(service) as url:
        report = await run_load([url], service.world.genesis.markets, wishes, None)
    assert report["refused"] == {}
    assert report["orders_sent"] == 400
    # A busy machine may still delay a cancel until its order is filled.
    assert report["orders_accepted"] + report["orders_rejected"] == 400
    assert report["orders_rejected"] <= 40
    assert report["fills"] > 10
    assert report["commit_to_fill_ms"]["count"] == 40 // per_action
    assert report["same_fills"]
    assert report["all_verified"]
    assert is_good(report)
