"""Dust stays where it is: smallest transfers and withdrawals per asset."""

from __future__ import annotations

import msgspec

from exchange.actions import Transfer, Withdraw, encode_amount
from exchange.genesis import ExchangeGenesis, dump_genesis, load_genesis
from exchange.reasons import Reason
from tests.exchange.world import BASE, QUOTE, World, make_genesis, make_key

BOB = make_key("bob").address
FAR = b"\x09" * 20


def make_minimums() -> ExchangeGenesis:
    plain = make_genesis()
    first = msgspec.structs.replace(plain.assets[0], transfer_minimum=10, withdrawal_minimum=100)
    return msgspec.structs.replace(plain, assets=(first, *plain.assets[1:]))


def try_op(world: World, op: Transfer | Withdraw) -> int:
    return world.block(world.act("ann", op)).receipts[0].statuses[0]


def test_transfers_to_others_and_withdrawals_have_a_minimum_per_asset() -> None:
    world = World(make_minimums())
    world.fund("ann")
    for asset, amount, expected in (
        (QUOTE, 9, Reason.BELOW_MINIMUM), (QUOTE, 10, Reason.OK), (BASE, 1, Reason.OK),
    ):  # fmt: skip
        assert try_op(world, Transfer(asset, encode_amount(amount), BOB, 0)) == expected
    for asset, amount, expected in (
        (QUOTE, 99, Reason.BELOW_MINIMUM), (QUOTE, 100, Reason.OK), (BASE, 1, Reason.OK),
    ):  # fmt: skip
        assert try_op(world, Withdraw(asset, encode_amount(amount), FAR)) == expected


def test_own_sub_accounts_know_no_minimum() -> None:
    world = World(make_minimums())
    world.fund("ann")
    own = make_key("ann").address
    assert try_op(world, Transfer(QUOTE, encode_amount(1), own, 127)) == Reason.OK
    assert world.balance("ann", QUOTE, 127) == (1, 0)


def test_minimums_are_part_of_the_network_file() -> None:
    genesis = make_minimums()
    assert load_genesis(dump_genesis(genesis)) == genesis
