"""Show a validator's participation as the API presents it.

Rule: pure; numbers are copied, never recomputed, but for the share of pay.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from consensus.participation.accumulator import Participation
from consensus.participation.facts import ZERO32
from consensus.participation.parameters import PART_NAMES, POINTS, SCORE_ONE, Rules
from consensus.participation.register import Validator
from node.api.score_views import ScorePart, StorageQuestion, ValidatorScore


def make_score(state: Participation, one: Validator) -> ValidatorScore:
    """Return everything that decides the validator's seat and share."""
    seat = next((i for i, s in enumerate(state.seats) if s.owner == one.owner), None)
    weight = 0 if seat is None else state.seats[seat].weight
    total = sum(part for _, part, _ in state.pay_table())
    return ValidatorScore(
        owner=one.owner,
        address=one.hot_key,
        payout=one.payout,
        network_key=one.network_key,
        stake=one.stake,
        seat=seat,
        weight=weight,
        score=one.score,
        period_score=one.period_score,
        pay_share=weight * one.period_score * SCORE_ONE // total if total else 0,
        votes=one.votes.bit_count(),
        votes_possible=one.vote_heights,
        missed_slots_in_row=one.missed_in_row,
        jailed_until_ms=one.jailed_until_ms,
        jail_count=one.jail_count,
        is_convicted=one.is_convicted,
        is_leaving=one.is_leaving,
        period_ends_height=compute_period_end(state.rules, state.height),
        parts=tuple(_make_part(one, part) for part in range(len(POINTS))),
        storage=_make_question(state, one),
    )


def compute_period_end(rules: Rules, height: int) -> int:
    """Return the next height at which scores close."""
    return height + rules.period_blocks - (height + rules.selection_lead) % rules.period_blocks


def _make_question(state: Participation, one: Validator) -> StorageQuestion:
    draw = state.draw
    return StorageQuestion(
        part=state.rules.compute_part(state.height + 1),
        drawn_height=draw.height,
        drawn_hash=draw.block_hash,
        snapshot_height=draw.snapshot_height(state.rules.checkpoint_interval),
        is_committed=one.commitment != ZERO32,
        is_answered=one.answer != ZERO32,
    )


def _make_part(one: Validator, part: int) -> ScorePart:
    return ScorePart(
        name=PART_NAMES[part],
        points=POINTS[part],
        is_offered=one.offers(part),
        opportunities=one.opportunities[part],
        credits=one.credits[part],
        ratio=one.ratios[part] if one.measured >> part & 1 else None,
    )
