"""Facts about ratios, period scores and the memory of the score."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from consensus.participation.parameters import (
    CREDIT_ONE,
    KEPT_PERIODS_MAX,
    POINTS,
    SCORE_ONE,
)
from consensus.participation.score import (
    compute_next_score,
    compute_period_score,
    compute_ratio,
)

SCORES = st.integers(0, SCORE_ONE)


def test_the_parts_are_a_hundred_points():
    assert POINTS == (30, 25, 20, 15, 10)
    assert sum(POINTS) == 100


def test_a_ratio_is_credits_by_opportunities():
    assert compute_ratio(8, 6_000, 0, 2) == (750_000, 0)
    assert compute_ratio(3, 1_000 * 3 - 1_000, 0, 0) == (0, 0), "too few prove nothing"


def test_no_opportunity_keeps_the_last_ratio_for_three_periods_then_nothing():
    kept, periods = 900_000, 0
    for _ in range(KEPT_PERIODS_MAX):
        kept, periods = compute_ratio(0, 0, kept, periods)
        assert kept == 900_000
    assert compute_ratio(0, 0, kept, periods) == (0, KEPT_PERIODS_MAX)


def test_a_period_score_is_half_the_mean_and_half_the_weakest_part():
    full = SCORE_ONE
    assert compute_period_score((full,) * 5) == full
    assert compute_period_score((full, full, full, 0, full)) == 850_000 // 2
    assert compute_period_score((None, full, None, None, None)) == full
    assert compute_period_score((None,) * 5) is None


def test_the_score_falls_by_a_quarter_and_rises_by_a_sixteenth_of_the_way():
    assert compute_next_score(800_000, 400_000) == 700_000
    assert compute_next_score(400_000, 800_000) == 425_000


@given(SCORES, SCORES)
def test_the_score_moves_towards_the_period_score_and_never_past_it(score: int, period: int):
    after = compute_next_score(score, period)
    assert min(score, period) <= after <= max(score, period)
    assert (after == score) is (score == period), "rounding never stops it on the way"


@given(st.lists(st.none() | SCORES, min_size=5, max_size=5), st.integers(0, 4))
def test_doing_worse_in_a_part_never_raises_the_period_score(ratios: list[int | None], part: int):
    before = compute_period_score(ratios)
    if ratios[part] is None or before is None:
        return
    worse = list(ratios)
    worse[part] = ratios[part] // 2  # type: ignore[operator]
    after = compute_period_score(worse)
    assert after is not None
    assert after <= before


def test_the_worked_example_of_the_explanation_is_right():
    page = (Path(__file__).parents[2] / "docs/explanation/participation.md").read_text()
    short = CREDIT_ONE * 6 // 7
    production, _ = compute_ratio(514, 480 * CREDIT_ONE + 30 * short, 0, 0)
    uptime, _ = compute_ratio(3_600, 3_540 * CREDIT_ONE, 0, 0)
    trading, _ = compute_ratio(20, 20 * CREDIT_ONE, 0, 0)
    storage, _ = compute_ratio(16, 15 * CREDIT_ONE, 0, 0)
    mean = (30 * production + 25 * uptime + 20 * trading + 10 * storage) // 85
    period = compute_period_score((production, uptime, trading, None, storage))
    assert period is not None
    results = (
        short,
        production,
        uptime,
        trading,
        storage,
        mean,
        period,
        compute_next_score(700_000, period),
    )
    shown = [line.rsplit("|", 2)[1].strip() for line in page.splitlines() if line.startswith("| ")]
    for result in results:
        assert f"{result:,}" in shown, f"the page does not show {result:,}"
