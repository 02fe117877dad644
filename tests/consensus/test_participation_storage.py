"""Facts about how stored data is measured: committed to in one part, shown in the next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.limits import CHECKPOINT_LAG
from consensus.participation.accumulator import Participation
from consensus.participation.facts import StorageWord
from consensus.participation.parameters import CHAT, CREDIT_ONE, STORAGE, Rules
from consensus.participation.register import Validator
from consensus.participation.storage_part import Draw, choose_chunk, compute_commitment
from primitives.keccak import keccak256
from tests.consensus.duties import Chain, address, genesis, registration, rules

PERIOD = 160  # heights; a part has ten
LEAD = 10  # so the first part of the test is the second of the period


class Keepers:
    """Validators of a chain who say something about storage at the second height of each part."""

    def __init__(self, count: int, chosen: int = PERIOD) -> None:
        self.chain = Chain(genesis(count, rules(chosen, lead=LEAD)))
        self.says: dict[int, str] = dict.fromkeys(range(count), "chunk")

    @property
    def state(self) -> Participation:
        return self.chain.state

    def one(self, number: int) -> Validator:
        return self.state.register.by_owner[address("owner", number)]

    def counts(self, number: int) -> tuple[int, int]:
        """Return opportunities and full credits of the open period."""
        found = self.one(number)
        return found.opportunities[STORAGE], found.credits[STORAGE] // CREDIT_ONE

    def word(self, number: int, part: int, say: str, *, said: str = "") -> StorageWord:
        owner = address("owner", number)
        return StorageWord(
            hot_key=self.one(number).hot_key,
            part=part,
            commitment=compute_commitment(answer(say, part), owner),
            answer=answer(said or say, part - 1),
        )

    def run_to(self, height: int) -> None:
        while self.state.height < height:
            self.step()

    def step(self) -> None:
        self.chain.block(storage=self.honest_words())

    def honest_words(self) -> tuple[StorageWord, ...]:
        """Return what is said in the next block: something at the second height of a part."""
        after = self.state.height + 1
        part = self.state.rules.compute_part(after)
        if (after + LEAD - 1) % 10 != 1:
            return ()
        return tuple(self.word(n, part, say) for n, say in self.says.items() if say)


def answer(say: str, part: int) -> bytes:
    return keccak256(f"{say} {part}".encode())


def test_who_answers_every_part_has_full_credit_and_who_does_not_has_none():
    net = Keepers(4)
    net.says[3] = ""
    net.run_to(PERIOD - LEAD - 1)
    opportunities, credited = net.counts(0)
    assert opportunities == credited == 13
    assert net.counts(3) == (13, 0)
    net.run_to(PERIOD - LEAD)
    assert net.one(0).ratios[STORAGE] == 1_000_000
    assert net.one(3).ratios[STORAGE] == 0
    assert net.one(0).score > 500_000 > net.one(3).score


def test_nobody_is_measured_where_nobody_answers():
    net = Keepers(4)
    net.says.clear()
    net.run_to(2 * PERIOD)
    assert [net.counts(n) for n in range(4)] == [(0, 0)] * 4
    assert not net.one(0).measured >> STORAGE & 1
    assert net.one(0).period_score == 1_000_000


def test_chat_is_measured_nowhere():
    net = Keepers(4)
    net.one(1).services = 5
    net.run_to(2 * PERIOD)
    assert not any(net.one(n).measured >> CHAT & 1 for n in range(4))
    assert net.one(1).period_score == net.one(0).period_score == 1_000_000


def test_another_ones_commitment_or_answer_is_worth_nothing():
    net = Keepers(7)
    net.says.clear()
    while net.state.height < 80:
        part = net.state.rules.compute_part(net.state.height + 1)
        honest = [net.word(n, part, "chunk") for n in range(5)]
        copies = [
            replace(honest[0], hot_key=net.one(5).hot_key),  # word for word
            replace(
                net.word(6, part, "chunk"), commitment=net.word(6, part - 1, "chunk").commitment
            ),
        ]
        is_second = (net.state.height + LEAD) % 10 == 1
        net.chain.block(storage=(*honest, *copies) if is_second else ())
    assert net.counts(0)[1] == net.counts(0)[0] > 4
    assert net.counts(5)[1] == 0
    assert net.counts(6)[1] == 0


def test_a_third_that_agrees_on_another_answer_neither_earns_nor_harms():
    net = Keepers(9)
    for number in range(3):
        net.says[number] = "made up"
    net.run_to(100)
    assert net.counts(8)[1] == net.counts(8)[0] > 5
    assert net.counts(0)[1] == 0


def test_without_an_answer_of_more_than_a_third_nobody_has_an_opportunity():
    net = Keepers(9)
    for number in range(6):
        net.says[number] = ""  # three of nine answer
    net.run_to(100)
    assert net.counts(8) == net.counts(0) == (0, 0)


def test_two_answers_of_equal_weight_are_no_truth():
    net = Keepers(4)
    net.says[0] = net.says[1] = "another"
    net.run_to(100)
    assert [net.counts(n) for n in range(4)] == [(0, 0)] * 4


def test_a_newcomer_answers_from_the_first_whole_part_on():
    net = Keepers(4)
    net.run_to(45)
    net.chain.block(registry=(registration(9),))
    net.says[9] = "chunk"
    net.run_to(50)
    assert net.counts(9) == (0, 0)
    net.run_to(100)
    opportunities, credited = net.counts(9)
    assert opportunities == credited == 4
    assert net.counts(0)[0] == 9


def test_a_service_switched_on_is_asked_from_the_next_part_on():
    net = Keepers(4)
    net.one(3).services = net.one(3).storage_owed = 0
    net.run_to(45)
    net.chain.block(registry=(registration(3),))
    net.run_to(100)
    assert net.counts(3)[0] == net.counts(3)[1] == 4


def test_a_new_key_shows_what_the_old_one_committed_to():
    net = Keepers(4)
    net.run_to(45)
    net.chain.block(registry=(replace(registration(2), hot_key=address("hot", 99)),))
    net.run_to(100)
    assert net.counts(2)[0] == net.counts(2)[1] == 9


def test_words_that_come_a_part_too_late_say_nothing():
    net = Keepers(4)
    net.run_to(40)
    late = net.word(3, net.state.rules.compute_part(41) - 1, "chunk")
    net.says[3] = ""
    net.chain.block(storage=(late,))
    assert net.one(3).commitment == bytes(32)
    assert net.one(3).answer == bytes(32)


def test_the_last_commitment_of_a_part_counts():
    net = Keepers(4)
    net.run_to(30)
    part = net.state.rules.compute_part(31)
    wrong, right = (net.word(0, part, say, said="chunk") for say in ("wrong", "chunk"))
    others = tuple(net.word(n, part, "chunk") for n in (1, 2, 3))
    net.chain.block(storage=(wrong, *others))
    net.chain.block(storage=(replace(right, answer=bytes(32)),))
    net.run_to(60)
    assert net.counts(0) == net.counts(1)


def test_strangers_and_validators_without_the_service_change_no_counter():
    net = Keepers(4)
    net.one(3).services, net.one(3).storage_owed = 3, 0
    stranger = StorageWord(hot_key=b"\1" * 20, part=1, commitment=b"\1" * 32)
    net.chain.block(storage=(stranger,))
    net.run_to(100)
    assert net.counts(3) == (0, 0)


def test_a_state_loaded_between_commitment_and_answer_goes_on_alike():
    net = Keepers(4, 200)
    net.run_to(100)
    state = net.state
    copy = Participation.load(state.rules, state.dump(), state.digest)
    assert (
        copy.draw == state.draw == Draw(height=state.draw.height, block_hash=state.draw.block_hash)
    )
    assert any(one.commitment_before != bytes(32) for one in copy.register.by_owner.values())
    net.run_to(130)
    twin = Keepers(4, 200)
    twin.chain.state, twin.chain.view = copy, 100
    twin.run_to(130)
    assert copy.dump() == state.dump()
    assert copy.digest == state.digest


class Liars(Keepers):
    """Honest keepers beside liars of at most a third of the weight, who have no chunk."""

    def __init__(self, weights: list[int], liars: int) -> None:
        super().__init__(len(weights))
        for number in range(liars):
            self.says[number] = ""
        self.liars = range(liars)
        self.state.seats = tuple(
            replace(seat, weight=weight)
            for seat, weight in zip(self.state.seats, weights, strict=True)
        )

    def lie(self, draw: st.DataObject) -> StorageWord:
        """Return a word from what liars know: what others committed to and have shown, and bits."""
        part = self.state.rules.compute_part(self.state.height + 1)
        known = [self.one(n).commitment for n in self.says]
        known += [self.one(n).commitment_before for n in self.says]
        answers = [answer("chunk", part - back) for back in (1, 2)]  # newer ones only keepers have
        answers += [answer("nothing", part - back) for back in (0, 1)]
        author = draw.draw(st.sampled_from(self.liars))
        own = [compute_commitment(one, address("owner", author)) for one in answers]
        return StorageWord(
            hot_key=self.one(author).hot_key,
            part=part - draw.draw(st.integers(-1, 1)),
            commitment=draw.draw(st.sampled_from([bytes(32), *known, *own])),
            answer=draw.draw(st.sampled_from([bytes(32), *answers])),
        )


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=6), st.data())
def test_liars_of_a_third_earn_nothing_and_take_nothing(honest: list[int], data: st.DataObject):
    share = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    spare = sum(honest) // 2  # liars have at most a third of all
    liars = [max(1, spare * one // sum(share)) for one in share]
    while sum(liars) > spare:
        liars.pop()
    if not liars:
        return
    net = Liars(liars + honest, len(liars))
    while net.state.height < 60:
        lies = tuple(net.lie(data) for _ in range(data.draw(st.integers(0, 2))))
        net.chain.block(storage=lies + net.honest_words())
    for number in net.says:
        opportunities, credited = net.counts(number)
        assert opportunities == 5
        assert credited == (0 if number in net.liars else opportunities)


@pytest.mark.parametrize(
    ("height", "interval", "found"),
    [
        (0, 24, 0),
        (CHECKPOINT_LAG + 23, 24, 0),
        (CHECKPOINT_LAG + 24, 24, 24),
        (1_999, 1_000, 1_000),
    ],
)
def test_the_chunk_is_of_the_newest_snapshot_that_a_header_stated(
    height: int, interval: int, found: int
):
    assert Draw(height=height).snapshot_height(interval) == found


@given(st.integers(1, 5_000), st.integers(2, 900), st.data())
def test_parts_are_sixteenths_of_the_period_numbered_on(
    height: int, epoch: int, data: st.DataObject
):
    chosen = replace(rules(epoch, lead=data.draw(st.integers(1, epoch - 1))), period_blocks_min=320)
    part = chosen.compute_part(height)
    assert part % 16 == chosen.compute_heartbeat_slot(height)
    assert chosen.compute_part(height + chosen.period_blocks) == part + 16
    assert 0 <= chosen.compute_part(height + 1) - part <= 1
    if chosen.is_close(height):
        assert part % 16 == 15
        assert chosen.is_part_end(height)


@given(st.binary(min_size=32, max_size=32), st.integers(1, 20_000))
def test_every_block_hash_chooses_a_chunk(block_hash: bytes, count: int):
    assert 0 <= choose_chunk(block_hash, count) < count


@given(st.integers(1, 1_200), st.integers(34, 4_000), st.integers(320, 9_999))
def test_the_snapshots_that_are_kept_suffice_until_the_part_ends(
    interval: int, epoch: int, height: int
):
    chosen = Rules(epoch_blocks=epoch, selection_lead=33, checkpoint_interval=interval)
    end = height
    while not chosen.is_part_end(end):
        end += 1
    drawn = chosen.compute_part(end)
    while chosen.compute_part(height) == drawn:
        height -= 1
    asked = Draw(height=height).snapshot_height(interval)
    newest = end // interval * interval
    assert asked == 0 or (newest - asked) // interval < chosen.snapshots_needed
