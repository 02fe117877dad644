"""Name the timers of a replica and compute how long a view may take.

Rule: time-outs grow by 1.3 per view without finality and shrink only by finality, never by a
quiet view.
Spec: docs/spec/consensus.md (Time-outs). Deviations: none.
"""

from __future__ import annotations

import enum

from consensus.limits import (
    BACKOFF_DENOMINATOR,
    BACKOFF_NUMERATOR,
    BACKOFF_SLACK_VIEWS,
    TIMEOUT_CAP_MS,
)


class Timer(enum.Enum):
    """One deadline each; setting a timer again replaces its deadline."""

    LEADER = "leader"  # no proposal came
    VIEW = "view"  # the view was not decided
    RETRY = "retry"  # I gave up this view and nothing moves
    STANDSTILL = "standstill"  # nothing became final
    FETCH = "fetch"  # something I asked for did not come
    PACE = "pace"  # the time has come to propose, or to judge a block from the future
    STATUS = "status"  # tell the others where I stand


def compute_timeout_ms(base_ms: int, view: int, final_view: int) -> int:
    """Return a time-out for `view` when `final_view` is the last final one known."""
    lost_views = max(0, view - final_view - 1 - BACKOFF_SLACK_VIEWS)
    factor = BACKOFF_DENOMINATOR  # in thousandths, so that the shortest time-outs grow too
    for _ in range(lost_views):
        if base_ms * factor >= TIMEOUT_CAP_MS * BACKOFF_DENOMINATOR:
            break
        factor = factor * BACKOFF_NUMERATOR // BACKOFF_DENOMINATOR
    return max(base_ms, min(base_ms * factor // BACKOFF_DENOMINATOR, TIMEOUT_CAP_MS))
