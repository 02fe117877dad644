"""Turn counted opportunities and credits into a score.

Rule: integers only, every division rounds down; the same counters give the same score on paper.
Spec: docs/explanation/participation.md. Deviations: a part is measured only where somebody of the
same standing had at least eight opportunities (ADR 0171).
"""

from __future__ import annotations

from collections.abc import Sequence

from consensus.participation.parameters import (
    CREDIT_ONE,
    DOWN_DIVISOR,
    KEPT_PERIODS_MAX,
    OPPORTUNITIES_MIN,
    POINTS,
    SCORE_ONE,
    UP_DIVISOR,
)


def compute_ratio(
    opportunities: int, credited: int, kept: int, kept_periods: int
) -> tuple[int, int]:
    """Return a part's ratio in millionths and for how many periods it was kept for want of any.

    A few opportunities prove nothing and are counted on, so the ratio before them stands.
    """
    if opportunities >= OPPORTUNITIES_MIN:
        return credited * SCORE_ONE // (opportunities * CREDIT_ONE), 0
    if opportunities:
        return kept, kept_periods
    if kept_periods >= KEPT_PERIODS_MAX:
        return 0, kept_periods
    return kept, kept_periods + 1


def compute_period_score(ratios: Sequence[int | None]) -> int | None:
    """Return half the weighted mean plus half the weakest part; None if nothing was measured.

    A ratio is None for a part that is left out.
    """
    measured = [(POINTS[part], ratio) for part, ratio in enumerate(ratios) if ratio is not None]
    if not measured:
        return None
    mean = sum(points * ratio for points, ratio in measured) // sum(p for p, _ in measured)
    return (mean + min(ratio for _, ratio in measured)) // 2


def compute_next_score(score: int, period_score: int) -> int:
    """Move the score a quarter of the way down or a sixteenth up, and never past the period's."""
    if period_score < score:
        return score - (score - period_score + DOWN_DIVISOR - 1) // DOWN_DIVISOR
    return score + (period_score - score + UP_DIVISOR - 1) // UP_DIVISOR
