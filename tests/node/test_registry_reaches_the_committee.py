"""Every kind of event of the registry contract reaches scores, seats and pay of the ledger.

Rule: events come as signed attestations in blocks; what is looked at is the participation state.
Spec: docs/spec/participation.md (Registration). Deviations: none.
"""

from __future__ import annotations

import pytest

from contracts.registry_events import Change
from exchange.actions import encode_amount
from tests.exchange.world import make_key
from tests.node.rotating_ledger import XOM, RotatingLedger, with_newcomer


@pytest.fixture
def member() -> tuple[RotatingLedger, bytes, bytes]:
    """A ledger with five members, the fifth one's owner and hot key."""
    ledger, hot, owner = with_newcomer()
    return ledger, owner, hot.address


def test_there_are_seven_kinds() -> None:
    assert [one.value for one in Change] == [1, 2, 3, 4, 5, 6, 7]


def test_who_registered_takes_a_seat(member: tuple[RotatingLedger, bytes, bytes]) -> None:
    ledger, owner, hot = member
    assert ledger.seats[owner].hot_key == hot
    assert ledger.find(owner).stake == 25_000 * XOM
    assert len({seat.weight for seat in ledger.seats.values()}) <= 2


def test_added_stake_counts_at_once(member: tuple[RotatingLedger, bytes, bytes]) -> None:
    ledger, owner, hot = member
    ledger.attest(ledger.event(owner, hot, Change.STAKE_ADDED, stake=encode_amount(50_000 * XOM)))
    assert ledger.find(owner).stake == 50_000 * XOM


def test_a_new_hot_key_votes_from_the_next_chosen_committee(
    member: tuple[RotatingLedger, bytes, bytes],
) -> None:
    ledger, owner, hot = member
    new = make_key("rotated").address
    ledger.attest(ledger.event(owner, new, Change.HOT_KEY))
    assert ledger.seats[owner].hot_key == hot
    ledger.run_to_border()
    assert ledger.seats[owner].hot_key == new
    assert new in {row[0] for row in ledger.keeper.committee}


def test_services_and_payout_count_at_once(member: tuple[RotatingLedger, bytes, bytes]) -> None:
    ledger, owner, hot = member
    purse = make_key("purse").address
    ledger.attest(ledger.event(owner, hot, Change.SERVICES, services=1, payout=purse))
    assert ledger.find(owner).services == 1
    assert purse in {row[2] for row in ledger.keeper.pay}


def test_who_asks_to_leave_is_out_at_a_border_and_the_entry_ends_with_the_stake(
    member: tuple[RotatingLedger, bytes, bytes],
) -> None:
    ledger, owner, hot = member
    ledger.attest(ledger.event(owner, hot, Change.EXIT_REQUESTED, exiting=True))
    assert owner in ledger.seats
    ledger.run_to_border()
    assert owner not in ledger.seats
    assert len(ledger.seats) == 4
    gone = ledger.event(
        owner, bytes(20), Change.STAKE_WITHDRAWN, stake=encode_amount(0), exiting=True
    )
    ledger.attest(gone)
    assert ledger.keeper.find(owner) is None
    assert ledger.keeper.find(hot) is None


def test_whose_stake_was_slashed_below_the_least_bond_is_out_at_a_border(
    member: tuple[RotatingLedger, bytes, bytes],
) -> None:
    ledger, owner, hot = member
    ledger.attest(ledger.event(owner, hot, Change.SLASHED, stake=encode_amount(999 * XOM)))
    ledger.run_to_border()
    assert owner not in ledger.seats
