"""Facts about short epochs: honest members on a slow machine stay, newcomers come in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.participation.accumulator import Participation
from consensus.participation.facts import ServiceFact
from consensus.participation.parameters import (
    GENESIS_SCORE,
    JAIL_HEIGHTS_MIN,
    NEWCOMER_SCORE,
    PERIOD_BLOCKS_MIN,
    SEAT_SCORE,
    TRADING,
    Rules,
)
from primitives.keccak import keccak256
from tests.consensus.duties import Chain, address, genesis, registration
from tests.consensus.payoff import Behaviour, compute_gain

EPOCH = 40
LEAD = 39
BEAT_EVERY = 16  # heights between two heartbeats of a newcomer: less than a part of a period
NEWCOMER = 9


def short(epoch: int = EPOCH, newcomer: int = NEWCOMER_SCORE) -> Rules:
    lead = min(64, epoch - 1)
    return Rules(epoch_blocks=epoch, selection_lead=lead, newcomer_score=newcomer)


def is_hit(percent: int, *what: object) -> bool:
    return keccak256(repr(what).encode())[0] * 100 < percent * 256


class SlowMachine(Chain):
    """Everybody's votes are late now and then, leaders miss slots, and one node stalls in turn."""

    def __init__(self, state: Participation, late: int, skipped: int, stall: int) -> None:
        super().__init__(state)
        self.late, self.skipped, self.stall = late, skipped, stall

    def step(self, **what: object) -> None:
        height, seats = self.state.height + 1, self.state.seats
        turn, into = divmod(height, PERIOD_BLOCKS_MIN // 2)
        stalled = {turn % len(seats)} if into < self.stall else set()
        away = {i for i in range(len(seats)) if is_hit(self.skipped, "slot", height, i)} | stalled
        if len(away) == len(seats):
            away = stalled
        quorum = 2 * len(seats) // 3 + 1

        def voters(at: int, proposer: int) -> list[int]:
            slow = [
                i
                for i in range(len(seats))
                if i != proposer and (i in stalled or is_hit(self.late, "vote", at, i))
            ]
            return [i for i in range(len(seats)) if i not in slow[: len(seats) - quorum]]

        self.block(voters=voters, absent=away, **what)  # type: ignore[arg-type]


@settings(max_examples=4, deadline=None)
@given(st.integers(EPOCH, 700), st.integers(0, 12), st.integers(0, 10), st.integers(0, 40))
def test_honest_members_keep_score_and_seat_at_any_epoch_length(
    epoch: int, late: int, skipped: int, stall: int
) -> None:
    chain = SlowMachine(genesis(4, short(epoch)), late, skipped, stall)
    founders = {seat.owner for seat in chain.state.seats}
    while chain.state.height < 3 * max(epoch, PERIOD_BLOCKS_MIN):
        chain.step()
        for one in chain.state.register.by_owner.values():
            assert one.score >= GENESIS_SCORE
            assert not one.jailed_until_ms
    assert {seat.owner for seat in chain.state.seats} == founders


def test_a_period_is_as_many_epochs_as_prove_something():
    for epoch, epochs in ((40, 8), (41, 8), (319, 2), (320, 1), (3_600, 1)):
        chosen = short(epoch)
        assert chosen.period_epochs == epochs
        assert chosen.period_blocks == epochs * epoch >= PERIOD_BLOCKS_MIN
        closes = [h for h in range(1, 3 * chosen.period_blocks) if chosen.is_close(h)]
        assert all(chosen.is_selection(height) for height in closes)
        assert closes[1] - closes[0] == chosen.period_blocks


def test_a_first_period_of_one_height_changes_no_score():
    chain = Chain(genesis(4, Rules(epoch_blocks=40, selection_lead=39, period_blocks_min=1)))
    chain.block()
    assert {one.score for one in chain.state.register.by_owner.values()} == {GENESIS_SCORE}


def join(newcomer_score: int, at: int = 5) -> Chain:
    chain = Chain(genesis(4, short(newcomer=newcomer_score)))
    chain.run_to(at)
    chain.block(registry=(registration(NEWCOMER),))
    return chain


def beat(chain: Chain) -> None:
    due = chain.state.height % BEAT_EVERY == 0
    chain.block(heartbeats=(address("hot", NEWCOMER),) if due else ())


def is_seated(chain: Chain) -> bool:
    return any(seat.owner == address("owner", NEWCOMER) for seat in chain.state.seats)


@pytest.mark.parametrize("at", [5, 100, 250, 276])
def test_a_newcomer_is_seated_within_eight_periods_and_an_epoch(at: int) -> None:
    chain = join(NEWCOMER_SCORE, at)
    while not is_seated(chain):
        beat(chain)
        assert chain.state.height <= at + 8 * PERIOD_BLOCKS_MIN + 2 * EPOCH
    assert chain.state.height > 6 * PERIOD_BLOCKS_MIN


def test_nobody_is_seated_who_sent_no_sign_of_life_in_the_last_epoch():
    chain = join(SEAT_SCORE + 300_000)
    chain.run_to(4 * EPOCH)
    assert not is_seated(chain), "registered with points enough, but never heard of"
    beats = 0
    while not is_seated(chain):
        beat(chain)
        beats += 1
        assert beats <= 3 * EPOCH


def test_a_newcomer_that_is_behind_keeps_its_seat_and_catches_up():
    chain = join(SEAT_SCORE + 300_000)
    while not is_seated(chain):
        beat(chain)
    one = chain.state.register.by_owner[address("owner", NEWCOMER)]
    behind_until = chain.state.height + JAIL_HEIGHTS_MIN // 2
    least = one.score
    while chain.state.height < behind_until + 4 * PERIOD_BLOCKS_MIN:
        seats = chain.state.seats
        index = next(i for i, seat in enumerate(seats) if seat.owner == one.owner)
        chain.block(absent=(index,) if chain.state.height < behind_until else ())
        assert is_seated(chain)
        least = min(least, one.score)
    assert least >= SEAT_SCORE
    assert one.score > least, "and earns again what it lost"


def test_a_few_opportunities_are_counted_on_until_they_prove_something():
    chain = Chain(genesis(4, short()))
    facts = tuple(
        ServiceFact(part=TRADING, hot_key=address("hot", number), credit=1_000 if number else 0)
        for number in range(4)
    )
    lazy = chain.state.register.by_owner[address("owner", 0)]
    for period in (1, 2):
        for _ in range(4):
            chain.block(services=facts)
        chain.run_to(period * PERIOD_BLOCKS_MIN)
        assert bool(lazy.measured >> TRADING & 1) is (period == 2)
    assert lazy.ratios[TRADING] == 0
    assert lazy.opportunities[TRADING] == 0


@pytest.mark.parametrize(
    "what", [{"votes_withheld": True}, {"late_every": 3}, {"services_off": (TRADING,)}]
)
def test_gaming_does_not_pay_in_short_epochs_either(what: dict[str, object]) -> None:
    for players in (1, 3):
        gain = compute_gain(
            Behaviour(**what),  # type: ignore[arg-type]
            10,
            players,
            epoch_blocks=EPOCH,
            noise_percent=5,
            period_blocks_min=160,
        )
        assert gain <= 0
