"""A statement adds up: every atom between two balances has an entry, whatever happened.

Rule: the exchange, its store and the API are the product; blocks are made when a test says so.
Spec: docs/how-to/account-statement.md. Deviations: none.
"""

from __future__ import annotations

import random

import pytest

from client.statement import Statement, read_statement
from exchange.actions import Transfer, Withdraw, encode_amount
from exchange.ledger import REWARDS
from storage.pruning import delete_below
from tests.client.exchange_node import ExchangeNode, make_key
from tests.client.test_client_feeds import ALICE, funded, newest, trade

FAR = 2**53
PAYOUTS = tuple(bytes([0xB0 + i]) * 20 for i in range(4))


def pay_validators(service: ExchangeNode) -> None:
    """Mint block rewards and go on until a checkpoint has shared them."""
    world = service.world
    world.committee = tuple(
        (v.address, 1, payout) for v, payout in zip(world.validators, PAYOUTS, strict=True)
    )
    service._execute(*world.attest((REWARDS, 1, 1_003)))
    while not world.outcomes[-1].is_checkpoint:
        service.make_block()


def check(service: ExchangeNode, found: Statement, owner: bytes) -> None:
    """Opening balances plus entries are closing balances, which are the ledger's."""
    running = dict(found.opening)
    for entry in found.entries:
        place = entry.sub, entry.asset
        running[place] = running.get(place, 0) + entry.amount
        assert running[place] == entry.balance
    assert running == found.closing
    if found.to_ms == FAR:
        account = service.state.by_address[owner]
        balances = {(b.sub, b.asset): b.free + b.held for b in account.entries}
        assert found.closing == balances


def everything(service: ExchangeNode, seed: int) -> None:
    """Trades, transfers, withdrawals, fee shares and rewards."""
    trade(service, seed)
    bob = make_key("bob").address
    service.pool += [
        service.world.act(ALICE, Transfer(0, encode_amount(1_234), bob, 2)),
        service.world.act(ALICE, Withdraw(0, encode_amount(77), ALICE.address)),
    ]
    service.make_block()
    pay_validators(service)
    trade(service, seed + 1, blocks=2)


@pytest.mark.parametrize("seed", range(2))
async def test_a_statement_adds_up_to_the_balances_of_the_ledger(seed: int) -> None:
    async with funded() as (service, client):
        everything(service, seed)
        rest = client.rest
        whole = await read_statement(rest, ALICE.address, from_ms=0, to_ms=FAR)
        assert whole.is_whole
        assert not any(whole.opening.values())
        check(service, whole, ALICE.address)
        kinds = {entry.kind for entry in whole.entries}
        assert kinds == {"deposit", "withdrawal", "trade", "fee", "other"}
        assert whole.sums()[0, "withdrawal"] == -77
        assert whole.sums()[0, "other"] == -1_234

        # Cut anywhere, the two halves are the whole.
        middle = random.Random(seed).choice(whole.entries).time_ms
        first = await read_statement(rest, ALICE.address, from_ms=0, to_ms=middle)
        second = await read_statement(rest, ALICE.address, from_ms=middle, to_ms=FAR)
        for half in (first, second):
            check(service, half, ALICE.address)
        assert (*first.entries, *second.entries) == whole.entries
        held = {place: total for place, total in second.opening.items() if total}
        assert held == {place: total for place, total in first.closing.items() if total}


async def test_validators_income_is_told_apart_and_complete() -> None:
    async with funded() as (service, client):
        everything(service, 5)
        total = 0
        for payout in PAYOUTS:
            found = await read_statement(client.rest, payout, from_ms=0, to_ms=FAR)
            check(service, found, payout)
            assert {entry.kind for entry in found.entries} <= {"fee share", "reward"}
            assert found.sums()[1, "reward"] == 250
            total += found.sums()[0, "fee share"]
        assert total == service.state.fees_shared[0] > 0


async def test_a_node_that_has_forgotten_says_so_and_still_adds_up() -> None:
    async with funded() as (service, client):
        everything(service, 3)
        seq, height = newest(service), service.state.height
        delete_below(service.store.database, service.store.path, height - 5)
        found = await read_statement(client.rest, ALICE.address, from_ms=0, to_ms=FAR)
        assert not found.is_whole
        assert 0 < len(found.entries) < seq
        check(service, found, ALICE.address)
        for (_, asset), total in found.opening.items():
            assert asset in (0, 1)
            assert total > 0


async def test_an_account_without_events_has_an_empty_statement() -> None:
    async with funded() as (_, client):
        found = await read_statement(client.rest, b"\x99" * 20, from_ms=0, to_ms=FAR)
        assert (found.entries, found.opening, found.closing) == ((), {}, {})
