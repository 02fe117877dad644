"""Leaving: unbonding starts with the first committee without the leaver, and not before."""

from __future__ import annotations

import pytest

from contracts.decisions import DecisionKind
from contracts.deployment_plan import STAKE_MIN_ATOMS
from contracts.settlement_calls import encode_checkpoint
from primitives.address import to_checksum
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import NOBODY, RELAYER, STRANGER, TRADER, World
from tests.contracts.test_validator_registry import (
    DAY,
    FORTNIGHT,
    call,
    changes,
    hand_over,
    join,
    prove,
    read,
    refused,
)
from tests.contracts.test_vault_decisions import decide


def test_stake_is_taken_out_a_fortnight_after_the_last_committee(world: World) -> None:
    join(world)
    owner = to_checksum(TRADER.address)
    assert refused(world, TRADER, "withdrawStake") == "StillBonded"
    assert call(world, TRADER, "requestExit") == 1
    assert not read(world, "isActive", owner)
    assert refused(world, TRADER, "requestExit") == "Leaving"
    assert refused(world, TRADER, "addStake", owner, 10**18) == "Leaving"
    world.increase_time(7 * DAY)
    world.checkpoint()
    world.increase_time(8 * DAY)
    assert read(world, "exitAt", owner) == 0  # no committee was accepted meanwhile
    assert refused(world, TRADER, "withdrawStake") == "StillBonded"
    hand_over(world)
    assert read(world, "exitAt", owner) == world.evm.web3.eth.get_block("latest").timestamp + (
        FORTNIGHT
    )
    world.increase_time(FORTNIGHT - 60)
    assert refused(world, TRADER, "withdrawStake") == "StillBonded"
    world.increase_time(120)
    assert call(world, TRADER, "withdrawStake") == 1
    assert world.balance(world.tokens["XOM"], TRADER.address) == STAKE_MIN_ATOMS
    assert len(read(world, "owners")) == 4
    assert read(world, "exitingCount") == 0
    assert read(world, "totalStake") == 4 * STAKE_MIN_ATOMS
    gone = changes(world)[-1]
    assert (gone["owner"], gone["hotKey"], gone["stake"]) == (owner, NOBODY, 0)
    assert refused(world, TRADER, "withdrawStake") == "NotRegistered"
    assert refused(world, TRADER, "requestExit") == "NotRegistered"


def test_unbonding_starts_anew_with_every_seat(world: World) -> None:
    """A leaver whose key, even an old one, is still in a committee stays bonded."""
    seat = world.keys[0]
    owner = to_checksum(seat.address)
    world.wallet.send_native(seat.address, 10**18)
    fresh = PrivateKey(keccak256(b"fresh"))
    proof = prove(world, fresh, seat.address)
    assert call(world, seat, "changeHotKey", to_checksum(fresh.address), proof) == 1
    assert call(world, seat, "requestExit") == 1
    assert read(world, "exitAt", owner) == 0
    hand_over(world)
    hand_over(world)
    assert read(world, "exitAt", owner) == 0
    hand_over(world, without=0)
    first = read(world, "exitAt", owner)
    assert first > 0
    world.increase_time(DAY)
    hand_over(world)
    assert read(world, "exitAt", owner) == first  # the time of the first committee counts
    hand_over(world, extra=seat)
    assert read(world, "exitAt", owner) == 0
    hand_over(world, without=3)
    assert read(world, "exitAt", owner) >= first + DAY


def test_closed_vault_lets_validators_go_a_fortnight_later(world: World) -> None:
    join(world)
    assert call(world, TRADER, "requestExit") == 1
    world.increase_time(7 * DAY + 60)
    assert world.send(STRANGER, world.vault, world.encode("Settlement", "openEscape"))["status"]
    assert read(world, "exitAt", to_checksum(TRADER.address)) == 0
    world.increase_time(2 * DAY)
    closed = world.view("Settlement", world.vault, "closedAt")
    assert read(world, "exitAt", to_checksum(TRADER.address)) == closed + FORTNIGHT
    assert read(world, "exitAt", to_checksum(world.keys[0].address)) == 0  # it did not ask to
    world.increase_time(FORTNIGHT)
    assert call(world, TRADER, "withdrawStake") == 1


def test_vault_that_closes_later_does_not_put_an_exit_off(world: World) -> None:
    join(world)
    hand_over(world)
    assert read(world, "acceptedAt", 2) == 0  # nobody leaves: nothing is written
    assert call(world, TRADER, "requestExit") == 1
    hand_over(world)
    assert read(world, "acceptedAt", 3) > 0
    at = read(world, "exitAt", to_checksum(TRADER.address))
    world.increase_time(7 * DAY + 60)
    assert world.send(STRANGER, world.vault, world.encode("Settlement", "openEscape"))["status"]
    world.increase_time(2 * DAY)
    assert world.view("Settlement", world.vault, "isClosed")
    assert read(world, "exitAt", to_checksum(TRADER.address)) == at


def test_leaver_in_the_middle_of_the_list_is_removed(world: World) -> None:
    """The last takes its place, and leaves from there."""
    first, second, third, last = world.keys
    for leaver in (second, last):
        world.wallet.send_native(leaver.address, 10**18)
        assert call(world, leaver, "requestExit") == 1
    hand_over(world, without=1)
    hand_over(world, without=2)
    world.increase_time(FORTNIGHT + 1)
    assert call(world, second, "withdrawStake") == 1
    assert read(world, "owners") == [to_checksum(key.address) for key in (first, last, third)]
    assert call(world, last, "withdrawStake") == 1
    assert read(world, "owners") == [to_checksum(key.address) for key in (first, third)]


def test_only_the_vault_tells_of_committees(world: World) -> None:
    arguments = (2, [(to_checksum(key.address), 1) for key in world.keys])
    assert refused(world, STRANGER, "onCommittee", *arguments) == "OnlySettlement"


def test_registry_follows_the_successor_of_its_vault(world: World) -> None:
    assert refused(world, STRANGER, "followSettlement") == "NoSuccessor"
    tokens = [to_checksum(token) for token in world.tokens.values()]
    registry = to_checksum(world.deployment.registry)
    config = world.vault_config(registry=registry)
    successor = world.deploy_contract("Settlement", config, tokens)
    decide(world, DecisionKind.ANNOUNCE, successor)
    assert refused(world, STRANGER, "followSettlement") == "NoSuccessor"
    world.increase_time(6 * DAY)
    header = world.header()
    world.client.submit_checkpoint(world.submission(header))
    payload = encode_checkpoint(world.submission(header))
    assert world.send(RELAYER, successor, payload)["status"] == 1
    world.increase_time(8 * DAY - 60)
    boundary = hand_over(world)
    world.increase_time(60)
    assert refused(world, STRANGER, "followSettlement") == "NoSuccessor"  # it is an epoch behind
    assert world.send(RELAYER, successor, boundary)["status"] == 1
    assert call(world, STRANGER, "followSettlement") == 1
    assert read(world, "settlement") == to_checksum(successor)


@pytest.mark.parametrize("has_registry", [True, False])
def test_boundary_leaves_another_vaults_registry_alone(world: World, has_registry: bool) -> None:
    registry = to_checksum(world.deployment.registry) if has_registry else NOBODY
    config = world.vault_config(registry=registry)
    other = world.deploy_contract("Settlement", config, [])
    world.vault = world.ledger.vault = other
    world.client = world.make_client(RELAYER)
    join(world)
    assert call(world, TRADER, "requestExit") == 1
    hand_over(world)
    assert world.client.status().epoch == 2
    assert read(world, "exitAt", to_checksum(TRADER.address)) == 0
