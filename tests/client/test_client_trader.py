"""A trader against a real exchange behind the real API.

Rule: everything goes over HTTP and WebSocket on the loopback; no test waits for a length of time.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager

import pytest
import trio

from client.errors import ActionRejected, ClientError, OutcomeUnknown
from client.keys import Credentials
from client.node_client import open_node
from client.trader import open_trader
from exchange.actions import BUY, GTC, SELL, Place, SignedAction, verify
from primitives.errors import WrongNetwork
from tests.client.exchange_node import DOMAIN, ExchangeNode, make_key, node
from tests.devnet.fair_time import FairTime
from tests.free_ports import free_port

ALICE, BOB, SESSION = make_key("alice"), make_key("bob"), make_key("session")
OWN_ALICE, OWN_BOB = Credentials.of_wallet(ALICE), Credentials.of_wallet(BOB)


@asynccontextmanager
async def trading(service, credentials):
    """A trader with a connection of their own."""
    async with open_node(service.url) as client, open_trader(client, credentials) as trader:
        yield trader


@asynccontextmanager
async def market():
    """A running node with two funded accounts."""
    service = ExchangeNode()
    service.fund(ALICE, BOB)
    async with node(service) as url:
        service.url = url
        yield service


async def test_an_order_rests_and_is_cancelled():
    async with market() as service, trading(service, OWN_ALICE) as trader:
        order = await trader.place(0, BUY, 990, 5)
        assert trader.orders[order].remaining == 5
        assert int(trader.balances[0].held) > 0
        await trader.cancel(0, order)
        assert trader.orders == {}
        with pytest.raises(ActionRejected) as refused:
            await trader.cancel(0, order)
        assert refused.value.code == "unknown_order"


async def test_a_sealed_order_takes_a_resting_one():
    async with (
        market() as service,
        trading(service, OWN_ALICE) as maker,
        trading(service, OWN_BOB) as taker,
    ):
        resting = await maker.place(0, SELL, 1_000, 7)
        taken = await taker.buy_sealed(0, 1_010, 5)
        assert (taken.code, taken.filled, taken.notional, taken.fee) == ("filled", 5, 5_000, 10)
        assert taken.height > taken.commit_height
        await maker.wait_until(lambda trader: trader.orders[resting].remaining == 2)
        taken = await taker.take(0, BUY, 1_000, 5, tif=GTC)
        assert taken.filled == 2
        await maker.wait_until(lambda trader: trader.orders == {})


async def test_a_sealed_order_that_finds_nothing_says_so():
    async with market() as service, trading(service, OWN_BOB) as taker:
        taken = await taker.sell_sealed(0, 1_000, 5)
        assert (taken.code, taken.filled) == ("ioc_unfilled", 0)


async def test_a_commit_that_is_not_covered_is_rejected():
    async with market() as service, trading(service, OWN_BOB) as taker:
        with pytest.raises(ActionRejected) as refused:
            await taker.buy_sealed(0, 1 << 39, 1 << 39)
        assert refused.value.code == "insufficient_funds"


async def test_a_crossing_maker_order_is_rejected():
    async with (
        market() as service,
        trading(service, OWN_ALICE) as maker,
        trading(service, OWN_BOB) as other,
    ):
        await maker.place(0, SELL, 1_000, 7)
        with pytest.raises(ActionRejected) as refused:
            await other.place(0, BUY, 1_000, 7)
        assert refused.value.code == "post_only_crosses"


async def test_orders_are_replaced_and_cancelled_by_client_id_and_all_at_once():
    async with market() as service, trading(service, OWN_ALICE) as trader:
        order = await trader.place(0, BUY, 990, 5, client_id=77)
        order = await trader.replace(0, order, 991, 4)
        assert [(o.price, o.remaining) for o in trader.orders.values()] == [(991, 4)]
        await trader.cancel_client(0, 77)
        assert trader.orders == {}
        receipt = await trader.execute(*(Place(0, BUY, 900 + n, 1) for n in range(20)))
        assert {status.code for status in receipt.statuses} == {"ok"}
        assert len(trader.orders) == 20
        await trader.cancel_all(0)
        assert trader.orders == {}


async def test_a_session_key_trades_but_does_not_withdraw():
    async with market() as service:
        async with trading(service, OWN_ALICE) as owner:
            await owner.grant(SESSION.address, markets=(0,))
        session = Credentials.of_session(ALICE.address, SESSION)
        async with trading(service, session) as trader:
            await trader.place(0, BUY, 990, 5)
            with pytest.raises(ActionRejected) as refused:
                await trader.place(1, BUY, 990, 5)
            assert refused.value.code == "key_lacks_market"
            with pytest.raises(ClientError, match="wallet"):
                await trader.withdraw(0, 1, ALICE.address)
        async with trading(service, OWN_ALICE) as owner:
            await owner.revoke(SESSION.address)
        async with trading(service, session) as trader:
            with pytest.raises(ActionRejected) as refused:
                await trader.place(0, BUY, 990, 5)
            assert refused.value.code == "key_revoked"


async def test_a_wallet_withdraws_and_transfers():
    async with market() as service, trading(service, OWN_ALICE) as trader:
        before = int(trader.balances[0].free)
        await trader.withdraw(0, 1_000, ALICE.address)
        await trader.transfer(0, 500, BOB.address)
        assert int(trader.balances[0].free) == before - 1_500
        with pytest.raises(ActionRejected) as refused:
            await trader.withdraw(0, 1 << 100, ALICE.address)
        assert refused.value.code == "insufficient_funds"


async def test_an_action_that_reaches_no_block_has_an_unknown_outcome():
    async with market() as service, trading(service, OWN_ALICE) as trader:
        service.hold = True
        with pytest.raises(OutcomeUnknown) as unknown:
            await trader.place(0, BUY, 990, 5, timeout_s=0.2)
        assert len(unknown.value.action_id) == 32
        service.hold = False


async def test_a_sealed_order_is_opened_even_after_its_caller_has_given_up():
    async with (
        market() as service,
        trading(service, OWN_ALICE) as maker,
        trading(service, OWN_BOB) as taker,
    ):
        await maker.place(0, SELL, 1_000, 5)
        service.hold = True
        with pytest.raises(OutcomeUnknown):
            await taker.buy_sealed(0, 1_000, 5, timeout_s=0.1)
        service.hold = False
        await taker.sealed.wait()
        await maker.wait_until(lambda trader: trader.orders == {})


async def test_leaving_waits_for_a_commit_to_be_opened():
    async with market() as service, trading(service, OWN_ALICE) as maker:
        await maker.place(0, SELL, 1_000, 5)
        service.hold = True
        async with trading(service, OWN_BOB) as taker:
            with pytest.raises(OutcomeUnknown):
                await taker.buy_sealed(0, 1_000, 5, timeout_s=0.1)
            service.hold = False
        await maker.wait_until(lambda trader: trader.orders == {})


async def test_a_receipt_whose_event_was_lost_is_asked_for(monkeypatch):
    monkeypatch.setattr("client.desk.RECEIPT_POLL_S", 0.05)
    async with market() as service, trading(service, OWN_ALICE) as trader:
        monkeypatch.setattr(service.hub, "publish", lambda *_: None)
        order = await trader.place(0, BUY, 990, 5)
        assert order > 0
        assert trader.orders == {}


async def test_a_node_of_another_network_is_refused():
    async with market() as service:
        with pytest.raises(WrongNetwork):
            async with open_node(service.url, network_id=b"\1" * 32):
                pass


async def test_a_trader_comes_back_after_the_node_did():
    service = ExchangeNode()
    service.fund(ALICE)
    with trio.CancelScope() as first:
        async with trio.open_nursery() as nursery:
            urls: list[str] = []
            up = trio.Event()

            async def serve_once(scope, port):
                with scope:
                    async with node(service, port=port) as url:
                        urls.append(url)
                        up.set()
                        await trio.sleep_forever()

            scope = trio.CancelScope()
            nursery.start_soon(serve_once, scope, free_port())
            await up.wait()
            async with (
                open_node(urls[0]) as client,
                open_trader(client, OWN_ALICE) as trader,
            ):
                await trader.place(0, BUY, 990, 5)
                up = trio.Event()
                scope.cancel()
                while client.stream.is_connected:
                    await trio.sleep(0.01)
                scope = trio.CancelScope()
                port = int(urls[0].rsplit(":", 1)[1])
                nursery.start_soon(serve_once, scope, port)
                await up.wait()
                watch = FairTime(lambda: [os.getpid()])
                await trader.place(0, BUY, 980, 5)
                assert len(trader.orders) == 2
                assert client.stream.connections == 2
                watch.verify(5, "coming back")
            first.cancel()


async def test_a_taker_learns_the_fill_within_a_few_blocks():
    async with (
        market() as service,
        trading(service, OWN_ALICE) as maker,
        trading(service, OWN_BOB) as taker,
    ):
        await maker.execute(*(Place(0, SELL, 1_000, 1, 3) for _ in range(10)))
        for _ in range(10):
            taken = await taker.buy_sealed(0, 1_000, 1)
            assert taken.filled == 1
            assert taken.height - taken.commit_height <= 20


async def test_a_commit_that_was_opened_too_late_is_rejected_and_says_so():
    service = ExchangeNode(open_window_ms=0)
    service.fund(ALICE, BOB)
    async with node(service) as url:
        service.url = url
        async with trading(service, OWN_BOB) as taker:
            submit = service.submit

            async def delay(envelopes):
                results = await submit(envelopes)
                if len(service.known) == 2:  # the opening
                    held, service.pool = service.pool, []
                    height = service.world.state.height
                    while service.world.state.height < height + 10:
                        await trio.sleep(0.01)
                    service.pool += held
                return results

            service.submit = delay
            with pytest.raises(ActionRejected) as refused:
                await taker.buy_sealed(0, 1_000, 1)
            assert refused.value.code == "unknown_commit"


async def test_an_opening_is_brought_again_to_a_node_that_is_busy():
    async with (
        market() as service,
        trading(service, OWN_ALICE) as maker,
        trading(service, OWN_BOB) as taker,
    ):
        await maker.place(0, SELL, 1_000, 5)
        service.busy = ["", "node_busy", "account_too_fast"]
        assert (await taker.buy_sealed(0, 1_000, 5)).filled == 5
        service.busy = ["node_busy"]
        with pytest.raises(ActionRejected, match="node_busy"):
            await taker.buy_sealed(0, 1_000, 5)


async def test_an_opening_the_ledger_did_not_look_at_is_signed_anew():
    async with (
        market() as service,
        trading(service, OWN_ALICE) as maker,
        trading(service, OWN_BOB) as taker,
    ):
        await maker.place(0, SELL, 1_000, 5)
        submit, lost = service.submit, []

        async def lose(envelopes):
            opens = any(len(payload) > 150 for payload, _ in envelopes)
            if opens and not lost:
                lost.append(envelopes)
                state = service.world.state

                action = verify(SignedAction(*envelopes[0]), DOMAIN)
                state.nonces[BOB.address].append(action.nonce_ms)
            return await submit(envelopes)

        service.submit = lose
        taken = await taker.buy_sealed(0, 1_000, 5)
        assert taken.filled == 5
        assert lost
