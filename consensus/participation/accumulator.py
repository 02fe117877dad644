"""Add final blocks up to scores, jail terms, the next committee and the pay table.

Rule: a pure function of genesis and the facts of every block in order; replicas that executed the
same blocks hold the same bytes and the same digest.
Spec: docs/spec/participation.md. Deviations: votes count only in the parent's certificate, there is
no place for later ones in a block (ADR 0170).
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.limits import SEED_LAG_HEIGHTS
from consensus.participation.dump import Parts, dump_parts, load_parts
from consensus.participation.facts import ZERO32, BlockFacts, Registration, hash_facts
from consensus.participation.jail import check_jail, note_vote, process_heartbeat
from consensus.participation.parameters import (
    CREDIT_ONE,
    PRODUCTION,
    UPTIME,
    Rules,
)
from consensus.participation.period import close_period
from consensus.participation.register import Register, Validator, make_genesis_validator
from consensus.participation.selection import Seat, select_next_committee
from consensus.participation.storage_part import Draw, close_part, find_truth, note_word
from consensus.seed import compute_genesis_seed, compute_next_seed
from primitives.keccak import keccak256

PayRow = tuple[bytes, int, bytes]
"""(hot address, weight × period score, payout address)."""


class Participation:
    """The participation state after block `height`; height 0 is genesis."""

    def __init__(
        self,
        rules: Rules,
        members: Iterable[tuple[Registration, int]],
        *,
        genesis_hash: bytes = ZERO32,
    ) -> None:
        """Begin with the genesis members and their weights, in committee order."""
        self.rules = rules
        self.height = 0
        self.seed = compute_genesis_seed(genesis_hash)  # of the epoch's leader slots
        self.seed_hash = genesis_hash  # of the newest block that seeds an epoch
        self.register = Register()
        seats = []
        for registration, weight in members:
            self.register.add(make_genesis_validator(registration))
            seats.append(
                Seat(owner=registration.owner, hot_key=registration.hot_key, weight=weight)
            )
        self.seats: tuple[Seat, ...] = tuple(seats)
        self.next_seats: tuple[Seat, ...] | None = None
        self.draw = Draw()  # of the open part: which chunk of a snapshot is asked for
        self.draw_before = Draw()  # of the part whose answers are shown now
        self.facts_word = ZERO32
        self.state_word = keccak256(self.dump())

    @property
    def seed_height(self) -> int:
        """The newest height so far whose block seeds an epoch; 0 is genesis."""
        lag = min(SEED_LAG_HEIGHTS, self.rules.epoch_blocks)
        whole = (self.height + lag) // self.rules.epoch_blocks * self.rules.epoch_blocks
        return max(0, whole - lag)

    @property
    def digest(self) -> bytes:
        """The 32 bytes that the state root of the block commits to."""
        return keccak256(self.facts_word + self.state_word)

    def on_block(self, facts: BlockFacts) -> None:
        """Add the facts of the next final block."""
        assert facts.height == self.height + 1, "blocks are added in order, once"
        assert facts.proposer < len(self.seats), "the proposer sits in the committee"
        self.height = facts.height
        self._note_slots(facts)
        self._note_votes(facts)
        for index in facts.convicted:
            self._convict(index)
        self._note_services(facts)
        slot = self.rules.compute_heartbeat_slot(facts.height)
        for event in facts.registry:
            self.register.apply(event, self.rules.newcomer_score, slots_before=slot + 1)
        for hot_key in facts.heartbeats:
            validator = self._find(hot_key)
            if validator is not None:
                process_heartbeat(validator, slot, facts.height, facts.time_ms)
        part = self.rules.compute_part(facts.height)
        for word in facts.storage:
            validator = self._find(word.hot_key)
            if validator is not None:
                note_word(validator, word, part)
        self._pass_height(facts.block_hash)
        self.facts_word = hash_facts(self.facts_word, facts)
        if self.height % self.rules.checkpoint_interval == 0:
            self.state_word = keccak256(self.dump())

    def pay_table(self) -> tuple[PayRow, ...]:
        """Return what everyone in office earns by: weight × score of the last closed period."""
        rows = []
        for seat in self.seats:
            holder = self.register.by_owner.get(seat.owner)
            if holder is not None:
                rows.append((seat.hot_key, seat.weight * holder.period_score, holder.payout))
        return tuple(rows)

    def committee_table(self) -> tuple[PayRow, ...]:
        """Return the committee in office with payout addresses, weights as they vote."""
        by_owner = self.register.by_owner
        return tuple(
            (seat.hot_key, seat.weight, by_owner[seat.owner].payout)
            for seat in self.seats
            if seat.owner in by_owner
        )

    def dump(self) -> bytes:
        """Return the whole state as canonical bytes. `load` restores it."""
        return dump_parts(
            Parts(
                height=self.height,
                facts_word=self.facts_word,
                seed=self.seed,
                seed_hash=self.seed_hash,
                seats=self.seats,
                next_seats=self.next_seats,
                draws=(self.draw_before, self.draw),
                validators=tuple(self.register.by_owner.values()),
            )
        )

    @classmethod
    def load(cls, rules: Rules, data: bytes, digest: bytes) -> Participation:
        """Restore a dump made at a checkpoint height whose digest a final state root commits to.

        Raises InvalidMessage for bytes that are no dump or not the one of the digest.
        """
        parts = load_parts(data, digest)
        state = cls(rules, ())
        state.height = parts.height
        state.seats = parts.seats
        state.next_seats = parts.next_seats
        state.draw_before, state.draw = parts.draws
        state.facts_word = parts.facts_word
        state.seed, state.seed_hash = parts.seed, parts.seed_hash
        for validator in parts.validators:
            state.register.add(validator)
        state.state_word = keccak256(data)
        return state

    def _note_slots(self, facts: BlockFacts) -> None:
        for index in facts.missed:
            holder = self._holder(index)
            if holder is not None:
                holder.opportunities[PRODUCTION] += 1
                holder.missed_in_row += 1
                check_jail(holder, facts.time_ms, self.rules.jail_first_ms)
        proposer = self._holder(facts.proposer)
        if proposer is not None:
            proposer.opportunities[PRODUCTION] += 1
            proposer.credits[PRODUCTION] += self._compute_production_credit(facts)
            proposer.missed_in_row = 0

    def _compute_production_credit(self, facts: BlockFacts) -> int:
        """The share of the weight whose votes for the parent the final block brings along."""
        if facts.attendance is None:
            return CREDIT_ONE
        brought = sum(self.seats[index].weight for index in facts.attendance)
        total = sum(seat.weight for seat in self.seats)
        return CREDIT_ONE * brought // total

    def _note_votes(self, facts: BlockFacts) -> None:
        if facts.attendance is None:
            return
        voted = frozenset(facts.attendance)
        for index in range(len(self.seats)):
            holder = self._holder(index)
            if holder is None:
                continue
            holder.was_seated = True
            holder.opportunities[UPTIME] += 1
            note_vote(holder, index in voted)
            if index in voted:
                holder.credits[UPTIME] += CREDIT_ONE
            else:
                check_jail(holder, facts.time_ms, self.rules.jail_first_ms)

    def _convict(self, index: int) -> None:
        holder = self._holder(index)
        if holder is not None:
            holder.convicted_key = self.seats[index].hot_key
            holder.score = holder.period_score = 0

    def _note_services(self, facts: BlockFacts) -> None:
        for fact in facts.services:
            validator = self._find(fact.hot_key)
            if validator is not None and validator.offers(fact.part):
                validator.opportunities[fact.part] += 1
                validator.credits[fact.part] += fact.credit

    def _pass_height(self, block_hash: bytes) -> None:
        """Do what the height is for: ask about storage, close the period, choose, hand over."""
        if self.rules.is_part_end(self.height):
            by_owner = self.register.by_owner
            close_part(by_owner.values(), find_truth(self.seats, by_owner))
            self.draw_before = self.draw
            self.draw = Draw(height=self.height, block_hash=block_hash)
        if self.rules.is_close(self.height):
            close_period(tuple(self.register.by_owner.values()))
        if self.rules.is_fixed:
            return
        if self.rules.is_selection(self.height):
            self.next_seats = select_next_committee(
                self.register.by_owner, self.seats, self.rules, self.height
            )
        if self.rules.is_border(self.height) and self.next_seats is not None:
            remaining = {seat.owner for seat in self.next_seats}
            for seat in self.seats:
                holder = self.register.by_owner.get(seat.owner)
                if holder is not None and seat.owner not in remaining:
                    holder.forget_votes()
            self.seats, self.next_seats = self.next_seats, None
            self.seed = compute_next_seed(self.seed, self.seed_hash)
        if self.rules.is_seed(self.height):
            self.seed_hash = block_hash

    def _holder(self, index: int) -> Validator | None:
        return self.register.by_owner.get(self.seats[index].owner)

    def _find(self, hot_key: bytes) -> Validator | None:
        """Return who signs with a key, be it the one of a seat that was rotated since."""
        found = self.register.find_by_key(hot_key)
        if found is not None:
            return found
        for seat in self.seats:
            if seat.hot_key == hot_key:
                return self.register.by_owner.get(seat.owner)
        return None
