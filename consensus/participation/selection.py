"""Choose the next committee from the register and the committee in office.

Rule: a pure function of scores, bonds and seats. At one border at most a tenth of the weight, or
one seat, changes hands; only a conviction is faster.
Spec: docs/spec/participation.md (Selection). Deviations: no limit per network prefix, for no final
block names addresses of the network (ADR 0172).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consensus.committee import Committee, Member
from consensus.limits import COMMITTEE_MAX
from consensus.participation.parameters import (
    MOVE_PERCENT_MAX,
    SCORE_ONE,
    SEAT_SCORE,
    SEATS_MIN,
    SHARE_CAP_PERCENT,
    TOTAL_WEIGHT,
    Rules,
)
from consensus.participation.register import Validator

STEPS = 1_000  # into which the way to the target weights is divided


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A seat of one epoch: who holds it, the key it votes with and its weight."""

    owner: bytes
    hot_key: bytes
    weight: int


def make_committee(seats: Sequence[Seat]) -> Committee:
    """Return the committee that consensus works with; indices are those of the seats."""
    return Committee(tuple(Member(address=seat.hot_key, weight=seat.weight) for seat in seats))


def select_next_committee(
    validators: Mapping[bytes, Validator], seats: Sequence[Seat], rules: Rules, height: int = 0
) -> tuple[Seat, ...]:
    """Return the seats of the next epoch, heaviest first; never empty if `seats` is not.

    `validators` is by owner. Whoever has no seat gets one only with a heartbeat of the last epoch
    before `height`: a seat for a node that is off costs everybody else time. Should every member be
    convicted at once and nobody be eligible, the committee stays as it is: such a chain has lost
    its quorum and needs its people.
    """
    seated, oldest = {seat.owner for seat in seats}, max(0, height - rules.epoch_blocks)
    merit = {
        owner: weight
        for owner, one in validators.items()
        if (owner in seated or one.heartbeat_height > oldest)
        and is_eligible(one, rules)
        and (weight := compute_merit(one, rules))
    }
    wanted = sorted(merit, key=lambda owner: (-merit[owner], owner))[:COMMITTEE_MAX]
    base = _share_out({s.owner: s.weight for s in seats if _may_stay(validators, s.owner)})
    limit = compute_move_limit(base)
    weights = _weigh(base, wanted, merit, _let_leave(base, wanted, limit))
    if len(weights) < min(SEATS_MIN, len(base)):
        weights = _weigh(base, wanted, merit, ())
    if not weights:
        return tuple(seats)
    return tuple(
        Seat(owner=owner, hot_key=validators[owner].hot_key, weight=weights[owner])
        for owner in sorted(weights, key=lambda owner: (-weights[owner], owner))
    )


def is_eligible(validator: Validator, rules: Rules) -> bool:
    """True for whoever may take a seat."""
    return (
        validator.is_bonded(rules)
        and not validator.is_convicted
        and validator.jailed_until_ms == 0
        and validator.score >= SEAT_SCORE
    )


def compute_merit(validator: Validator, rules: Rules) -> int:
    """Return score² × capped bond, in parts of the smallest bond."""
    bond = min(validator.stake, rules.bond_cap)
    return validator.score**2 * bond // (rules.bond_min * SCORE_ONE)


def compute_move_limit(weights: Mapping[bytes, int]) -> int:
    """Return how much weight may change hands: a tenth of all, or the largest seat."""
    if not weights:
        return TOTAL_WEIGHT
    return max(sum(weights.values()) * MOVE_PERCENT_MAX // 100, max(weights.values()))


def water_fill(merit: Mapping[bytes, int]) -> dict[bytes, int]:
    """Share out the weight by merit, nobody above max(2 %, 1/n); the rest goes to the others."""
    cap = max(TOTAL_WEIGHT * SHARE_CAP_PERCENT // 100, TOTAL_WEIGHT // len(merit))
    weights: dict[bytes, int] = {}
    free = dict(merit)
    while free:
        left = TOTAL_WEIGHT - cap * len(weights)
        total = sum(free.values())
        full = [owner for owner, one in free.items() if one * left >= cap * total]
        if not full:
            weights |= {owner: max(one * left // total, 1) for owner, one in free.items()}
            break
        for owner in full:
            weights[owner] = cap
            del free[owner]
    return weights


def _may_stay(validators: Mapping[bytes, Validator], owner: bytes) -> bool:
    known = validators.get(owner)
    return known is not None and not known.is_convicted


def _share_out(weights: Mapping[bytes, int]) -> dict[bytes, int]:
    """Scale weights to the common total."""
    total = sum(weights.values())
    return {owner: max(one * TOTAL_WEIGHT // total, 1) for owner, one in weights.items()}


def _let_leave(base: Mapping[bytes, int], wanted: Sequence[bytes], limit: int) -> tuple[bytes, ...]:
    """Return who leaves: the lightest first, while the limit and newcomers allow."""
    kept = set(wanted)
    leaving = sorted((o for o in base if o not in kept), key=lambda o: (base[o], o))
    newcomers = sum(1 for owner in wanted if owner not in base)
    spare = len(base) + newcomers - min(SEATS_MIN, len(base))
    left = count = 0
    for owner in leaving[:spare]:
        left += base[owner]
        if left > limit:
            break
        count += 1
    return tuple(leaving[:count])


def _weigh(
    base: Mapping[bytes, int],
    wanted: Sequence[bytes],
    merit: Mapping[bytes, int],
    leaving: Sequence[bytes],
) -> dict[bytes, int]:
    """Return the weights after these leave and the best newcomers enter; empty if nobody is left.

    The way from the weights in office to those earned is gone as far as the limit allows.
    """
    limit = compute_move_limit(base)
    gone = set(leaving)
    staying = {owner: weight for owner, weight in base.items() if owner not in gone}
    members = [*staying, *_let_enter(len(staying), [o for o in wanted if o not in base], limit)]
    if not members:
        return {}
    target = water_fill({owner: merit.get(owner, 1) for owner in members})
    if not staying or compute_moved(base, target) <= limit:
        return target
    start = _share_out(staying)
    low, high = 0, STEPS
    while high - low > 1:
        middle = (low + high) // 2
        if compute_moved(base, _mix(start, target, middle)) <= limit:
            low = middle
        else:
            high = middle
    return _mix(start, target, low)


def _let_enter(staying: int, entrants: Sequence[bytes], limit: int) -> Sequence[bytes]:
    """Return the best newcomers: one, or as many as share no more weight than may move."""
    room = min(COMMITTEE_MAX - staying, len(entrants))
    count = min(room, 1)
    while count < room and (count + 1) * TOTAL_WEIGHT // (staying + count + 1) <= limit:
        count += 1
    return entrants[:count]


def _mix(start: Mapping[bytes, int], target: Mapping[bytes, int], step: int) -> dict[bytes, int]:
    """Return the weights after so many steps of the way; who has none yet is left out."""
    mixed = {
        owner: (start.get(owner, 0) * (STEPS - step) + weight * step) // STEPS
        for owner, weight in target.items()
    }
    return {owner: weight for owner, weight in mixed.items() if weight > 0}


def compute_moved(before: Mapping[bytes, int], after: Mapping[bytes, int]) -> int:
    """Return the weight that changes hands: the larger of all gains and all losses."""
    owners = sorted(before.keys() | after.keys())
    changes = [after.get(owner, 0) - before.get(owner, 0) for owner in owners]
    gained = sum(change for change in changes if change > 0)
    return max(gained, -sum(change for change in changes if change < 0))
