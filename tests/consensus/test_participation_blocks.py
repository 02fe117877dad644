"""Facts about what final blocks do to validators: scores, jail, seats, pay, dumps."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.participation.accumulator import Participation
from consensus.participation.facts import NO_KEY, ServiceFact, compute_missed_leaders
from consensus.participation.parameters import (
    CHAT,
    GENESIS_SCORE,
    JAIL_FIRST_MS,
    JAILED_SCORE,
    NEWCOMER_SCORE,
    SCORE_ONE,
    SEAT_SCORE,
)
from primitives.errors import InvalidMessage
from tests.consensus.duties import BLOCK_MS, XOM, Chain, address, genesis, registration, rules

ROOT = Path(__file__).parents[2]


def validator(state: Participation, number: int):
    return state.register.by_owner[address("owner", number)]


def test_members_of_genesis_begin_with_fifty_points_and_equal_pay():
    state = genesis(4)
    assert [row[1] for row in state.pay_table()] == [GENESIS_SCORE] * 4
    assert state.pay_table()[2][2] == address("payout", 2)


def test_full_service_moves_the_score_a_sixteenth_of_the_way_up():
    chain = Chain(genesis(4))
    chain.run_to(190)
    for number in range(4):
        one = validator(chain.state, number)
        assert one.period_score == SCORE_ONE
        assert one.score == GENESIS_SCORE + SCORE_ONE // 32
    assert [seat.weight for seat in chain.state.next_seats or ()] == [250_000_000] * 4


def test_a_missed_vote_costs_uptime_and_the_proposer_who_left_it_out():
    chain = Chain(genesis(4))
    chain.run_to(190, voters=lambda height, proposer: {0, 1, 2, 3} - {3 if height % 2 else 9})
    assert validator(chain.state, 3).ratios[1] == 500_000
    assert validator(chain.state, 0).ratios[1] == SCORE_ONE
    assert validator(chain.state, 0).ratios[0] < SCORE_ONE


def test_the_views_between_a_block_and_its_parent_are_missed_slots():
    assert compute_missed_leaders((0, 1, 2), 4, 8) == (2, 0, 1)
    assert compute_missed_leaders((0, 1, 2), 7, 8) == ()
    assert len(compute_missed_leaders((0, 1), 0, 1 << 40)) == 1_024


def test_a_service_that_only_others_offer_counts_as_nothing():
    state = genesis(4)
    validator(state, 3).services = 1
    chain = Chain(state)
    facts = tuple(
        ServiceFact(part=CHAT, hot_key=address("hot", number), credit=1_000) for number in range(4)
    )
    chain.run_to(190, services=facts)
    assert validator(state, 0).period_score == SCORE_ONE
    assert validator(state, 3).ratios[CHAT] == 0
    assert validator(state, 3).period_score == (SCORE_ONE * 55 // 70) // 2


def test_a_part_without_opportunity_for_anybody_is_left_out():
    chain = Chain(genesis(4))
    facts = tuple(
        ServiceFact(part=CHAT, hot_key=address("hot", number), credit=0) for number in range(4)
    )
    for _ in range(7):
        chain.block(services=facts)
    chain.run_to(190)
    assert validator(chain.state, 0).measured == 0b11
    assert validator(chain.state, 0).period_score == SCORE_ONE


def test_an_absent_member_is_jailed_and_comes_back_by_a_heartbeat():
    chain = Chain(genesis(7, rules(epoch_blocks=400)))
    chain.run_to(390, absent=(6,))
    away = validator(chain.state, 6)
    assert away.jailed_until_ms > 0
    assert away.score <= JAILED_SCORE
    chain.run_to(400)
    assert len(chain.state.seats) == 6
    hot = (address("hot", 6),)
    chain.block(heartbeats=hot)
    assert away.jailed_until_ms, "the term is not over"
    chain.run_to(away.jailed_until_ms // BLOCK_MS)
    assert away.jailed_until_ms == 0 or chain.block(heartbeats=hot)
    assert away.jailed_until_ms == 0
    while len(chain.state.seats) == 6:
        chain.block(heartbeats=hot)
        assert chain.state.height < 6_000
    assert away.score >= SEAT_SCORE


def test_a_second_jail_term_is_twice_as_long():
    chain = Chain(genesis(7, rules(epoch_blocks=600)))
    chain.run_to(260, absent=(6,))
    away = validator(chain.state, 6)
    first = away.jailed_until_ms
    assert JAIL_FIRST_MS <= first <= JAIL_FIRST_MS + 260 * BLOCK_MS
    away.jailed_until_ms = 0
    away.forget_votes()
    start = chain.state.height
    chain.run_to(560, absent=(6,))
    assert away.jailed_until_ms >= start * BLOCK_MS + 2 * JAIL_FIRST_MS
    assert away.jail_count == 2


def test_jail_never_takes_the_committee_below_four():
    chain = Chain(genesis(4, rules(epoch_blocks=400)))
    chain.run_to(401, absent=(3,))
    assert validator(chain.state, 3).jailed_until_ms
    assert len(chain.state.seats) == 4


def test_a_convicted_member_is_paid_nothing_and_out_at_the_next_border():
    chain = Chain(genesis(7))
    chain.block(convicted=(2,))
    guilty = chain.state.seats[2].owner
    assert chain.state.pay_table()[2][1] == 0
    chain.run_to(200)
    assert guilty not in {seat.owner for seat in chain.state.seats}
    assert len(chain.state.seats) == 6


def test_a_convicted_owner_cannot_stay_by_another_key_but_begins_again_from_nothing():
    chain = Chain(genesis(7))
    chain.block(convicted=(2,))
    guilty = chain.state.seats[2].owner
    number = next(n for n in range(7) if address("owner", n) == guilty)
    new = replace(registration(number), hot_key=address("new", number))
    chain.block(registry=(new,))
    one = validator(chain.state, number)
    assert one.is_convicted
    chain.run_to(200)
    assert guilty not in {seat.owner for seat in chain.state.seats}
    chain.run_to(2 * 200, heartbeats=(new.hot_key,))
    assert one.is_convicted, "the last seat was in this period"
    chain.run_to(3 * 200, heartbeats=(new.hot_key,))
    assert not one.is_convicted
    assert one.score == 0
    chain.run_to(4 * 200, heartbeats=(new.hot_key,))
    assert one.score == SCORE_ONE // 16


def test_a_convicted_key_stays_out_for_ever():
    chain = Chain(genesis(7))
    chain.block(convicted=(2,))
    one = chain.state.register.by_owner[chain.state.seats[2].owner]
    chain.run_to(2_000, heartbeats=(one.hot_key,))
    assert one.is_convicted
    assert one.score == 0


def test_a_newcomer_earns_a_seat_by_heartbeats():
    chain = Chain(genesis(4))
    chain.block(registry=(registration(9),))
    assert validator(chain.state, 9).score == NEWCOMER_SCORE
    while len(chain.state.seats) == 4:
        chain.block(heartbeats=(address("hot", 9),))
        assert chain.state.height < 3_000
    assert 6 * 200 <= chain.state.height <= 8 * 200, "seven periods of probation"


def test_exit_and_withdrawal_take_seat_and_entry():
    chain = Chain(genesis(5))
    chain.block(registry=(registration(1, is_leaving=True),))
    chain.run_to(200)
    assert address("owner", 1) not in {seat.owner for seat in chain.state.seats}
    chain.block(registry=(replace(registration(1, is_leaving=True), hot_key=NO_KEY),))
    assert address("owner", 1) not in chain.state.register.by_owner


def test_a_rotated_key_votes_from_the_next_border_and_a_taken_key_is_refused():
    chain = Chain(genesis(4))
    new = replace(registration(1), hot_key=address("new", 1), payout=address("purse", 1))
    stolen = replace(registration(8), hot_key=address("hot", 2))
    chain.block(registry=(new, stolen))
    assert address("owner", 8) not in chain.state.register.by_owner
    assert address("hot", 1) in {seat.hot_key for seat in chain.state.seats}
    assert address("purse", 1) in {row[2] for row in chain.state.pay_table()}
    chain.run_to(200)
    assert address("new", 1) in {seat.hot_key for seat in chain.state.seats}


def test_every_fact_changes_the_digest():
    one, other = Chain(genesis(4)), Chain(genesis(4))
    one.block()
    other.block(heartbeats=(address("hot", 1),))
    assert one.state.digest != other.state.digest


def test_a_dump_of_a_checkpoint_height_restores_the_state():
    chain = Chain(genesis(5))
    chain.run_to(200, absent=(4,))
    data, digest = chain.state.dump(), chain.state.digest
    copy = Participation.load(rules(), data, digest)
    assert copy.dump() == data
    twin = Chain(copy)
    twin.view = chain.view
    for _ in range(60):
        assert chain.block() == twin.block()
    assert copy.digest == chain.state.digest
    assert copy.dump() == chain.state.dump()
    with pytest.raises(InvalidMessage):
        Participation.load(rules(), data, bytes(32))
    with pytest.raises(InvalidMessage):
        Participation.load(rules(), b"\xc0", digest)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_restored_state_goes_on_like_the_original(data: st.DataObject):
    chosen = rules(epoch_blocks=40, lead=5, interval=10)
    chain = Chain(genesis(6, chosen))
    for height in range(1, 121):
        absent = data.draw(st.sets(st.integers(0, 3), max_size=1)) if height % 7 == 0 else ()
        number = data.draw(st.integers(6, 9)) if height % 11 == 0 else None
        joined = () if number is None else (registration(number, stake=height * 100 * XOM),)
        beats = tuple(address("hot", one) for one in range(6, 10)) if height % 2 else ()
        chain.block(absent=absent, registry=joined, heartbeats=beats)
        if height % 10 == 0:
            copy = Participation.load(chosen, chain.state.dump(), chain.state.digest)
            assert copy.digest == chain.state.digest
            chain.state = copy
            chain._seats = None


PROGRAM = """
from tests.consensus.duties import Chain, address, genesis, registration
chain = Chain(genesis(7))
for height in range(1, 450):
    joined = (registration(height),) if height % 9 == 0 else ()
    beats = tuple(address("hot", n) for n in range(9, height, 9))
    chain.block(absent=(height % 7,) if height % 5 == 0 else (), registry=joined, heartbeats=beats)
print(chain.state.digest.hex(), chain.state.dump().hex())
"""


def test_the_order_of_hashing_changes_nothing():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(outputs) == 1
