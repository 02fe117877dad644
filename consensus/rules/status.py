"""Tell others where I stand; stay silent while I may have forgotten my own votes.

Rule: a status is a claim and moves nothing. A silent replica asks all peers; it votes again when
a view is final that lies above everything that peers of a quorum's weight were in or saw from me,
whichever quorum tells the least: each contains an honest witness, and who exaggerates is left out.
Spec: docs/spec/consensus.md §10 (Status), (Silence).
Deviations: peers report their own view too: I entered a view only after a quorum had voted in the
one before, so one honest reporter was at most one view behind me, whatever it saw from me.
"""

from __future__ import annotations

from consensus.core import Core
from consensus.effects import ALL, RANDOM, Protect
from consensus.messages import GetCertificates, GetStatus, Status
from consensus.records import Silence, encode_record
from consensus.rules.fetch import ask_range, has_quota
from consensus.timers import Timer

VIEWS_BEHIND_REPORTER = 1  # how far I may have been ahead of every honest reporter


def on_status_timer(core: Core) -> None:
    """Tell everybody where I stand; ask again while silent."""
    if core.is_observer:
        core.send(RANDOM, GetStatus(core.status_nonce))
    else:
        core.send(ALL, make_status(core, nonce=0, seen_view=0))
    if core.is_silent:
        ask_all(core)
    core.set_timer(Timer.STATUS, core.config.timing.retry_ms)
    ask_range(core)


def ask_all(core: Core) -> None:
    """Ask everybody for a fresh status."""
    core.send(ALL, GetStatus(core.status_nonce))


def make_status(core: Core, *, nonce: int, seen_view: int) -> Status:
    """Return my position."""
    return Status(
        nonce, core.config.epoch, core.view, core.final_view(), core.tip.height, seen_view
    )


def on_get_status(core: Core, sender: int, question: GetStatus) -> None:
    """Answer with my position and the highest view in which I saw a vote of the sender.

    While silent I may have forgotten where I was, so I am no witness for others that are silent.
    """
    if not has_quota(core, sender):
        return
    nonce = 0 if core.is_silent else question.nonce
    seen_view = core.seen_views.get(sender, 0)
    core.send(sender, make_status(core, nonce=nonce, seen_view=seen_view))


def on_status(core: Core, sender: int, status: Status) -> None:
    """Note a claim, ask for its proof if it is news; count it as a report while silent."""
    epoch = core.config.epoch
    if not has_quota(core, sender) or status.epoch < epoch:
        return
    if status.epoch > epoch and core.config.border is None:
        return
    core.claims[sender] = status.final_height
    if status.epoch > epoch:
        core.is_left_behind = True
        ask_range(core)
        return
    if status.final_view > core.final_view() and not core.is_observer:
        core.send(sender, GetCertificates(core.config.epoch, status.final_view))
    ask_range(core)
    is_member = sender < len(core.committee)
    if core.is_silent and is_member and status.nonce == core.status_nonce:
        core.reports[sender] = max(status.view, status.seen_view, status.final_view)
        core.stir()


def try_speak(core: Core) -> None:
    """End the silence once nothing that I may have said can matter any more."""
    if not core.is_silent:
        return
    witnessed = find_witnessed_view(core)
    if witnessed is None or core.tip.view <= witnessed + VIEWS_BEHIND_REPORTER:
        return
    record = core.guard.raise_floor(core.config.epoch, core.tip.view)
    if record is not None:
        core.records.append(Protect(record))
    core.record(encode_record(Silence(False)))
    core.must_sync = True
    core.is_silent, core.silent_until = False, core.tip.view
    core.stir(fresh=True)


def find_witnessed_view(core: Core) -> int | None:
    """Return the highest view that the most modest quorum of reporters was in or saw from me.

    None while the reports weigh less than a quorum.
    """
    weight = 0
    for view, peer in sorted((view, peer) for peer, view in core.reports.items()):
        weight += core.committee.weights[peer]
        if weight >= core.committee.quorum:
            return view
    return None
