"""Every event of the contracts: published by the act that it tells of, with what happened."""

from __future__ import annotations

from typing import Any

from consensus.header import encode_header, hash_header
from contracts.artifact import load_artifact
from contracts.decisions import DecisionKind
from contracts.deployment_plan import STAKE_MIN_ATOMS
from primitives.address import to_checksum
from primitives.keccak import keccak256
from tests.contracts.harness import COMPANY, RELAYER, STRANGER, TRADER, Evm, World
from tests.contracts.test_validator_penalties import convict, this_week
from tests.contracts.test_validator_registry import call, hand_over
from tests.contracts.test_vault_decisions import decide
from tests.contracts.test_vault_escape import DAY, USDX, Silent

FORTNIGHT = 14 * DAY


def published(world: World, contract: str, event: str, address: bytes = b"") -> list[Any]:
    """Arguments of all events of one name that a contract, by default the vault, published."""
    emitter = world.evm.web3.eth.contract(
        address=to_checksum(address or world.vault), abi=list(load_artifact(contract).abi)
    )
    return [dict(log["args"]) for log in emitter.events[event]().get_logs(from_block=0)]


def act(world: World, function: str, *arguments: Any) -> None:
    """Call the vault with success."""
    payload = world.encode("Settlement", function, *arguments)
    assert world.send(STRANGER, world.vault, payload)["status"] == 1


def test_checkpoints_and_the_notice_that_they_cancel_are_published(world: World) -> None:
    world.increase_time(7 * DAY)
    act(world, "openEscape")
    closes = world.view("Settlement", world.vault, "closedAt")
    [noticed] = published(world, "Settlement", "EscapeNoticed")
    assert noticed == {"executedHeight": 0, "closesAt": closes}
    header = world.header(checkpoint_digest=keccak256(b"snapshot"))
    world.client.submit_checkpoint(world.submission(header))
    assert published(world, "Settlement", "CheckpointAccepted") == [
        {
            "executedHeight": header.executed_height,
            "blockHeight": header.height,
            "stateRoot": header.state_root,
            "feesRoot": header.fees_root,
            "blockHash": hash_header(encode_header(header)),
            "snapshotDigest": header.checkpoint_digest,
        }
    ]
    [cancelled] = published(world, "Settlement", "EscapeCancelled")
    assert cancelled == {"executedHeight": header.executed_height}
    hand_over(world)
    committee = world.client.status().committee_hash
    [advanced] = published(world, "Settlement", "EpochAdvanced")
    assert advanced == {"epoch": 2, "committeeHash": committee}
    world.checkpoint(epoch=2, committee_hash=committee)
    assert len(published(world, "Settlement", "EscapeCancelled")) == 1


def test_payments_are_published(world: World) -> None:
    usdx, trader = to_checksum(world.usdx), to_checksum(TRADER.address)
    world.fees[world.usdx] = 1_000
    world.checkpoint()
    world.checkpoint()  # the same total is not tried, and not told of, again
    [deferred] = published(world, "Settlement", "FeesDeferred")
    assert deferred == {"executedHeight": 10, "token": usdx}
    world.deposit(world.usdx, 10_000)
    act(world, "settleFees", usdx)
    [split] = published(world, "FeeDistributor", "FeesSplit", world.distributor)
    shares = {"validators": 700, "company": 200, "development": 100}
    assert split == {"executedHeight": 20, "token": usdx, "total": 1_000, **shares}
    payload = world.encode("FeeDistributor", "claim", 0, usdx)
    assert world.send(STRANGER, world.distributor, payload)["status"] == 1
    [claimed] = published(world, "FeeDistributor", "FeesClaimed", world.distributor)
    company = to_checksum(COMPANY)
    assert claimed == {"which": 0, "token": usdx, "to": company, "amount": 200}
    index = world.ledger.withdraw(world.usdx, 40, TRADER.address)
    world.client.withdraw(world.ledger.claim(index, world.checkpoint()))
    [paid] = published(world, "Settlement", "WithdrawalPaid")
    assert paid == {"index": index, "token": usdx, "to": trader, "amount": 40}


def test_what_leaves_a_closed_vault_is_published(world: World) -> None:
    usdx, trader = to_checksum(world.usdx), to_checksum(TRADER.address)
    for amount in (1_000, 55):
        world.deposit(world.usdx, amount)
    world.ledger.credited = 1
    world.ledger.accounts = {TRADER.address: [(7, USDX, 600, 100)]}
    silent = Silent(world, world.checkpoint())
    silent.close()
    assert silent.send(silent.escape(TRADER.address)) == 1
    [escaped] = published(world, "Settlement", "Escaped")
    place = {"owner": trader, "to": trader, "sub": 7, "asset": USDX}
    assert escaped == {**place, "token": usdx, "amount": 700}
    assert silent.send(silent.refund(1, 55)) == 1
    [refunded] = published(world, "Settlement", "Refunded")
    assert refunded == {"id": 1, "token": usdx, "to": trader, "amount": 55}


def test_decisions_and_those_who_follow_them_are_published(world: World) -> None:
    listed = published(world, "Settlement", "TokenListed")
    assert listed == [{"token": to_checksum(one), "listed": True} for one in world.tokens.values()]
    decide(world, DecisionKind.LIST, world.usdx, 0)
    delisted = published(world, "Settlement", "TokenListed")[len(listed) :]
    assert delisted == [{"token": to_checksum(world.usdx), "listed": False}]
    successor = world.deploy_contract("Settlement", world.vault_config(), [])
    decide(world, DecisionKind.ANNOUNCE, successor)
    subjects = ((DecisionKind.LIST, world.usdx), (DecisionKind.ANNOUNCE, successor))
    assert published(world, "Settlement", "Decided") == [
        {"nonce": nonce, "kind": kind, "subject": to_checksum(subject), "value": 0}
        for nonce, (kind, subject) in enumerate(subjects)
    ]
    world.increase_time(FORTNIGHT)
    xom = world.tokens["XOM"]
    payload = world.encode("OmniCoin", "followMinter")
    assert world.send(STRANGER, xom, payload)["status"] == 1
    [changed] = published(world, "OmniCoin", "MinterChanged", xom)
    assert changed == {"minter": to_checksum(successor)}
    assert call(world, STRANGER, "followSettlement") == 1
    [changed] = published(world, "ValidatorRegistry", "VaultChanged", world.deployment.registry)
    assert changed == {"settlement": to_checksum(successor)}


def test_seats_of_treasuries_are_published(world: World) -> None:
    owner, next_owner = to_checksum(TRADER.address), to_checksum(STRANGER.address)
    distributor = world.deploy_contract("FeeDistributor", owner, owner)
    propose = world.encode("FeeDistributor", "proposeTreasury", 1, next_owner)
    assert world.send(TRADER, distributor, propose)["status"] == 1
    [proposed] = published(world, "FeeDistributor", "TreasuryProposed", distributor)
    assert proposed == {"which": 1, "next": next_owner}
    assert world.view("FeeDistributor", distributor, "nextTreasury", 1) == next_owner
    accept = world.encode("FeeDistributor", "acceptTreasury", 1)
    assert world.send(STRANGER, distributor, accept)["status"] == 1
    [changed] = published(world, "FeeDistributor", "TreasuryChanged", distributor)
    assert changed == {"which": 1, "current": next_owner}


def test_penalties_are_published(evm: Evm) -> None:
    world = World(evm, validators=10)
    registry = world.deployment.registry
    unit = STAKE_MIN_ATOMS // 100
    first, second = (to_checksum(key.address) for key in world.keys[:2])
    for key in world.keys[:2]:
        convict(world, key)
    vote = {"reporter": to_checksum(STRANGER.address), "epoch": 1, "viewNumber": 9}
    assert published(world, "ValidatorRegistry", "Slashed", registry) == [
        {"owner": first, "hotKey": first, "amount": 5 * unit, **vote},
        {"owner": second, "hotKey": second, "amount": 35 * unit, **vote},
    ]
    week = this_week(world)
    assert call(world, RELAYER, "raisePenalty", first, week) == 1
    [raised] = published(world, "ValidatorRegistry", "PenaltyRaised", registry)
    reporter = to_checksum(RELAYER.address)
    assert raised == {"owner": first, "week": week, "reporter": reporter, "amount": 30 * unit}
