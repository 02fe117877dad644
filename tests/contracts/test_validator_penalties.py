"""What equivocations cost when others are convicted at about the same time."""

from __future__ import annotations

from consensus.vote import Kind
from contracts.deployment_plan import STAKE_MIN_ATOMS
from primitives.address import to_checksum
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import INSURANCE, NETWORK_ID, RELAYER, STRANGER, TRADER, Evm, World
from tests.contracts.test_validator_registry import (
    BLOCK_A,
    BLOCK_B,
    DAY,
    NEW_HOT_KEY,
    STAKE,
    call,
    give_xom,
    join,
    read,
    refused,
    signed_vote,
)


def convict(world: World, key: PrivateKey, view: int = 9) -> None:
    """Report a validator for two finalize votes."""
    arguments = (
        *signed_vote(world, key, Kind.FINALIZE, BLOCK_A, view=view),
        *signed_vote(world, key, Kind.FINALIZE, BLOCK_B, view=view),
    )
    assert call(world, STRANGER, "reportEquivocation", *arguments) == 1


def stake_of(world: World, key: PrivateKey) -> int:
    """Atoms that a genesis validator has left."""
    return int(read(world, "validator", to_checksum(key.address))[STAKE])


def this_week(world: World) -> int:
    """The week of the newest block."""
    return int(world.evm.web3.eth.get_block("latest").timestamp) // (7 * DAY)


def test_penalty_rises_with_the_weight_convicted_in_the_same_week(evm: Evm) -> None:
    world = World(evm, validators=10)
    unit = STAKE_MIN_ATOMS // 100
    convict(world, world.keys[0])
    assert stake_of(world, world.keys[0]) == 95 * unit
    convict(world, world.keys[1])  # a tenth of all stake was convicted before: 30 % more
    assert stake_of(world, world.keys[1]) == 65 * unit
    week = this_week(world)
    first = to_checksum(world.keys[0].address)
    assert refused(world, STRANGER, "raisePenalty", first, week - 5) == "NotConvicted"
    before = world.balance(world.tokens["XOM"], RELAYER.address)
    assert call(world, RELAYER, "raisePenalty", first, week) == 1
    assert stake_of(world, world.keys[0]) == 65 * unit
    assert world.balance(world.tokens["XOM"], RELAYER.address) - before == 3 * unit
    assert refused(world, STRANGER, "raisePenalty", first, week) == "NothingToRaise"
    assert read(world, "totalStake") == (800 + 65 + 65) * unit
    assert read(world, "convictedStake", week) == 200 * unit
    assert read(world, "conviction", first, week) == (100 * unit, 30 * unit)


def test_attack_by_a_third_costs_everything(evm: Evm) -> None:
    world = World(evm, validators=10)
    for key in world.keys[:5]:
        convict(world, key)
    assert stake_of(world, world.keys[4]) == 0
    week = this_week(world)
    for key in world.keys[:4]:
        if stake_of(world, key):
            assert call(world, STRANGER, "raisePenalty", to_checksum(key.address), week) == 1
        assert stake_of(world, key) == 0
    convict(world, world.keys[0], view=10)  # nothing is left: nothing more is taken
    xom = world.tokens["XOM"]
    held = world.balance(xom, world.deployment.registry)
    assert held == read(world, "totalStake") == 5 * STAKE_MIN_ATOMS


def test_stake_of_after_the_conviction_is_not_taken_for_it(evm: Evm) -> None:
    world = World(evm, validators=10)
    unit = STAKE_MIN_ATOMS // 100
    for key in world.keys[:5]:
        convict(world, key)
    second = to_checksum(world.keys[1].address)  # 30 of its 100 are paid of what is due
    give_xom(world, 100 * unit)
    assert call(world, TRADER, "addStake", second, 100 * unit) == 1
    assert call(world, STRANGER, "raisePenalty", second, this_week(world)) == 1
    assert stake_of(world, world.keys[1]) == 95 * unit


def test_nothing_comes_back_when_the_stake_of_a_week_rises(evm: Evm) -> None:
    """What others were convicted of is a smaller part then than what was taken for it."""
    world = World(evm, validators=10)
    unit = STAKE_MIN_ATOMS // 100
    for key in world.keys[:2]:
        convict(world, key)
    join(world, 50 * STAKE_MIN_ATOMS)
    convict(world, world.keys[2])
    second = to_checksum(world.keys[1].address)
    assert refused(world, STRANGER, "raisePenalty", second, this_week(world)) == "NothingToRaise"
    convict(world, world.keys[1], view=10)
    assert stake_of(world, world.keys[1]) == 65 * unit * 95 // 100


def test_nobody_elses_conviction_adds_not_an_atom(world: World) -> None:
    join(world, 8 * STAKE_MIN_ATOMS)
    convict(world, NEW_HOT_KEY)
    assert stake_of(world, TRADER) == 8 * STAKE_MIN_ATOMS * 95 // 100


def test_convictions_of_neighbouring_weeks_count_together(evm: Evm) -> None:
    world = World(evm, validators=10)
    unit = STAKE_MIN_ATOMS // 100
    convict(world, world.keys[0])
    world.increase_time(7 * DAY)
    convict(world, world.keys[1])
    assert stake_of(world, world.keys[1]) == 65 * unit
    week = this_week(world)
    world.increase_time(14 * DAY)
    convict(world, world.keys[2])
    assert stake_of(world, world.keys[2]) == 95 * unit
    first, second = (to_checksum(key.address) for key in world.keys[:2])
    assert refused(world, STRANGER, "raisePenalty", second, week) == "NothingToRaise"
    assert call(world, STRANGER, "raisePenalty", first, week - 1) == 1
    assert stake_of(world, world.keys[0]) == 65 * unit


def test_second_offence_of_a_week_costs_five_percent_of_the_rest(world: World) -> None:
    convict(world, world.keys[0])
    convict(world, world.keys[0], view=10)
    assert stake_of(world, world.keys[0]) == STAKE_MIN_ATOMS * 95 * 95 // 10_000


def test_of_a_validator_without_stake_nothing_is_taken(world: World) -> None:
    """Neither is its offence forgotten, though the registry holds nothing at all."""
    key = world.keys[0]
    owner = to_checksum(key.address)
    xom, vault = to_checksum(world.tokens["XOM"]), to_checksum(world.vault)
    parties = (xom, NETWORK_ID, to_checksum(INSURANCE), vault, [(owner, owner, 7, bytes(32))])
    registry = world.deploy_contract("ValidatorRegistry", *parties)
    votes = (
        *signed_vote(world, key, Kind.FINALIZE, BLOCK_A),
        *signed_vote(world, key, Kind.FINALIZE, BLOCK_B),
    )
    payload = world.encode("ValidatorRegistry", "reportEquivocation", *votes)
    assert world.send(STRANGER, registry, payload)["status"] == 1
    refusal = world.refusal(payload, to=registry, contract="ValidatorRegistry")
    assert refusal.reason == "AlreadyPunished"
