"""The registry: joining, keys, leaving, and what two conflicting votes cost."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.committee import Committee, Member
from consensus.vote import Kind, compute_vote_digest
from contracts.artifact import load_artifact
from contracts.deployment_plan import STAKE_MIN_ATOMS
from contracts.registry_events import Change, order_changes
from contracts.settlement_calls import encode_boundary, encode_members
from contracts.settlement_types import CommitteeMember, Submission
from primitives.abi import encode_words
from primitives.address import to_checksum
from primitives.eip712 import StructType, typed_digest
from primitives.errors import TransientError
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import (
    CHAIN_ID,
    INSURANCE,
    NETWORK_ID,
    NOBODY,
    STRANGER,
    TRADER,
    World,
)

HOT_KEY_TYPE = StructType("HotKey(address owner,address registry,uint256 chainId)")
DAY = 24 * 3600
NETWORK_KEY, STAKE = 5, 6  # positions in a validator's record
NEW_HOT_KEY = PrivateKey(keccak256(b"new hot key"))
FORTNIGHT = 14 * 24 * 3600
BLOCK_A, BLOCK_B, NO_BLOCK = keccak256(b"a"), keccak256(b"b"), bytes(32)


def prove(world: World, hot: PrivateKey, owner: bytes) -> bytes:
    """The hot key's agreement to serve an owner."""
    struct_hash = HOT_KEY_TYPE.hash(owner, world.deployment.registry, CHAIN_ID)
    return hot.sign(typed_digest(world.domain, struct_hash))


def call(world: World, key: PrivateKey, function: str, *arguments: Any) -> int:
    """Status of a transaction to the registry."""
    payload = world.encode("ValidatorRegistry", function, *arguments)
    return int(world.send(key, world.deployment.registry, payload)["status"])


def refused(world: World, key: PrivateKey, function: str, *arguments: Any) -> str:
    """Why the registry refuses a call."""
    payload = world.encode("ValidatorRegistry", function, *arguments)
    registry = world.deployment.registry
    return world.refusal(payload, key=key, to=registry, contract="ValidatorRegistry").reason


def read(world: World, function: str, *arguments: Any) -> Any:
    """A view of the registry."""
    return world.view("ValidatorRegistry", world.deployment.registry, function, *arguments)


def give_xom(world: World, amount: int) -> None:
    """Give the trader XOM, approved for the registry."""
    world.fund(world.tokens["XOM"], amount)
    payload = world.encode("OmniCoin", "approve", to_checksum(world.deployment.registry), amount)
    assert world.send(TRADER, world.tokens["XOM"], payload)["status"] == 1


def join(world: World, amount: int = STAKE_MIN_ATOMS, hot: PrivateKey = NEW_HOT_KEY) -> None:
    """Register the trader as a validator."""
    give_xom(world, amount)
    proof = prove(world, hot, TRADER.address)
    assert call(world, TRADER, "register", *registration(amount, hot.address, proof)) == 1


def registration(amount: int, hot: bytes, proof: bytes) -> tuple[Any, ...]:
    """Arguments of `register`."""
    return amount, to_checksum(hot), keccak256(b"network key"), 3, proof


def signed_vote(
    world: World, key: PrivateKey, kind: int, block: bytes, *, epoch: int = 1, view: int = 9
) -> tuple[tuple[Any, ...], bytes]:
    """A vote and its signature as the contract wants them."""
    digest = compute_vote_digest(world.domain, Kind(kind), epoch, view, block, ())
    return (kind, epoch, view, block, bytes(32)), key.sign(digest)


def evidence(world: World, key: PrivateKey, first: Any, second: Any) -> tuple[Any, ...]:
    """Arguments of `reportEquivocation` for two (kind, block, view...) pairs."""
    return *signed_vote(world, key, *first), *signed_vote(world, key, *second)


def changes(world: World) -> list[dict[str, Any]]:
    """All records that the registry has published, in order."""
    registry = world.evm.web3.eth.contract(
        address=to_checksum(world.deployment.registry),
        abi=list(load_artifact("ValidatorRegistry").abi),
    )
    return [dict(log["args"]) for log in registry.events.ValidatorChanged.get_logs(from_block=0)]


def hand_over(world: World, *, without: int = -1, extra: PrivateKey | None = None) -> bytes:
    """Take the vault over the next epoch border, with one seat fewer or more; return the call."""
    epoch = world.client.status().epoch
    keys = [key for index, key in enumerate(world.keys) if index != without]
    keys += [extra] if extra else []
    members = tuple(CommitteeMember(address=key.address, weight=1) for key in keys)
    header = world.header(epoch=epoch, next_committee_hash=keccak256(encode_members(members)))
    boundary = world.submission(header)
    done = world.client.submit_boundary(boundary, members, epoch + 1)
    assert done is Submission.DONE
    world.keys = tuple(keys)
    world.committee = Committee(tuple(Member(address=key.address, weight=1) for key in keys))
    return encode_boundary(boundary, members)


def test_genesis_set_is_registered_and_active(world: World) -> None:
    owners = read(world, "owners")
    assert owners == [to_checksum(key.address) for key in world.keys]
    for key in world.keys:
        hot, services, exiting, payout, _, network_key, stake = read(
            world, "validator", to_checksum(key.address)
        )
        assert hot == payout == to_checksum(key.address)
        assert (services, exiting, stake) == (7, False, STAKE_MIN_ATOMS)
        assert network_key == keccak256(key.address)
        assert read(world, "isActive", to_checksum(key.address))
    held = world.balance(world.tokens["XOM"], world.deployment.registry)
    assert held == 4 * STAKE_MIN_ATOMS


def test_anyone_joins_with_a_thousand_xom(world: World) -> None:
    join(world)
    assert read(world, "isActive", to_checksum(TRADER.address))
    assert read(world, "ownerOf", to_checksum(NEW_HOT_KEY.address)) == to_checksum(TRADER.address)
    assert len(read(world, "owners")) == 5


def test_too_small_a_stake_is_refused(world: World) -> None:
    amount = STAKE_MIN_ATOMS - 1
    give_xom(world, amount)
    proof = prove(world, NEW_HOT_KEY, TRADER.address)
    arguments = registration(amount, NEW_HOT_KEY.address, proof)
    assert refused(world, TRADER, "register", *arguments) == "StakeTooSmall"


def test_hot_key_must_agree_to_serve_this_owner(world: World) -> None:
    give_xom(world, STAKE_MIN_ATOMS)
    for_another = prove(world, NEW_HOT_KEY, STRANGER.address)
    arguments = registration(STAKE_MIN_ATOMS, NEW_HOT_KEY.address, for_another)
    assert refused(world, TRADER, "register", *arguments) == "HotKeyNotProven"
    arguments = registration(STAKE_MIN_ATOMS, NEW_HOT_KEY.address, b"short")
    assert refused(world, TRADER, "register", *arguments) == "ECDSAInvalidSignatureLength"


def test_services_that_there_are_not_are_refused(world: World) -> None:
    give_xom(world, STAKE_MIN_ATOMS)
    proof = prove(world, NEW_HOT_KEY, TRADER.address)
    arguments = list(registration(STAKE_MIN_ATOMS, NEW_HOT_KEY.address, proof))
    arguments[3] = 8
    assert refused(world, TRADER, "register", *arguments) == "UnknownService"


def test_registering_twice_is_refused(world: World) -> None:
    join(world)
    other = PrivateKey(keccak256(b"other"))
    arguments = registration(STAKE_MIN_ATOMS, other.address, prove(world, other, TRADER.address))
    assert refused(world, TRADER, "register", *arguments) == "AlreadyRegistered"


def test_hot_key_of_another_validator_is_refused(world: World) -> None:
    taken = world.keys[0]
    arguments = registration(STAKE_MIN_ATOMS, taken.address, prove(world, taken, TRADER.address))
    assert refused(world, TRADER, "register", *arguments) == "HotKeyTaken"


def test_stake_can_be_added_by_anyone(world: World) -> None:
    coin = 10**18
    give_xom(world, coin)
    owner = to_checksum(world.keys[0].address)
    assert refused(world, TRADER, "addStake", owner, coin - 1) == "StakeTooSmall"
    assert call(world, TRADER, "addStake", owner, coin) == 1
    assert read(world, "validator", owner)[STAKE] == STAKE_MIN_ATOMS + coin
    assert read(world, "totalStake") == 4 * STAKE_MIN_ATOMS + coin
    nobody = to_checksum(STRANGER.address)
    assert refused(world, TRADER, "addStake", nobody, coin) == "NotRegistered"


def test_hot_key_is_changed_and_the_old_one_stays_bound(world: World) -> None:
    join(world)
    fresh = PrivateKey(keccak256(b"fresh"))
    proof = prove(world, fresh, TRADER.address)
    assert call(world, TRADER, "changeHotKey", to_checksum(fresh.address), proof) == 1
    assert read(world, "validator", to_checksum(TRADER.address))[0] == to_checksum(fresh.address)
    told = changes(world)[-1]
    assert (told["change"], told["hotKey"]) == (Change.HOT_KEY, to_checksum(fresh.address))
    assert read(world, "ownerOf", to_checksum(NEW_HOT_KEY.address)) == to_checksum(TRADER.address)
    back = prove(world, NEW_HOT_KEY, TRADER.address)
    arguments = (to_checksum(NEW_HOT_KEY.address), back)
    assert refused(world, TRADER, "changeHotKey", *arguments) == "HotKeyTaken"
    assert refused(world, TRADER, "changeHotKey", arguments[0], proof) == "HotKeyNotProven"
    assert refused(world, STRANGER, "changeHotKey", *arguments) == "NotRegistered"


def test_services_are_changed_by_the_owner(world: World) -> None:
    join(world)
    assert call(world, TRADER, "changeServices", keccak256(b"moved"), 7) == 1
    record = read(world, "validator", to_checksum(TRADER.address))
    assert (record[1], record[NETWORK_KEY]) == (7, keccak256(b"moved"))
    assert refused(world, STRANGER, "changeServices", bytes(32), 1) == "NotRegistered"
    assert refused(world, TRADER, "changeServices", bytes(32), 8) == "UnknownService"


def test_payout_is_changed_by_the_owner(world: World) -> None:
    join(world)
    assert read(world, "validator", to_checksum(TRADER.address))[3] == to_checksum(TRADER.address)
    assert call(world, TRADER, "changePayout", to_checksum(STRANGER.address)) == 1
    record = read(world, "validator", to_checksum(TRADER.address))
    assert record[3] == to_checksum(STRANGER.address)
    assert refused(world, TRADER, "changePayout", NOBODY) == "ZeroAddress"
    assert refused(world, STRANGER, "changePayout", to_checksum(TRADER.address)) == "NotRegistered"


def test_every_change_publishes_the_whole_record_under_the_next_number(world: World) -> None:
    join(world)
    owner, other = to_checksum(TRADER.address), to_checksum(STRANGER.address)
    assert call(world, TRADER, "changePayout", other) == 1
    assert call(world, TRADER, "changeServices", keccak256(b"moved"), 1) == 1
    assert call(world, TRADER, "requestExit") == 1
    events = changes(world)
    assert [event["number"] for event in events] == list(range(len(events)))
    assert read(world, "changeCount") == len(events) == 4 + 4 + 4
    assert [event["change"] for event in events] == [1, 1, 1, 1, 2, 2, 2, 2, 1, 4, 4, 5]
    hot = to_checksum(NEW_HOT_KEY.address)
    first, paid, moved, leaving = events[-4:]
    assert first == {
        "number": 8,
        "change": 1,
        "owner": owner,
        "hotKey": hot,
        "payout": owner,
        "networkKey": keccak256(b"network key"),
        "services": 3,
        "stake": STAKE_MIN_ATOMS,
        "exiting": False,
    }
    assert paid == {**first, "number": 9, "change": 4, "payout": other}
    assert moved == {**paid, "number": 10, "networkKey": keccak256(b"moved"), "services": 1}
    assert leaving == {**moved, "number": 11, "change": 5, "exiting": True}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((Kind.NOTARIZE, BLOCK_A), (Kind.NOTARIZE, BLOCK_B)),
        ((Kind.FINALIZE, BLOCK_A), (Kind.FINALIZE, BLOCK_B)),
        ((Kind.NULLIFY, NO_BLOCK), (Kind.FINALIZE, BLOCK_A)),
        ((Kind.FINALIZE, BLOCK_A), (Kind.NULLIFY, NO_BLOCK)),
    ],
)
def test_two_conflicting_votes_cost_five_percent(world: World, first: Any, second: Any) -> None:
    guilty = world.keys[2]
    assert call(world, STRANGER, "reportEquivocation", *evidence(world, guilty, first, second)) == 1
    slashed = STAKE_MIN_ATOMS * 5 // 100
    xom = world.tokens["XOM"]
    assert read(world, "validator", to_checksum(guilty.address))[STAKE] == STAKE_MIN_ATOMS - slashed
    assert changes(world)[-1]["stake"] == STAKE_MIN_ATOMS - slashed
    assert world.balance(xom, STRANGER.address) == slashed // 10
    assert world.balance(xom, INSURANCE) == slashed - slashed // 10
    assert not read(world, "isActive", to_checksum(guilty.address))
    again = evidence(world, guilty, second, first)
    assert refused(world, STRANGER, "reportEquivocation", *again) == "AlreadyPunished"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((Kind.NOTARIZE, BLOCK_A), (Kind.NOTARIZE, BLOCK_A)),
        ((Kind.FINALIZE, BLOCK_A), (Kind.FINALIZE, BLOCK_A)),
        ((Kind.NULLIFY, NO_BLOCK), (Kind.NULLIFY, NO_BLOCK)),
        ((Kind.NULLIFY, NO_BLOCK), (Kind.NULLIFY, BLOCK_A)),
        ((Kind.NOTARIZE, BLOCK_A), (Kind.FINALIZE, BLOCK_B)),
        ((Kind.FINALIZE, BLOCK_A), (Kind.NOTARIZE, BLOCK_B)),
        ((Kind.NOTARIZE, BLOCK_A), (Kind.NULLIFY, NO_BLOCK)),
        ((Kind.NULLIFY, NO_BLOCK), (Kind.NOTARIZE, BLOCK_A)),
    ],
)
def test_votes_that_an_honest_validator_may_cast_cost_nothing(
    world: World, first: Any, second: Any
) -> None:
    arguments = evidence(world, world.keys[2], first, second)
    assert refused(world, STRANGER, "reportEquivocation", *arguments) == "NoEquivocation"


def test_votes_of_different_views_or_epochs_do_not_conflict(world: World) -> None:
    key = world.keys[0]
    one = signed_vote(world, key, Kind.FINALIZE, BLOCK_A)
    for other in (
        signed_vote(world, key, Kind.FINALIZE, BLOCK_B, view=10),
        signed_vote(world, key, Kind.FINALIZE, BLOCK_B, epoch=2),
    ):
        assert refused(world, STRANGER, "reportEquivocation", *one, *other) == "NoEquivocation"


def test_votes_of_two_validators_or_of_strangers_do_not_convict(world: World) -> None:
    one = signed_vote(world, world.keys[0], Kind.FINALIZE, BLOCK_A)
    other = signed_vote(world, world.keys[1], Kind.FINALIZE, BLOCK_B)
    assert refused(world, STRANGER, "reportEquivocation", *one, *other) == "NoEquivocation"
    strangers = evidence(world, STRANGER, (Kind.FINALIZE, BLOCK_A), (Kind.FINALIZE, BLOCK_B))
    assert refused(world, STRANGER, "reportEquivocation", *strangers) == "NoEquivocation"


def test_forged_vote_does_not_convict(world: World) -> None:
    vote, signature = signed_vote(world, world.keys[0], Kind.FINALIZE, BLOCK_A)
    forged = ((*vote[:3], BLOCK_B, vote[4]), signature)
    arguments = (vote, signature, *forged)
    assert refused(world, STRANGER, "reportEquivocation", *arguments) == "NoEquivocation"


def test_old_hot_key_and_unbonding_stake_stay_punishable(world: World) -> None:
    join(world)
    fresh = PrivateKey(keccak256(b"fresh"))
    proof = prove(world, fresh, TRADER.address)
    assert call(world, TRADER, "changeHotKey", to_checksum(fresh.address), proof) == 1
    assert call(world, TRADER, "requestExit") == 1
    arguments = evidence(world, NEW_HOT_KEY, (Kind.FINALIZE, BLOCK_A), (Kind.FINALIZE, BLOCK_B))
    assert call(world, STRANGER, "reportEquivocation", *arguments) == 1
    hand_over(world)
    world.increase_time(FORTNIGHT + 1)
    assert call(world, TRADER, "withdrawStake") == 1
    left = world.balance(world.tokens["XOM"], TRADER.address)
    assert left == STAKE_MIN_ATOMS * 95 // 100
    later = (
        *signed_vote(world, NEW_HOT_KEY, Kind.NOTARIZE, BLOCK_A, view=10),
        *signed_vote(world, NEW_HOT_KEY, Kind.NOTARIZE, BLOCK_B, view=10),
    )
    assert refused(world, STRANGER, "reportEquivocation", *later) == "NotRegistered"


@pytest.mark.parametrize("zero", ["token", "insurance", "owner", "hot", "vault"])
def test_zero_addresses_are_refused(world: World, zero: str) -> None:
    names = ("token", "insurance", "owner", "hot", "vault")
    named = {name: to_checksum(STRANGER.address) for name in names}
    named[zero] = "0x" + "00" * 20
    genesis = [(named["owner"], named["hot"], 7, bytes(32))]
    with pytest.raises(AssertionError):
        world.deploy_contract(
            "ValidatorRegistry",
            named["token"],
            NETWORK_ID,
            named["insurance"],
            named["vault"],
            genesis,
        )


def test_hot_key_digest_is_typed_data_of_the_network(world: World) -> None:
    owner = TRADER.address
    struct_hash = keccak256(
        keccak256(b"HotKey(address owner,address registry,uint256 chainId)")
        + encode_words(owner, world.deployment.registry, CHAIN_ID)
    )
    expected = typed_digest(world.domain, struct_hash)
    assert read(world, "hotKeyDigest", to_checksum(owner)) == expected


def test_client_reads_the_changes_of_a_range_of_blocks(world: World) -> None:
    head, _ = world.client.head()
    genesis = world.client.validator_changes(0, head)
    assert [one.number for one in genesis] == list(range(8))
    assert [one.change for one in genesis] == [Change.REGISTERED] * 4 + [Change.STAKE_ADDED] * 4
    join(world)
    assert call(world, TRADER, "requestExit") == 1
    joined, leaving = world.client.validator_changes(head + 1, world.client.head()[0])
    assert (joined.number, joined.owner) == (8, TRADER.address)
    assert (joined.hot_key, joined.payout) == (NEW_HOT_KEY.address, TRADER.address)
    assert (joined.services, joined.stake, joined.exiting) == (3, STAKE_MIN_ATOMS, False)
    assert joined.network_key == keccak256(b"network key")
    assert (leaving.change, leaving.exiting) == (Change.EXIT_REQUESTED, True)
    with pytest.raises(TransientError, match="missing"):
        order_changes([joined, genesis[0]])


def test_vault_without_a_registry_has_no_changes(world: World) -> None:
    world.vault = world.deploy_contract("Settlement", world.vault_config(), [])
    assert world.make_client(None).validator_changes(0, world.client.head()[0]) == ()
