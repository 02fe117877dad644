"""A bot sees what is proposed, says the same with a validator's key, and trades what was listed.

Rule: the exchange, its store and the API are the product; blocks are made when a test says so.
Spec: docs/reference/api.md (Listings); docs/spec/markets.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from client.errors import ClientError
from client.governance import make_listing_vote, make_market_vote, read_asset, read_market
from client.keys import Credentials
from client.node_client import NodeClient, open_node
from client.trader import open_trader
from client.views import Market
from exchange.actions import SELL, ListAsset, ListMarket, Place, SetTerms
from exchange.limits import LISTING_NOTICE_HEIGHTS
from tests.client.exchange_node import ExchangeNode, make_key, node

ALICE = make_key("alice")
TOKEN = "0x" + "a5" * 20


def say(service: ExchangeNode, op: object, *who: int) -> None:
    for number in who:
        service.pool.append(service.world.act(service.world.validators[number], op))  # type: ignore[arg-type]
    service.make_block()


def wait(service: ExchangeNode) -> None:
    for _ in range(LISTING_NOTICE_HEIGHTS):
        service.make_block()


async def test_what_one_validator_proposes_others_can_say_too() -> None:
    service = ExchangeNode(mode="fair")
    async with node(service, blocks=False) as here, open_node(here) as client:
        known = (await client.rest.assets())[0]
        asset = read_asset(
            {"name": "NEW", "decimals": 8, "chain_id": known.chain_id,
             "vault": "0x" + known.vault.hex(), "token": TOKEN}
        )  # fmt: skip
        say(service, ListAsset(0, 0, asset), 0)
        found = await client.rest.listings()
        (proposal,) = found.proposals
        assert (proposal.kind, proposal.weight, found.weight) == ("asset", 1, 4)
        assert proposal.voters == (service.world.validators[0].address,)
        assert make_listing_vote(proposal) == ListAsset(0, 0, asset)
        say(service, make_listing_vote(proposal), 1, 2)
        found = await client.rest.listings()
        assert (found.round, found.proposals, found.decided[0].kind) == (1, (), "asset")
        wait(service)
        assert (await client.rest.assets())[-1].symbol == "NEW"
        assert (await client.rest.listings()).decided == ()


async def test_a_market_listed_while_a_bot_runs_is_followed_and_traded() -> None:
    service = ExchangeNode(mode="fair")
    service.fund(ALICE)
    async with node(service, blocks=False) as here, open_node(here) as client:
        terms = (await client.rest.terms(0)).terms
        wish = read_market({**terms, "name": "LATE-USDX"})
        count = len(client.markets)
        say(service, ListMarket(0, 0, 2, wish), 0, 1, 2)
        wait(service)
        market = await followed(client, lambda: len(client.markets) > count)
        assert market.name == "LATE-USDX"
        assert (market.id, market.phase) == (count, "POST_ONLY")
        service.pool.append(service.world.act(ALICE, Place(market.id, SELL, 1_000, 3)))
        service.make_block()
        assert as_pairs(await client.rest.l2("LATE-USDX")) == [(1_000, 3)]
        wait(service)
        await followed(client, lambda: client.find_market(count).phase == "OPEN")
        delist = make_market_vote(count, client.find_market(count).phase_round, "DELISTED")
        say(service, delist, 0, 1, 2)
        await followed(client, lambda: client.find_market(count).phase == "DELISTED")
        assert (client.find_market(count).phase, client.find_market(count).orders) == (
            "DELISTED", 0,
        )  # fmt: skip


async def test_a_trader_trades_a_market_that_it_has_not_heard_of() -> None:
    service = ExchangeNode(mode="fair")
    service.fund(ALICE)
    async with (
        node(service) as here,
        open_node(here) as client,
        open_trader(client, Credentials.of_wallet(ALICE)) as trader,
    ):
        client.markets = ()
        assert await trader.place("M0-USDX", SELL, 1_000, 3)
        with pytest.raises(KeyError):
            await trader.place("NOWHERE", SELL, 1_000, 3)


async def test_lower_fees_are_shown_and_seals_still_cover_what_is_held() -> None:
    service = ExchangeNode(mode="sealed")
    async with node(service, blocks=False) as here, open_node(here) as client:
        shown = await client.rest.terms(0)
        before = client.terms(0).taker_bps
        wish = read_market({**shown.terms, "taker_bps": 12})
        say(service, SetTerms(0, shown.round, 0, wish), 0, 1, 2)
        assert (await client.rest.listings()).decided[0].market == 0
        wait(service)
        await followed(client, lambda: client.find_market(0).taker_fee_ppm == 1_200)
        assert client.terms(0).taker_bps == before


async def followed(client: NodeClient, is_known: Callable[[], bool]) -> Market:
    """Wait until the client has learnt something by itself; return its newest market."""
    with trio.fail_after(60):
        while not is_known():
            await client.markets_changed.wait()
    return client.markets[-1]


def as_pairs(book: object) -> list[tuple[int, int]]:
    return [(level.price, level.size) for level in book.asks]  # type: ignore[attr-defined]


def test_what_are_no_terms_is_refused() -> None:
    with pytest.raises(ClientError):
        read_market({"name": "X", "base": 0, "quote": 1, "tick": 0, "lot": 1})
    with pytest.raises(ClientError):
        read_asset({"name": "X", "token": TOKEN})
