"""A small model of what a validator earns: ten epochs, fees shared by the pay table.

A coalition deviates in one way; its payoff is its part of the fees, in millionths of all fees of
the honest run. Everybody's votes arrive late now and then, the same ones in both runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache

from consensus.committee import compute_quorum
from consensus.participation.facts import ServiceFact, StorageWord
from consensus.participation.parameters import CREDIT_ONE, STORAGE, TRADING
from consensus.participation.storage_part import compute_commitment
from primitives.keccak import keccak256
from tests.consensus.duties import Chain, genesis, rules

EPOCHS = 10
FEES_PER_BLOCK = 1_000_000
VALIDATORS_PERCENT = 70
SHARE_EVERY = 20  # heights
SERVICE_EVERY = 10  # heights between two opportunities of every service
MILLION = 1_000_000


@dataclass(slots=True)
class Behaviour:
    """What the coalition does; the default is to be honest."""

    members: frozenset[int] = frozenset()  # committee indices in the genesis committee
    votes_withheld: bool = False  # as proposers, leave out honest votes beyond a quorum
    late_every: int = 0  # every so many votes come too late to be in the next block
    silent_to_others: bool = False  # votes reach only proposers of the coalition
    leaves_slots: bool = False  # a block that breaks the inclusion duty is skipped
    empty_loss_percent: int = 0  # fees that are lost by a coalition's empty block
    services_off: tuple[int, ...] = ()  # parts no longer offered
    services_ignored: tuple[int, ...] = ()  # parts offered but not done
    storage: str = ""  # what is said about chunks that are not kept; "" keeps them
    self_traded: int = 0  # fees the coalition pays per block in trades with itself


HONEST = Behaviour()


@dataclass(slots=True)
class Run:
    """One run of the model."""

    count: int
    epoch_blocks: int
    noise_percent: int
    behaviour: Behaviour
    players: int  # the first members of genesis are those whose payoff is counted
    period_blocks_min: int = 1
    coalition: frozenset[bytes] = frozenset()  # owners whose payoff is counted
    earned: int = 0  # of the coalition, in parts of FEES_PER_BLOCK scaled by MILLION
    pool: int = 0
    chain: Chain = field(init=False)

    def play(self) -> int:
        """Return the coalition's payoff after ten epochs."""
        chosen = replace(
            rules(self.epoch_blocks, lead=self.epoch_blocks // 20, interval=10**9),
            period_blocks_min=self.period_blocks_min,
        )
        self.chain = Chain(genesis(self.count, chosen))
        state = self.chain.state
        owners = [seat.owner for seat in state.seats]
        self.coalition = frozenset(owners[: self.players])
        deviants = frozenset(owners[index] for index in self.behaviour.members)
        for owner in deviants:
            for part in self.behaviour.services_off:
                state.register.by_owner[owner].services &= ~(1 << (part - TRADING))
        for height in range(1, EPOCHS * chosen.period_blocks + 1):
            self._step(height, deviants)
        return self.earned

    def _step(self, height: int, deviants: frozenset[bytes]) -> None:
        seats = self.chain.state.seats
        guilty = frozenset(i for i, seat in enumerate(seats) if seat.owner in deviants)
        services = self._services(guilty) if height % SERVICE_EVERY == 0 else ()
        skipped = guilty if self.behaviour.leaves_slots and height % 2 == 0 else frozenset()
        facts = self.chain.block(
            voters=lambda at, proposer: self._voters(at, proposer, guilty),
            absent=skipped,
            services=services,
            storage=self._storage(height, guilty),
        )
        lost = self.behaviour.empty_loss_percent if facts.proposer in guilty else 0
        self.pool += FEES_PER_BLOCK * (100 - lost) // 100 + self.behaviour.self_traded
        self.earned -= self.behaviour.self_traded
        if height % SHARE_EVERY == 0:
            self._share()

    def _voters(self, height: int, proposer: int, guilty: frozenset[int]) -> Iterable[int]:
        everyone = range(len(self.chain.state.seats))
        voters = {i for i in everyone if i == proposer or not self._is_late(height, i, guilty)}
        if self.behaviour.silent_to_others and proposer not in guilty:
            voters -= guilty
        quorum = compute_quorum(len(everyone))
        if self.behaviour.votes_withheld and proposer in guilty:
            spare = sorted(voters - guilty, key=lambda i: keccak256(bytes([height % 256, i])))
            while len(voters) > quorum and spare:
                voters.discard(spare.pop())
        rest = (i for i in everyone if i not in voters)
        while len(voters) < quorum:
            voters.add(next(rest))  # without a quorum there is no block: the proposer waits
        return voters

    def _is_late(self, height: int, index: int, guilty: frozenset[int]) -> bool:
        every = self.behaviour.late_every
        if every and index in guilty and height % every == 0:
            return True
        word = keccak256(b"%d %d" % (height, index))
        return int.from_bytes(word[:4], "big") % 100 < self.noise_percent

    def _services(self, guilty: frozenset[int]) -> tuple[ServiceFact, ...]:
        ignored = self.behaviour.services_ignored
        return tuple(
            ServiceFact(
                part=TRADING,
                hot_key=seat.hot_key,
                credit=0 if index in guilty and TRADING in ignored else CREDIT_ONE,
            )
            for index, seat in enumerate(self.chain.state.seats)
        )

    def _storage(self, height: int, guilty: frozenset[int]) -> tuple[StorageWord, ...]:
        """Return what is said about storage at the second height of each part."""
        chosen = self.chain.state.rules
        part = chosen.compute_part(height)
        if height < 2 or chosen.compute_part(height - 2) == part:
            return ()
        if chosen.compute_part(height - 1) != part:
            return ()
        words = []
        for index, seat in enumerate(self.chain.state.seats):
            kind = self.behaviour.storage if index in guilty else ""
            if STORAGE in self.behaviour.services_ignored and index in guilty:
                continue
            now, before = (_answer(at, kind) for at in (part, part - 1))
            words.append(
                StorageWord(
                    hot_key=seat.hot_key,
                    part=part,
                    commitment=compute_commitment(now, seat.owner),
                    answer=before,
                )
            )
        return tuple(words)

    def _share(self) -> None:
        state = self.chain.state
        owner_of = {seat.hot_key: seat.owner for seat in state.seats}
        table = state.pay_table()
        total = sum(part for _, part, _ in table)
        ours = sum(part for hot, part, _ in table if owner_of[hot] in self.coalition)
        self.earned += self.pool * VALIDATORS_PERCENT // 100 * ours // total
        self.pool = 0


def _answer(part: int, kind: str) -> bytes:
    """Return the answer that somebody has for the chunk of a part, who keeps it or does not.

    `copied`: the newest that others have shown; `made up`: what a coalition agreed on; `half`: true
    for every second chunk; `friend`: a friend tells it in time.
    """
    if kind == "copied":
        return keccak256(b"chunk %d" % (part - 1))
    if kind == "made up" or (kind == "half" and part % 2):
        return keccak256(b"nothing %d" % part)
    return keccak256(b"chunk %d" % part)


@cache
def play_honestly(count: int, epoch_blocks: int, noise_percent: int, *fixed: int) -> int:
    """Return what the same players earn who do not deviate."""
    return Run(count, epoch_blocks, noise_percent, HONEST, *fixed).play()


def compute_gain(
    behaviour: Behaviour,
    count: int,
    players: int,
    *,
    epoch_blocks: int,
    noise_percent: int,
    period_blocks_min: int = 1,
) -> int:
    """Return deviation minus honesty for the first `players` members, in millionths of all fees."""
    behaviour.members = frozenset(range(players))
    fixed = (players, period_blocks_min)
    honest = play_honestly(count, epoch_blocks, noise_percent, *fixed)
    run = Run(count, epoch_blocks, noise_percent, behaviour, *fixed)
    gain = run.play() - honest
    return gain * MILLION // (EPOCHS * run.chain.state.rules.period_blocks * FEES_PER_BLOCK)
