"""Keep what is known of every registered validator, by its owner.

Rule: a registration changes only what the registry contract decides; scores, votes and jail change
only through final blocks.
Spec: docs/spec/participation.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from consensus.participation.facts import NO_KEY, ZERO32, Registration
from consensus.participation.parameters import (
    GENESIS_SCORE,
    NEWCOMER_SCORE,
    POINTS,
    SERVICE_BITS,
    STORAGE,
    VALIDATORS_MAX,
    Rules,
)

PARTS = len(POINTS)


def _zeros() -> list[int]:
    return [0] * PARTS


@dataclass(slots=True, kw_only=True)
class Validator:
    """One registration and its record."""

    owner: bytes
    hot_key: bytes
    payout: bytes
    network_key: bytes
    services: int
    stake: int
    is_leaving: bool
    score: int = NEWCOMER_SCORE  # with memory
    period_score: int = 0  # of the last closed period; rewards go by it
    convicted_key: bytes = NO_KEY  # the key that signed conflicting votes
    jailed_until_ms: int = 0  # end of the term; 0 when free
    jail_count: int = 0
    opportunities: list[int] = field(default_factory=_zeros)  # per part in the open period
    credits: list[int] = field(default_factory=_zeros)
    ratios: list[int] = field(default_factory=_zeros)  # per part, of the last closed period
    kept_periods: list[int] = field(default_factory=_zeros)
    measured: int = 0  # bit mask of the parts that the last closed period counted
    proven: int = 0  # bit mask of the parts that ever had a ratio
    was_seated: bool = False  # held a seat in the open period
    heartbeat_slots: int = 0  # bit mask: heartbeats of the open period
    heartbeat_height: int = 0  # of the newest heartbeat
    slots_before: int = 0  # parts of the open period that began before it registered
    storage_owed: int = 0  # bit mask: commitment in the open part, answer for the one before
    commitment: bytes = ZERO32  # of the open part, to what a chunk of a snapshot answers
    commitment_before: bytes = ZERO32  # of the part before; its answer is shown now
    answer: bytes = ZERO32  # that was shown for it
    votes: int = 0  # bit per height, the newest lowest: voted or not
    vote_heights: int = 0  # heights in `votes`
    missed_in_row: int = 0  # leader slots since the last block

    @property
    def is_convicted(self) -> bool:
        """True from a conviction until a period without a seat under a new key has passed."""
        return self.convicted_key != NO_KEY

    def offers(self, part: int) -> bool:
        """True when the validator has taken on what a part measures."""
        bit = SERVICE_BITS[part]
        return bit == 0 or bool(self.services & bit)

    def is_bonded(self, rules: Rules) -> bool:
        """True while it serves with enough stake."""
        return not self.is_leaving and self.stake >= rules.bond_min

    def forget_votes(self) -> None:
        """Begin a new vote record, for a validator without a seat has none."""
        self.votes = self.vote_heights = self.missed_in_row = 0


class Register:
    """The validators by owner, and who signs with which key."""

    def __init__(self) -> None:
        self.by_owner: dict[bytes, Validator] = {}
        self._owner_of: dict[bytes, bytes] = {}

    @property
    def hot_keys(self) -> Container[bytes]:
        """The keys that validators sign with now."""
        return self._owner_of.keys()

    def find_by_key(self, hot_key: bytes) -> Validator | None:
        """Return the validator that signs with a key now."""
        owner = self._owner_of.get(hot_key)
        return None if owner is None else self.by_owner[owner]

    def add(self, validator: Validator) -> None:
        """Take in a validator that is not known yet."""
        assert validator.owner not in self.by_owner, "an owner is registered once"
        self.by_owner[validator.owner] = validator
        self._owner_of[validator.hot_key] = validator.owner

    def apply(
        self,
        event: Registration,
        newcomer_score: int = NEWCOMER_SCORE,
        *,
        slots_before: int = 0,
    ) -> None:
        """Take over what the contract says; newcomers begin with a score.

        `slots_before` is how many parts of the open period began before the event.
        """
        known = self.by_owner.get(event.owner)
        if event.hot_key == NO_KEY:
            if known is not None:
                self._remove(known)
            return
        holder = self._owner_of.get(event.hot_key)
        if holder is not None and holder != event.owner:
            return  # the contract gives a key to one owner only, so this is no event of it
        if known is None:
            if len(self.by_owner) < VALIDATORS_MAX:
                self.add(_newcomer(event, newcomer_score, slots_before))
            return
        if known.hot_key != event.hot_key:
            self._change_key(known, event.hot_key)
        known.payout = event.payout
        known.network_key = event.network_key
        known.services = event.services
        known.stake = event.stake
        known.is_leaving = event.is_leaving

    def _change_key(self, validator: Validator, hot_key: bytes) -> None:
        del self._owner_of[validator.hot_key]
        self._owner_of[hot_key] = validator.owner
        validator.hot_key = hot_key

    def _remove(self, validator: Validator) -> None:
        del self.by_owner[validator.owner]
        del self._owner_of[validator.hot_key]


def _newcomer(event: Registration, score: int, slots_before: int) -> Validator:
    return Validator(
        owner=event.owner,
        hot_key=event.hot_key,
        payout=event.payout,
        network_key=event.network_key,
        services=event.services,
        stake=event.stake,
        is_leaving=event.is_leaving,
        score=score,
        slots_before=slots_before,
    )


def make_genesis_validator(registration: Registration) -> Validator:
    """Return a member of genesis: it holds a seat and begins with what a seat requires."""
    return Validator(
        owner=registration.owner,
        hot_key=registration.hot_key,
        payout=registration.payout,
        network_key=registration.network_key,
        services=registration.services,
        stake=registration.stake,
        is_leaving=registration.is_leaving,
        score=GENESIS_SCORE,
        period_score=GENESIS_SCORE,
        was_seated=True,
        storage_owed=int(bool(registration.services & SERVICE_BITS[STORAGE])),
    )
