"""Fees: 70/20/10 on cumulative totals, paid with each checkpoint, exact to the atom."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.artifact import load_artifact
from contracts.settlement_types import FeeTotal, Submission
from primitives.address import to_checksum
from tests.contracts.harness import (
    CHAIN_ID,
    COMPANY,
    DEPLOYER,
    DEVELOPMENT,
    NOBODY,
    STRANGER,
    TRADER,
    World,
    embedded_evm,
)

COMPANY_SEAT, DEVELOPMENT_SEAT = 0, 1
FEES_CERTIFIED = 6  # position in a token's account


def shares(total: int) -> tuple[int, int, int]:
    """Validators', company's and development fund's part of a cumulative total."""
    company, development = total * 20 // 100, total * 10 // 100
    return total - company - development, company, development


def test_checkpoint_pays_twenty_and_ten_percent(world: World) -> None:
    world.deposit(world.usdx, 1_000_000)
    world.fees[world.usdx] = 10_007
    world.checkpoint()
    (split,) = world.client.fee_splits(0, world.client.head()[0])
    assert (split.total, split.company, split.development) == (10_007, 2_001, 1_000)
    assert split.validators == 7_006
    assert split.validators + split.company + split.development == split.total
    assert split.executed_height == 10
    assert world.balance(world.usdx, world.distributor) == 3_001
    status = world.client.token_status(world.usdx)
    assert status.fees_certified == status.fees_settled == 10_007
    assert status.balance == status.liabilities == 1_000_000 - 3_001


def test_skipped_checkpoints_lose_nothing(world: World) -> None:
    world.deposit(world.usdx, 1_000_000)
    for total in (7, 13, 99, 100, 101, 5_555):
        world.fees[world.usdx] = total
        if total != 99:
            world.checkpoint()
    splits = world.client.fee_splits(0, world.client.head()[0])
    assert len(splits) == 5
    sums = (
        sum(split.validators for split in splits),
        sum(split.company for split in splits),
        sum(split.development for split in splits),
    )
    assert sums == shares(5_555)
    assert all(s.total == s.validators + s.company + s.development for s in splits)


def test_checkpoint_without_new_fees_pays_nothing(world: World) -> None:
    world.deposit(world.usdx, 1_000_000)
    world.fees[world.usdx] = 1_000
    world.checkpoint()
    world.checkpoint()
    assert len(world.client.fee_splits(0, world.client.head()[0])) == 1


def test_falling_total_is_ignored(world: World) -> None:
    world.deposit(world.usdx, 1_000_000)
    world.fees[world.usdx] = 1_000
    world.checkpoint()
    world.fees[world.usdx] = 900
    world.checkpoint()
    assert world.client.token_status(world.usdx).fees_certified == 1_000


def test_several_tokens_are_paid_in_one_checkpoint(world: World) -> None:
    for token in world.tokens.values():
        world.deposit(token, 10**9)
        world.fees[token] = 12_345
    world.checkpoint()
    splits = world.client.fee_splits(0, world.client.head()[0])
    assert {split.token for split in splits} == set(world.tokens.values())
    world.assert_solvent()


def test_fees_of_other_vaults_are_not_paid_here(world: World) -> None:
    world.deposit(world.usdx, 1_000_000)
    world.vault, own = STRANGER.address, world.vault
    world.fees[world.usdx] = 1_000
    totals = world.fee_totals()
    world.vault = own
    world.fee_totals = lambda: totals  # type: ignore[method-assign]
    world.checkpoint()
    assert world.client.token_status(world.usdx).fees_certified == 0


def test_treasuries_pull_their_shares(world: World) -> None:
    world.deposit(world.usdx, 1_000_000)
    world.fees[world.usdx] = 10_000
    world.checkpoint()
    for seat, owner, amount in ((0, COMPANY, 2_000), (1, DEVELOPMENT, 1_000)):
        payload = world.encode("FeeDistributor", "claim", seat, to_checksum(world.usdx))
        assert world.send(STRANGER, world.distributor, payload)["status"] == 1
        assert world.balance(world.usdx, owner) == amount
        refusal = world.refusal(payload, to=world.distributor, contract="FeeDistributor")
        assert refusal.reason == "NothingToClaim"
    assert world.balance(world.usdx, world.distributor) == 0
    token = to_checksum(world.usdx)
    assert world.view("FeeDistributor", world.distributor, "unclaimed", token) == 0


def test_only_the_vault_books_fees(world: World) -> None:
    payload = world.encode("FeeDistributor", "bookFees", 1, to_checksum(world.usdx), 1, 1, 0, 0)
    refusal = world.refusal(payload, to=world.distributor, contract="FeeDistributor")
    assert refusal.reason == "OnlySettlement"


def test_only_the_vault_settles_within_a_checkpoint(world: World) -> None:
    payload = world.encode("Settlement", "settleFeesWithinCheckpoint", to_checksum(world.usdx))
    assert world.refusal(payload).reason == "OnlySelf"


def test_fees_beyond_what_the_vault_owes_wait(world: World) -> None:
    world.fees[world.usdx] = 1_000  # nothing was ever deposited
    world.checkpoint()
    status = world.client.token_status(world.usdx)
    assert (status.fees_certified, status.fees_settled) == (1_000, 0)
    payload = world.encode("Settlement", "settleFees", to_checksum(world.usdx))
    assert world.refusal(payload).reason == "InsufficientVault"
    world.deposit(world.usdx, 299)
    assert world.refusal(payload).reason == "InsufficientVault"
    world.deposit(world.usdx, 1)
    assert world.client.settle_fees(world.usdx) is Submission.DONE
    assert world.client.settle_fees(world.usdx) is Submission.ALREADY_DONE
    (split,) = world.client.fee_splits(0, world.client.head()[0])
    assert split.total == 1_000
    assert world.client.token_status(world.usdx).liabilities == 0


def test_absurd_total_does_not_stop_checkpoints(world: World) -> None:
    world.deposit(world.usdx, 1_000)
    world.fees[world.usdx] = 2**256 - 1
    world.checkpoint()
    world.checkpoint()
    assert world.client.status().checkpoints == 2
    assert world.client.token_status(world.usdx).liabilities == 1_000


def test_settling_without_new_fees_changes_nothing(world: World) -> None:
    payload = world.encode("Settlement", "settleFees", to_checksum(world.usdx))
    assert world.send(STRANGER, world.vault, payload)["status"] == 1
    assert world.client.fee_splits(0, world.client.head()[0]) == ()


@pytest.mark.parametrize("seat", [COMPANY_SEAT, DEVELOPMENT_SEAT])
def test_treasury_hands_its_seat_over_in_two_steps(world: World, seat: int) -> None:
    distributor = _own_distributor(world)
    propose = world.encode("FeeDistributor", "proposeTreasury", seat, to_checksum(STRANGER.address))
    accept = world.encode("FeeDistributor", "acceptTreasury", seat)
    for key, payload in ((STRANGER, propose), (STRANGER, accept)):
        refusal = world.refusal(payload, key=key, to=distributor, contract="FeeDistributor")
        assert refusal.reason == "OnlyTreasury"
    assert world.send(TRADER, distributor, propose)["status"] == 1
    refusal = world.refusal(accept, key=TRADER, to=distributor, contract="FeeDistributor")
    assert refusal.reason == "OnlyTreasury"
    assert world.send(STRANGER, distributor, accept)["status"] == 1
    seated = world.view("FeeDistributor", distributor, "treasury", seat)
    assert seated == to_checksum(STRANGER.address)
    assert world.view("FeeDistributor", distributor, "nextTreasury", seat) == NOBODY
    refusal = world.refusal(accept, key=STRANGER, to=distributor, contract="FeeDistributor")
    assert refusal.reason == "OnlyTreasury"


def test_distributor_checks_what_its_vault_reports(world: World) -> None:
    distributor = _own_distributor(world)
    token = to_checksum(world.usdx)
    uneven = world.encode("FeeDistributor", "bookFees", 1, token, 100, 70, 20, 11)
    refusal = world.refusal(uneven, key=DEPLOYER, to=distributor, contract="FeeDistributor")
    assert refusal.reason == "SharesDoNotAddUp"
    unpaid = world.encode("FeeDistributor", "bookFees", 1, token, 100, 70, 20, 10)
    refusal = world.refusal(unpaid, key=DEPLOYER, to=distributor, contract="FeeDistributor")
    assert (refusal.reason, refusal.arguments) == ("FeesNotReceived", (0, 30))


def test_zero_treasury_is_refused(world: World) -> None:
    for company, development in ((bytes(20), COMPANY), (COMPANY, bytes(20))):
        artifact = load_artifact("FeeDistributor")
        factory = world.evm.web3.eth.contract(abi=list(artifact.abi), bytecode=artifact.bytecode)
        constructor = factory.constructor(to_checksum(company), to_checksum(development))
        with pytest.raises(Exception, match="0xd92e233d"):
            constructor.estimate_gas()


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=6))
def test_shares_add_up_for_any_sequence_of_totals(totals: list[int]) -> None:
    world = World(embedded_evm())
    world.deposit(world.usdx, 10**13)
    for total in sorted(totals):
        world.fees[world.usdx] = total
        world.checkpoint()
    splits = world.client.fee_splits(0, world.client.head()[0])
    final = max(totals)
    assert sum(split.total for split in splits) == final
    assert sum(split.validators for split in splits) == shares(final)[0]
    assert sum(split.company for split in splits) == shares(final)[1]
    assert sum(split.development for split in splits) == shares(final)[2]
    assert world.balance(world.usdx, world.distributor) == sum(shares(final)[1:])


def _own_distributor(world: World) -> bytes:
    """A distributor whose vault is the deployer and whose treasuries are the trader."""
    return world.deploy_contract(
        "FeeDistributor", to_checksum(TRADER.address), to_checksum(TRADER.address)
    )


@pytest.mark.parametrize("foreign", ["another chain's", "another vault's", "unlisted"])
def test_totals_of_other_assets_are_not_charged(
    world: World, monkeypatch: pytest.MonkeyPatch, foreign: str
) -> None:
    """All assets of the network are in the fees root; a vault looks at its own only."""
    world.deposit(world.usdx, 1_000_000)
    own = world.fee_totals()
    other = FeeTotal(
        chain_id=CHAIN_ID + (foreign == "another chain's"),
        vault=b"\x99" * 20 if foreign == "another vault's" else world.vault,
        token=b"\x77" * 20 if foreign == "unlisted" else world.usdx,
        total=1_000,
    )
    monkeypatch.setattr(world, "fee_totals", lambda: (other, *own))
    world.checkpoint()
    assert world.client.fee_splits(0, world.client.head()[0]) == ()
    for token in (world.usdx, other.token):
        account = world.view("Settlement", world.vault, "tokenAccount", to_checksum(token))
        assert account[FEES_CERTIFIED] == 0
