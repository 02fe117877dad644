"""Facts about the committee selection: seats, shares, limits, speed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.limits import COMMITTEE_MAX
from consensus.participation.facts import NO_KEY
from consensus.participation.parameters import SCORE_ONE, SEATS_MIN, TOTAL_WEIGHT, Rules
from consensus.participation.register import Validator
from consensus.participation.selection import (
    Seat,
    compute_move_limit,
    compute_moved,
    is_eligible,
    make_committee,
    select_next_committee,
    water_fill,
)
from tests.consensus.duties import XOM, address, registration, rules

RULES = rules()
GUILTY = b"\7" * 20


def validator(number: int, *, score: int = SCORE_ONE, stake: int = 100_000, **more: object):
    plain = registration(number, stake=stake * XOM)
    return Validator(
        owner=plain.owner,
        hot_key=plain.hot_key,
        payout=plain.payout,
        network_key=plain.network_key,
        services=plain.services,
        stake=plain.stake,
        is_leaving=False,
        score=score,
        heartbeat_height=1,
        **more,  # type: ignore[arg-type]
    )


def by_owner(*validators: Validator) -> dict[bytes, Validator]:
    return {one.owner: one for one in validators}


def seats_of(count: int, weight: int = 1) -> tuple[Seat, ...]:
    return tuple(
        Seat(owner=address("owner", n), hot_key=address("hot", n), weight=weight)
        for n in range(count)
    )


def shares(seats: tuple[Seat, ...]) -> dict[bytes, int]:
    total = sum(seat.weight for seat in seats)
    return {seat.owner: seat.weight * TOTAL_WEIGHT // total for seat in seats}


def test_below_fifty_members_all_weigh_the_same():
    known = by_owner(*(validator(n, stake=1_000 * (n + 1)) for n in range(20)))
    chosen = select_next_committee(known, seats_of(20), RULES)
    assert {seat.weight for seat in chosen} == {TOTAL_WEIGHT // 20}
    assert make_committee(chosen).address(0) == chosen[0].hot_key


def test_water_filling_caps_shares_and_hands_the_rest_on():
    weights = water_fill({bytes([n]): 10**6 if n < 3 else 1 + n for n in range(100)})
    cap = TOTAL_WEIGHT * 2 // 100
    assert max(weights.values()) == cap
    assert TOTAL_WEIGHT - 100 <= sum(weights.values()) <= TOTAL_WEIGHT
    assert weights[bytes([99])] > weights[bytes([4])]


def test_a_bond_above_the_cap_weighs_no_more():
    known = by_owner(*(validator(n, stake=100_000 if n else 10**9) for n in range(60)))
    chosen = select_next_committee(known, seats_of(60), RULES)
    assert len({seat.weight for seat in chosen}) == 1


def test_one_by_one_a_small_committee_is_replaced():
    known = by_owner(
        *(validator(n, score=SCORE_ONE // 4) for n in range(4)),
        *(validator(n) for n in range(4, 8)),
    )
    seats = seats_of(4)
    for _ in range(4):
        before = {seat.owner for seat in seats}
        seats = select_next_committee(known, seats, RULES)
        after = {seat.owner for seat in seats}
        assert len(before - after) == 1
        assert len(after - before) == 1
    assert after == {address("owner", n) for n in range(4, 8)}


def test_many_new_keys_at_once_enter_slowly():
    known = by_owner(*(validator(n) for n in range(40)), *(validator(n) for n in range(100, 300)))
    chosen = select_next_committee(known, seats_of(40), RULES)
    new = sum(seat.weight for seat in chosen if seat.owner not in shares(seats_of(40)))
    assert 0 < new * 100 <= sum(seat.weight for seat in chosen) * 11


def test_many_homes_knocked_offline_leave_slowly():
    known = by_owner(*(validator(n, jailed_until_ms=5 if n < 30 else 0) for n in range(100)))
    chosen = select_next_committee(known, seats_of(100), RULES)
    stayed = {seat.owner for seat in chosen}
    assert sum(address("owner", n) not in stayed for n in range(30)) == 10


def test_convicted_members_leave_at_once_however_many():
    known = by_owner(*(validator(n, convicted_key=GUILTY if n < 5 else NO_KEY) for n in range(10)))
    chosen = select_next_committee(known, seats_of(10), RULES)
    assert {seat.owner for seat in chosen} == {address("owner", n) for n in range(5, 10)}


def test_a_committee_that_is_convicted_whole_stays_for_its_people():
    known = by_owner(*(validator(n, convicted_key=GUILTY) for n in range(4)))
    assert select_next_committee(known, seats_of(4), RULES) == seats_of(4)


@pytest.mark.parametrize(
    "flaw", [{"score": 499_999}, {"stake": 999}, {"jailed_until_ms": 1}, {"convicted_key": GUILTY}]
)
def test_whoever_is_not_eligible_gets_no_seat(flaw: dict[str, object]):
    known = by_owner(*(validator(n) for n in range(4)), validator(9, **flaw))
    assert address("owner", 9) not in shares(select_next_committee(known, seats_of(4), RULES))


population = st.lists(
    st.tuples(
        st.integers(0, SCORE_ONE),
        st.integers(500, 200_000),
        st.sampled_from((0, 0, 0, 1)),  # jailed
        st.sampled_from((0,) * 12 + (1,)),  # convicted
    ),
    min_size=1,
    max_size=170,
)


@settings(max_examples=60, deadline=None)
@given(population, st.integers(1, COMMITTEE_MAX), st.lists(st.integers(1, 50), min_size=128))
def test_the_selection_keeps_its_promises(people: list, office: int, old_weights: list[int]):
    known = by_owner(
        *(
            validator(
                n,
                score=score,
                stake=stake,
                jailed_until_ms=jailed,
                convicted_key=GUILTY if guilty else NO_KEY,
            )
            for n, (score, stake, jailed, guilty) in enumerate(people)
        )
    )
    office = min(office, len(people))
    seats = tuple(
        Seat(owner=seat.owner, hot_key=seat.hot_key, weight=weight)
        for seat, weight in zip(seats_of(office), old_weights, strict=False)
    )
    chosen = select_next_committee(known, seats, RULES)
    assert chosen == select_next_committee(dict(sorted(known.items())), seats, RULES)
    honest = tuple(seat for seat in seats if not known[seat.owner].is_convicted)
    committee = make_committee(chosen)
    assert len(committee) <= COMMITTEE_MAX
    if not honest:
        return
    before, after = shares(honest), shares(chosen)
    assert len(chosen) >= min(SEATS_MIN, len(honest)), "jail and scores leave four in office"
    assert compute_moved(before, after) <= compute_move_limit(before) + 3 * COMMITTEE_MAX
    for owner in after:
        assert not known[owner].is_convicted
        assert owner in before or is_eligible(known[owner], RULES)


@settings(max_examples=30, deadline=None)
@given(population.filter(lambda people: len(people) >= 5))
def test_borders_reach_the_committee_that_merit_demands(people: list):
    known = by_owner(
        *(validator(n, score=score, stake=stake) for n, (score, stake, _, _) in enumerate(people))
    )
    fit = [one for one in known.values() if is_eligible(one, RULES)]
    seats = seats_of(min(4, len(people)))
    for _ in range(400):
        seats, last = select_next_committee(known, seats, RULES), seats
        if seats == last:
            break
    assert seats == last, "the way ends"
    if len(fit) >= SEATS_MIN:
        best = sorted(fit, key=lambda one: -(one.score**2) * min(one.stake, RULES.bond_cap))
        assert len(seats) == min(len(fit), COMMITTEE_MAX)
        cap = max(TOTAL_WEIGHT * 2 // 100, TOTAL_WEIGHT // len(seats))
        assert max(shares(seats).values()) <= cap + COMMITTEE_MAX
        assert best[0].owner in shares(seats)


def test_five_thousand_registered_are_chosen_from_quickly():
    chosen = Rules(epoch_blocks=3_600)
    known = by_owner(
        *(
            validator(n, score=500_000 + n * 97 % 500_000, stake=1_000 + n % 90_000)
            for n in range(5_000)
        )
    )
    start = time.process_time()
    seats = select_next_committee(known, seats_of(128), chosen)
    assert time.process_time() - start < 1
    assert len(seats) == COMMITTEE_MAX
