"""Take a seat from whoever is away, and let him come back by a signed heartbeat.

Rule: being away costs the seat and rewards, never stake; power cuts are no crime.
Spec: docs/spec/participation.md (Jail). Deviations: none.
"""

from __future__ import annotations

from consensus.participation.parameters import (
    JAIL_DOUBLINGS_MAX,
    JAIL_HEIGHTS_MIN,
    JAIL_MS_MAX,
    JAIL_SLOT_VOTES_PERCENT,
    JAIL_SLOTS,
    JAIL_VOTES_PERCENT,
    JAILED_SCORE,
    VOTE_WINDOW_HEIGHTS,
)
from consensus.participation.register import Validator

_WINDOW = (1 << VOTE_WINDOW_HEIGHTS) - 1


def note_vote(validator: Validator, voted: bool) -> None:
    """Add one height to the record of votes, dropping the oldest."""
    validator.votes = (validator.votes << 1 | voted) & _WINDOW
    validator.vote_heights = min(validator.vote_heights + 1, VOTE_WINDOW_HEIGHTS)


def check_jail(validator: Validator, now_ms: int, first_ms: int) -> None:
    """Jail a seat holder who votes or leads too rarely; he is out at the next border.

    The first term lasts `first_ms`, every further one twice as long as the one before.
    """
    if validator.jailed_until_ms or not _is_away(validator):
        return
    term_ms = first_ms << min(validator.jail_count, JAIL_DOUBLINGS_MAX)
    validator.jailed_until_ms = now_ms + min(term_ms, JAIL_MS_MAX)
    validator.jail_count += 1
    validator.score = min(validator.score, JAILED_SCORE)


def _is_away(validator: Validator) -> bool:
    heights = validator.vote_heights
    votes = validator.votes.bit_count()
    if heights == VOTE_WINDOW_HEIGHTS and votes * 100 < heights * JAIL_VOTES_PERCENT:
        return True
    if heights < JAIL_HEIGHTS_MIN or validator.missed_in_row < JAIL_SLOTS:
        return False
    return votes * 100 < heights * JAIL_SLOT_VOTES_PERCENT


def process_heartbeat(validator: Validator, slot: int, height: int, now_ms: int) -> None:
    """Count a heartbeat in its slot; free the validator whose term is over."""
    validator.heartbeat_slots |= 1 << slot
    validator.heartbeat_height = height
    if validator.jailed_until_ms and now_ms >= validator.jailed_until_ms:
        validator.jailed_until_ms = 0
        validator.forget_votes()
