"""Rule 1: enter a view on any certificate of the view before, and never go back.

Rule: entering arms the leader and the view timer; a certificate ahead makes us jump.
Spec: docs/spec/consensus.md §1. Deviations: none.
"""

from __future__ import annotations

from consensus.core import Core
from consensus.timers import Timer, compute_timeout_ms


def enter(core: Core, view: int) -> None:
    """Move to a later view; an earlier one is ignored."""
    if view <= core.view:
        return
    core.view = view
    core.at(view)
    if core.is_started:
        arm_timers(core)
        core.stir(fresh=True)


def arm_timers(core: Core) -> None:
    """Start the two time-outs of the current view."""
    timing, final_view = core.config.timing, core.final_view()
    core.entered_ms = core.now
    core.set_timer(Timer.LEADER, compute_timeout_ms(timing.leader_ms, core.view, final_view))
    core.set_timer(Timer.VIEW, compute_timeout_ms(timing.view_ms, core.view, final_view))
    if core.at(core.view).nulled:
        core.set_timer(Timer.RETRY, timing.retry_ms)
