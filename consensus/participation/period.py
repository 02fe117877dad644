"""Close a scoring period: from counters to ratios, period scores and scores.

Rule: validators are compared with those of the same standing: seat holders with seat holders,
observers with observers; a part that nobody of a standing could earn is left out there.
Spec: docs/spec/participation.md (Scores). Deviations: ADR 0171.
"""

from __future__ import annotations

from collections.abc import Sequence

from consensus.participation.facts import NO_KEY
from consensus.participation.parameters import (
    CREDIT_ONE,
    HEARTBEAT_SLOTS,
    OPPORTUNITIES_MIN,
    PRODUCTION,
    UPTIME,
)
from consensus.participation.register import PARTS, Validator
from consensus.participation.score import (
    compute_next_score,
    compute_period_score,
    compute_ratio,
)


def close_period(validators: Sequence[Validator]) -> None:
    """Give everyone the period's score, move the scores and begin the next period."""
    for validator in validators:
        if not validator.was_seated:
            _count_heartbeats(validator)
    for standing in (True, False):
        group = [one for one in validators if one.was_seated is standing]
        mask = compute_measured_parts(group)
        for validator in group:
            _score(validator, mask)
    for validator in validators:
        _begin(validator)


def compute_measured_parts(group: Sequence[Validator]) -> int:
    """Return the bit mask of parts in which somebody had enough opportunities."""
    return sum(
        1 << part
        for part in range(PARTS)
        if any(one.opportunities[part] >= OPPORTUNITIES_MIN for one in group)
    )


def _count_heartbeats(observer: Validator) -> None:
    """Observers have no votes: their uptime is a heartbeat in each part since they came."""
    observer.opportunities[PRODUCTION] = observer.credits[PRODUCTION] = 0
    observer.opportunities[UPTIME] = HEARTBEAT_SLOTS - observer.slots_before
    beats = observer.heartbeat_slots >> observer.slots_before
    observer.credits[UPTIME] = beats.bit_count() * CREDIT_ONE


def _score(validator: Validator, mask: int) -> None:
    measured: list[int | None] = [None] * PARTS
    for part in range(PARTS):
        if not mask >> part & 1:
            continue
        measured[part] = _measure(validator, part)
    validator.measured = sum(1 << part for part in range(PARTS) if measured[part] is not None)
    period = compute_period_score(measured)
    if period is not None and not validator.is_convicted:
        validator.period_score = period
        validator.score = compute_next_score(validator.score, period)


def _measure(validator: Validator, part: int) -> int | None:
    """Return a part's ratio; None for one that is offered and was never proven."""
    opportunities, ratio = validator.opportunities[part], 0
    if validator.offers(part):
        if opportunities < OPPORTUNITIES_MIN and not validator.proven >> part & 1:
            return None
        ratio, validator.kept_periods[part] = compute_ratio(
            opportunities,
            validator.credits[part],
            validator.ratios[part],
            validator.kept_periods[part],
        )
    validator.proven |= 1 << part
    validator.ratios[part] = ratio
    return ratio


def _begin(validator: Validator) -> None:
    if validator.hot_key != validator.convicted_key and not validator.was_seated:
        validator.convicted_key = NO_KEY
    if validator.was_seated and not validator.jailed_until_ms and validator.jail_count:
        validator.jail_count -= 1  # a period served without fault is forgotten time
    for part in range(PARTS):
        is_duty = part not in (PRODUCTION, UPTIME) or validator.was_seated
        if not is_duty or validator.opportunities[part] >= OPPORTUNITIES_MIN:
            validator.opportunities[part] = validator.credits[part] = 0
    validator.heartbeat_slots = validator.slots_before = 0
    validator.was_seated = False
