"""What the committee decides: deposits, listings, the move to a successor; and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.decisions import Decision, DecisionKind, compute_decision_digest, encode_decide
from contracts.settlement_types import Submission
from primitives.address import to_checksum
from tests.contracts.harness import CHAIN_ID, NETWORK_ID, RELAYER, STRANGER, TRADER, World

DAY = 24 * 3600
NEVER = 2**40
EVERYBODY = (0, 1, 2, 3)


def make(world: World, kind: int, subject: bytes = bytes(20), value: int = 0) -> Decision:
    """The next decision of the first committee."""
    nonce = world.view("Settlement", world.vault, "decisionCount")
    return Decision(
        epoch=1, nonce=nonce, valid_until_s=NEVER, kind=kind, subject=subject, value=value
    )


def signed(
    world: World,
    decision: Decision,
    signers: tuple[int, ...] = EVERYBODY,
    vault: bytes | None = None,
) -> bytes:
    """Calldata of a decision signed by committee members, by default on the world's vault."""
    digest = compute_decision_digest(
        decision, network_id=NETWORK_ID, chain_id=CHAIN_ID, vault=vault or world.vault
    )
    signatures = {index: world.keys[index].sign(digest) for index in signers}
    return encode_decide(decision, signatures, world.members())


def decide(
    world: World,
    kind: int,
    subject: bytes = bytes(20),
    value: int = 0,
    vault: bytes | None = None,
) -> None:
    """Carry a decision out, by default on the world's vault; on another one its first."""
    decision = make(world, kind, subject, value)
    if vault is not None:
        decision = replace(decision, nonce=0)
    payload = signed(world, decision, vault=vault)
    assert world.send(RELAYER, vault or world.vault, payload)["status"] == 1


def refused(world: World, decision: Decision, **options: Any) -> str:
    """Why a decision is refused."""
    return world.refusal(signed(world, decision, **options)).reason


def deposit_refusal(world: World, token: bytes) -> str:
    """Why a deposit is refused."""
    payload = world.encode("Settlement", "deposit", to_checksum(token), 5)
    return world.refusal(payload, key=TRADER).reason


@pytest.fixture
def next_vault(world: World) -> bytes:
    """A vault that takes over from the world's."""
    tokens = [to_checksum(token) for token in world.tokens.values()]
    return world.deploy_contract("Settlement", world.vault_config(), tokens)


def test_pause_stops_deposits_and_nothing_else(world: World) -> None:
    world.deposit(world.usdx, 1_000)
    decide(world, DecisionKind.PAUSE, value=1)
    assert deposit_refusal(world, world.usdx) == "DepositsClosed"
    index = world.ledger.withdraw(world.usdx, 10, STRANGER.address)
    claim = world.ledger.claim(index, world.checkpoint())
    assert world.client.withdraw(claim) is Submission.DONE
    decide(world, DecisionKind.PAUSE, value=0)
    world.deposit(world.usdx, 1_000)


def test_paused_vault_still_closes_and_refunds(world: World) -> None:
    decide(world, DecisionKind.PAUSE, value=1)
    world.increase_time(7 * DAY + 60)
    payload = world.encode("Settlement", "openEscape")
    assert world.send(STRANGER, world.vault, payload)["status"] == 1


def test_token_is_listed_and_delisted(world: World) -> None:
    token = world.deploy_contract("TestToken", "New", "NEW", 0)
    assert deposit_refusal(world, token) == "UnlistedToken"
    decide(world, DecisionKind.LIST, token, 1)
    assert refused(world, make(world, DecisionKind.LIST, token, 1)) == "ListedAlready"
    world.deposit(token, 100)
    listed = world.view("Settlement", world.vault, "listedTokens")
    assert listed[-1] == to_checksum(token)
    decide(world, DecisionKind.LIST, token, 0)
    assert deposit_refusal(world, token) == "UnlistedToken"
    index = world.ledger.withdraw(token, 40, STRANGER.address)
    world.fees[token] = 100
    words = world.checkpoint()
    assert world.client.withdraw(world.ledger.claim(index, words)) is Submission.DONE
    assert world.client.token_status(token).fees_settled == 100
    decide(world, DecisionKind.LIST, token, 1)
    assert world.view("Settlement", world.vault, "listedTokens") == listed
    zero = make(world, DecisionKind.LIST, bytes(20), 1)
    assert refused(world, zero) == "ZeroAddress"


def test_decision_counts_once_and_in_order(world: World) -> None:
    decision = make(world, DecisionKind.PAUSE, value=1)
    decide(world, DecisionKind.PAUSE, value=1)
    assert refused(world, decision) == "WrongNonce"
    assert refused(world, replace(decision, nonce=2)) == "WrongNonce"


def test_decision_needs_the_current_committees_quorum(world: World) -> None:
    decision = make(world, DecisionKind.PAUSE, value=1)
    assert refused(world, decision, signers=(0, 1)) == "TooLittleWeight"
    assert refused(world, replace(decision, epoch=2)) == "WrongDecisionEpoch"
    payload = signed(world, decision)
    altered = signed(world, replace(decision, value=0))
    assert len(payload) == len(altered)
    words = 4 + 32 * 6
    forged = altered[:words] + payload[words:]
    assert world.refusal(forged).reason == "BadSignature"


def test_decision_of_others_than_the_committee_is_refused(world: World) -> None:
    decision = make(world, DecisionKind.PAUSE, value=1)
    digest = compute_decision_digest(
        decision, network_id=NETWORK_ID, chain_id=CHAIN_ID, vault=world.vault
    )
    members = tuple(replace(one, weight=9) for one in world.members())
    signatures = {index: world.keys[index].sign(digest) for index in EVERYBODY}
    payload = encode_decide(decision, signatures, members)
    assert world.refusal(payload).reason == "WrongCommittee"


def test_decision_for_another_vault_or_chain_is_refused(world: World) -> None:
    decision = make(world, DecisionKind.PAUSE, value=1)
    for chain_id, vault in ((1, world.vault), (CHAIN_ID, STRANGER.address)):
        digest = compute_decision_digest(
            decision, network_id=NETWORK_ID, chain_id=chain_id, vault=vault
        )
        signatures = {index: world.keys[index].sign(digest) for index in EVERYBODY}
        payload = encode_decide(decision, signatures, world.members())
        assert world.refusal(payload).reason == "BadSignature"


def test_late_decisions_are_refused(world: World) -> None:
    decision = make(world, DecisionKind.PAUSE, value=1)
    assert refused(world, replace(decision, valid_until_s=1)) == "DecisionExpired"
    world.increase_time(9 * DAY + 60)
    assert refused(world, decision) == "CertificateExpired"
    notice = world.encode("Settlement", "openEscape")
    assert world.send(STRANGER, world.vault, notice)["status"] == 1
    world.increase_time(2 * DAY)
    assert refused(world, decision) == "VaultClosed"


@pytest.mark.parametrize(("kind", "value"), [(0, 0), (4, 0), (1, 2), (2, 2), (3, 1)])
def test_decisions_that_mean_nothing_are_refused(world: World, kind: int, value: int) -> None:
    assert refused(world, make(world, kind, world.usdx, value)) == "BadDecision"


def test_announcement_can_be_called_off_and_starts_anew(world: World, next_vault: bytes) -> None:
    decide(world, DecisionKind.ANNOUNCE, next_vault)
    first = world.view("Settlement", world.vault, "successorAt")
    decide(world, DecisionKind.ANNOUNCE)
    assert world.view("Settlement", world.vault, "successorAt") == 0
    world.deposit(world.usdx, 5)
    world.increase_time(3 * DAY)
    decide(world, DecisionKind.ANNOUNCE, next_vault)
    assert world.view("Settlement", world.vault, "successorAt") >= first + 3 * DAY


def test_successor_must_be_another_contract(world: World) -> None:
    for vault in (world.vault, STRANGER.address):
        assert refused(world, make(world, DecisionKind.ANNOUNCE, vault)) == "BadSuccessor"


def test_digest_is_the_contracts(world: World) -> None:
    decision = make(world, DecisionKind.LIST, world.usdx, 1)
    values = (1, 0, NEVER, int(decision.kind), to_checksum(world.usdx), 1)
    assert world.view("Settlement", world.vault, "decisionDigest", values) == (
        compute_decision_digest(
            decision, network_id=NETWORK_ID, chain_id=CHAIN_ID, vault=world.vault
        )
    )
