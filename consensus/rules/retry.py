"""Rule 9: repeat myself while nothing moves, so that lost messages never stop the chain.

Rule: in a view that I gave up, every `retry_ms`: my X and N votes and the certificates by which I
entered. Without a finalization for `standstill_ms`: my last finalization, certificates and own
votes above it, bounded in views and bytes, with a period that grows by half each time.
Spec: docs/spec/consensus.md §9. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator

from consensus.certificate import Certificate
from consensus.core import Core
from consensus.effects import ALL, Lane
from consensus.limits import STANDSTILL_BYTES_MAX, STANDSTILL_CAP_MS, STANDSTILL_VIEWS
from consensus.messages import Message
from consensus.timers import Timer
from consensus.vote import SIGNATURE_BYTES

HEAD_BYTES = 96  # a vote or certificate without its signatures, rounded up
ID_BYTES = 34  # one pending id


def on_retry_timer(core: Core) -> None:
    """Repeat my votes in the current view and how I came into it."""
    state = core.at(core.view)
    if not state.nulled:
        return
    for vote in state.own_votes(core.me):
        core.send(ALL, vote)
    for certificate in entry_certificates(core):
        core.send(ALL, certificate)
    core.set_timer(Timer.RETRY, core.config.timing.retry_ms)


def entry_certificates(core: Core) -> Iterator[Certificate]:
    """Yield the certificates of the view before, or the finalization that made me jump."""
    before = core.views.get(core.view - 1)
    certificates = list(before.certificates()) if before is not None else []
    if not certificates:
        final = core.pending_final or core.tip_certificate
        certificates = [final] if final is not None else []
    yield from certificates


def on_standstill_timer(core: Core) -> None:
    """Repeat what others may lack unless something became final since the last time."""
    base_ms = core.config.timing.standstill_ms
    if core.final_since_standstill:
        core.standstill_ms = base_ms
    else:
        repeat_everything(core)
        core.standstill_ms = min(core.standstill_ms * 3 // 2, max(base_ms, STANDSTILL_CAP_MS))
    core.final_since_standstill = False
    core.set_timer(Timer.STANDSTILL, core.standstill_ms)


def repeat_everything(core: Core) -> None:
    """Send what I hold above the last finalization, the oldest and the newest views first."""
    if core.is_observer:
        return
    left = STANDSTILL_BYTES_MAX
    for message in standstill_messages(core):
        left -= estimate_bytes(message)
        if left < 0:
            return
        core.send(ALL, message, Lane.BACKGROUND)


def standstill_messages(core: Core) -> Iterator[Certificate | Message]:
    """Yield my last finalizations, then other certificates and own votes view by view."""
    finals = [final for final in (core.pending_final, core.tip_certificate) if final is not None]
    yield from finals
    said = {(final.kind, final.view) for final in finals}
    views = sorted(core.views)
    if len(views) > 2 * STANDSTILL_VIEWS:
        views = views[:STANDSTILL_VIEWS] + views[-STANDSTILL_VIEWS:]
    for view in views:
        state = core.views[view]
        yield from (one for one in state.certificates() if (one.kind, one.view) not in said)
        if view > core.tip.view:
            yield from state.own_votes(core.me)


def estimate_bytes(message: Certificate | Message) -> int:
    """Return an upper estimate of a vote's or certificate's size on the wire."""
    if isinstance(message, Certificate):
        ids = sum(map(len, message.pending))
        return HEAD_BYTES + len(message.signatures) * (SIGNATURE_BYTES + 2) + ids * ID_BYTES
    return HEAD_BYTES + SIGNATURE_BYTES + len(getattr(message, "pending", ())) * ID_BYTES
