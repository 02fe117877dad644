"""Rule 6: give up a view that failed, unless I helped to finalize it.

Rule: X in the current view when a timer fires, when X votes weigh more than the tolerated weight,
when the proposal is invalid or its leader equivocated. After X never N or F; after F never X.
Spec: docs/spec/consensus.md §6. Deviations: none.
"""

from __future__ import annotations

from consensus.core import Core
from consensus.rules.count import cast_to_all
from consensus.timers import Timer
from consensus.vote import Kind


def react(core: Core) -> None:
    """Nullify the current view if something in it calls for that."""
    state = core.at(core.view)
    if state.nulled or not core.may_vote(core.view):
        return
    is_hopeless = state.is_invalid or state.is_equivocated
    if is_hopeless or state.nullify_weight > core.committee.tolerated:
        nullify(core)


def on_leader_timer(core: Core) -> None:
    """Nullify when no proposal came in time."""
    if core.at(core.view).proposal is None:
        nullify(core)


def on_view_timer(core: Core) -> None:
    """Nullify when the view was not decided in time."""
    nullify(core)


def nullify(core: Core) -> None:
    """Vote X in the current view, once."""
    state = core.at(core.view)
    if not may_nullify(core, core.view):
        return
    core.set_timer(Timer.RETRY, core.config.timing.retry_ms)
    if not state.nulled:
        cast_to_all(core, Kind.NULLIFY, core.view)
        core.stir()


def may_nullify(core: Core, view: int) -> bool:
    """True unless I finalized the view or must stay silent in it."""
    return core.at(view).finalized is None and core.may_vote(view)
