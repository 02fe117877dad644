"""Introduce consensus' score to the exchange's ledger: facts from blocks in, pay table out.

Rule: the facts of a block are its header, attendance and evidence and the notes that executing the
block before it left; they are added before the block is executed.
Spec: docs/spec/participation.md (Facts). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from consensus.block import Block
from consensus.committee import Committee
from consensus.leader import compute_slots
from consensus.participation.accumulator import Participation, PayRow
from consensus.participation.facts import (
    BlockFacts,
    Registration,
    ServiceFact,
    StorageWord,
    compute_missed_leaders,
)
from consensus.participation.parameters import CREDIT_ONE, SCORE_ONE, TRADING, Rules
from consensus.participation.register import Validator
from consensus.participation.selection import make_committee
from exchange.operations import RegistryEvent, decode_amount
from exchange.outcome import Notes
from node.network_file import NetworkFile

NO_NETWORK_KEY = bytes(32)


class Scorekeeper:
    """The participation state of this node, and who led which view of the epoch in execution."""

    def __init__(self, participation: Participation) -> None:
        self.participation = participation
        self._slots: tuple[int, Sequence[int]] = (0, ())  # (epoch, leaders by view)

    def add_block(self, block: Block, notes: Notes) -> None:
        """Add the next final block before it is executed; `notes` are of the one before."""
        slots = self._get_slots(block.header.epoch)
        self.participation.on_block(make_facts(block, notes, slots, self._trading_seats()))

    def committee_after(self, border: int) -> Committee | None:
        """Return the committee that takes over after a border height.

        None before its selection was executed here, and for borders of past epochs.
        """
        state = self.participation
        if state.height < border:
            near = border - state.height < state.rules.epoch_blocks
            return self.next_committee if near else None
        if state.height - border < state.rules.epoch_blocks:
            return make_committee(state.seats)
        return None

    @property
    def digest(self) -> bytes:
        """What the state root of the block commits to."""
        return self.participation.digest

    @property
    def next_committee(self) -> Committee | None:
        """Who takes over at the coming border, known from the selection height on."""
        chosen = self.participation.next_seats
        return None if chosen is None else make_committee(chosen)

    @property
    def committee(self) -> tuple[PayRow, ...]:
        """Who is in office: (hot key, weight, payout)."""
        return self.participation.committee_table()

    @property
    def pay(self) -> tuple[PayRow, ...]:
        """Who shares the fees: (hot key, weight × period score, payout)."""
        return self.participation.pay_table()

    @property
    def registered(self) -> Container[bytes]:
        """The hot keys that may send heartbeats."""
        return self.participation.register.hot_keys

    @property
    def points(self) -> dict[bytes, int]:
        """Scores of the committee in office by hot key, 0–100, rounded down."""
        by_owner = self.participation.register.by_owner
        return {
            seat.hot_key: by_owner[seat.owner].score * 100 // SCORE_ONE
            for seat in self.participation.seats
            if seat.owner in by_owner
        }

    def get_parts(self, hot_key: bytes) -> tuple[int | None, ...]:
        """Return a validator's ratios of the last closed period in percent, None for left out."""
        found = self.find(hot_key)
        if found is None:
            return ()
        ratios = enumerate(found.ratios)
        return tuple(
            r * 100 // SCORE_ONE if found.measured >> part & 1 else None for part, r in ratios
        )

    def find(self, address: bytes) -> Validator | None:
        """Return a validator by its hot key or its owner."""
        register = self.participation.register
        return register.find_by_key(address) or register.by_owner.get(address)

    def _get_slots(self, epoch: int) -> Sequence[int]:
        if self._slots[0] != epoch:
            committee = make_committee(self.participation.seats)
            self._slots = (epoch, compute_slots(committee, self.participation.seed))
        return self._slots[1]

    def _trading_seats(self) -> tuple[bytes, ...]:
        by_owner = self.participation.register.by_owner
        return tuple(
            seat.hot_key
            for seat in self.participation.seats
            if seat.owner in by_owner and by_owner[seat.owner].offers(TRADING)
        )


def make_scorekeeper(network: NetworkFile) -> Scorekeeper:
    """Return the scores of genesis."""
    return Scorekeeper(make_participation(network))


def make_participation(network: NetworkFile) -> Participation:
    """Return the participation state of genesis."""
    scoring = network.scoring
    rules = Rules(
        epoch_blocks=scoring.period_blocks,
        selection_lead=scoring.lead_blocks,
        checkpoint_interval=network.checkpoint_interval,
        bond_min=scoring.bond_min_atoms,
        bond_cap=scoring.bond_cap_atoms,
        newcomer_score=scoring.newcomer_points * SCORE_ONE // 100,
        is_fixed=not scoring.rotates,
        jail_first_ms=scoring.jail_first_ms,
    )
    return Participation(rules, make_members(network), genesis_hash=network.genesis_hash)


def make_members(network: NetworkFile) -> tuple[tuple[Registration, int], ...]:
    """Return the committee of genesis with weights, bonded as the least bond."""
    return tuple(
        (
            Registration(
                owner=seat.owner_bytes,
                hot_key=seat.address_bytes,
                payout=seat.payout_bytes,
                network_key=NO_NETWORK_KEY,
                services=seat.services,
                stake=network.scoring.bond_min_atoms,
                is_leaving=False,
            ),
            seat.weight,
        )
        for seat in network.committee
    )


def make_facts(
    block: Block, notes: Notes, slots: Sequence[int], trading: Sequence[bytes]
) -> BlockFacts:
    """Return the facts of a final block; `trading` are the hot keys that owe attestations."""
    header, attendance = block.header, block.body.attendance
    return BlockFacts(
        height=header.height,
        time_ms=header.time_ms,
        block_hash=block.hash,
        proposer=header.proposer,
        missed=compute_missed_leaders(slots, header.parent_view, header.view),
        attendance=None if attendance is None else attendance.signers,
        convicted=tuple(one.offender for one in block.body.evidence),
        registry=tuple(make_registration(event) for event in notes.registry),
        services=tuple(
            ServiceFact(
                part=TRADING,
                hot_key=hot_key,
                credit=CREDIT_ONE if hot_key in window.attesters else 0,
            )
            for window in notes.windows
            for hot_key in trading
        ),
        heartbeats=notes.heartbeats,
        storage=tuple(
            StorageWord(
                hot_key=note.hot_key,
                part=note.part,
                commitment=note.commitment,
                answer=note.answer,
            )
            for note in notes.storage
        ),
    )


def make_registration(event: RegistryEvent) -> Registration:
    """Return what a registry event says of its validator."""
    return Registration(
        owner=event.owner,
        hot_key=event.hot_key,
        payout=event.payout,
        network_key=event.network_key,
        services=event.services,
        stake=decode_amount(event.stake),
        is_leaving=event.exiting,
    )
