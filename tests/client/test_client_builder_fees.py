"""Whoever pays a builder sees it with each fill: events, fills, account stream, statement, SDK.

Rule: the exchange, its store and the API are the product; blocks are made when a test says so.
Spec: docs/spec/fees.md#builders. Deviations: none.
"""

from __future__ import annotations

import trio

from client.node_client import open_node
from client.sealed import Taken
from client.statement import read_statement
from exchange.actions import BUY, IOC, SELL, ApproveBuilder, Place, UseBuilder
from tests.client.exchange_node import ExchangeNode, make_key, node

ALICE, BOB, EVE = make_key("alice"), make_key("bob"), make_key("eve")
PPM = 5_000
PAID = 1_000 * 3 * PPM // 1_000_000


async def test_a_payer_sees_what_each_fill_paid_to_its_builder() -> None:
    service = ExchangeNode(mode="fair", builder_fee_ppm_max=10_000)
    service.fund(ALICE, BOB, EVE)
    act = service.world.act
    service._execute(act(BOB, ApproveBuilder(EVE.address, PPM)))
    async with node(service, blocks=False) as here, open_node(here) as client:
        stream = client.subscribe("account", BOB.address)
        with trio.fail_after(60):
            assert (await anext(stream)).is_snapshot
            service.pool.append(act(ALICE, Place(0, SELL, 1_000, 3)))
            service.make_block()
            service.pool.append(
                act(BOB, UseBuilder(EVE.address, PPM), Place(0, BUY, 1_000, 3, IOC))
            )
            service.make_block()
            while not (update := (await anext(stream)).data).fills:
                pass
        (live,) = update.fills
        assert live.builder_fee == PAID
        (fill,) = (await client.rest.account_fills(BOB.address)).fills
        assert (fill.builder_fee, fill.fee, fill.maker) == (PAID, 6, False)
        events = (await client.rest.account_events(BOB.address)).events
        assert [e.fill.builder_fee for e in events if e.fill is not None] == [PAID]
        (other,) = (await client.rest.account_fills(ALICE.address)).fills
        assert (other.builder_fee, other.maker) == (0, True)
        statement = await read_statement(client.rest, BOB.address, from_ms=0, to_ms=2**53)
        assert statement.sums()[0, "paid to builder"] == -PAID
        assert (0, "other") not in statement.sums()
        taken = Taken(
            order_id=1, code="filled", fills=(fill,), commit_height=1, height=1, elapsed_ms=1
        )
        assert (taken.fee, taken.builder_fee) == (6, PAID)
