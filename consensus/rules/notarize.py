"""Rule 3: vote once per view for the leader's block, when all that it rests on is held and right.

Rule: three outcomes. Valid: vote N. Invalid: nullify at once. Not yet: wait until the view timer.
Clock and inclusion duty are conditions of N only.
Spec: docs/spec/consensus.md §3. Deviations: none.
"""

from __future__ import annotations

from consensus.application import Roots, Verdict
from consensus.block import Block, tip_of
from consensus.certificate import compute_required_ids, verify_certificate
from consensus.core import Core
from consensus.evidence import verify_evidence
from consensus.header import ZERO_HASH
from consensus.limits import TIME_STEP_MS
from consensus.rules.count import cast_to_all, choose_pending
from consensus.rules.fetch import ask_block, ask_certificates
from consensus.timers import Timer
from consensus.validity import verify_block
from consensus.view import ViewState
from consensus.vote import Kind
from primitives.errors import PeerError


def try_notarize(core: Core) -> None:
    """Judge the proposal of the current view, and vote or give up."""
    state = core.at(core.view)
    if state.proposal is None or not may_notarize(state):
        return
    if not core.may_vote(core.view) or (state.is_waiting and not core.is_fresh):
        return
    block = core.tree.get(state.proposal)
    if block is None or core.leader(core.view) == core.me:
        return
    verdict = judge(core, block)
    state.is_waiting = verdict is Verdict.NOT_YET
    if verdict is Verdict.VALID:
        cast_to_all(core, Kind.NOTARIZE, core.view, block, choose_pending(core))
        core.stir()
    elif verdict is Verdict.INVALID:
        state.is_invalid = True
        core.stir()


def may_notarize(state: ViewState) -> bool:
    """True while I neither notarized nor gave up this view, and its leader signed one block."""
    return state.noted is None and not (state.nulled or state.is_invalid or state.is_equivocated)


def judge(core: Core, block: Block) -> Verdict:
    """Say whether to notarize a block of the current view; asks for what is missing."""
    for condition in (
        judge_parent,
        judge_skipped_views,
        judge_chain,
        judge_next,
        judge_clock,
        judge_state,
    ):
        verdict = condition(core, block)
        if verdict is not Verdict.VALID:
            return verdict
    return judge_body(core, block)


def judge_parent(core: Core, block: Block) -> Verdict:
    """The parent is the last final block, or certified in the view the header states."""
    header = block.header
    if not core.tip.view <= header.parent_view < header.view:
        return Verdict.INVALID
    if header.parent_view == core.tip.view:
        return Verdict.VALID if header.parent_hash == core.tip.hash else Verdict.INVALID
    certified = core.at(header.parent_view).certified_hash()
    if certified is None:
        ask_certificates(core, header.parent_view)
        return Verdict.NOT_YET
    return Verdict.VALID if certified == header.parent_hash else Verdict.INVALID


def judge_skipped_views(core: Core, block: Block) -> Verdict:
    """Every view between parent and block is nullified."""
    verdict = Verdict.VALID
    for view in range(block.header.parent_view + 1, block.view):
        if core.at(view).nullification is None:
            ask_certificates(core, view)
            verdict = Verdict.NOT_YET
    return verdict


def judge_chain(core: Core, block: Block) -> Verdict:
    """The ancestors are held, and the block continues them by the rules that bind everybody."""
    path = core.tree.path(core.tip, block.parent_hash)
    if path.missing is not None:
        ask_block(core, path.missing)
        return Verdict.NOT_YET
    parent = tip_of(path.blocks[-1]) if path.blocks else core.tip
    try:
        verify_block(block, parent, core.leader(block.view), core.committee, core.config)
        verify_signed_body(core, block)
    except PeerError:
        return Verdict.INVALID
    return Verdict.VALID


def judge_next(core: Core, block: Block) -> Verdict:
    """The boundary block, and every seal on it, names the committee that I computed."""
    if block.header.next_committee_hash == ZERO_HASH:
        return Verdict.VALID
    named = core.next_committee_hash(block.height)
    if named is None:
        return Verdict.NOT_YET
    return Verdict.VALID if named == block.header.next_committee_hash else Verdict.INVALID


def verify_signed_body(core: Core, block: Block) -> None:
    """Check the signatures inside attendance and evidence. Raises PeerError."""
    attendance, domain = block.body.attendance, core.config.domain
    if attendance is not None:
        known = core.at(attendance.view).notarize
        verify_certificate(attendance, core.committee, domain, core.verifier, known)
    for evidence in block.body.evidence:
        held = core.offences.get(evidence.offender)
        if held != evidence:
            verify_evidence(evidence, core.committee, core.config.epoch, domain, core.verifier)


def judge_clock(core: Core, block: Block) -> Verdict:
    """The block's time is not ahead of my clock by more than the drift, or as low as it can be.

    A chain whose time was carried ahead by wrong clocks must not stand still until true time has
    caught up: its blocks then ascend by the least step.
    """
    wait_ms = block.header.time_ms - core.now - core.config.timing.drift_ms
    if wait_ms <= 0 or block.header.time_ms == find_parent_time(core, block) + TIME_STEP_MS:
        return Verdict.VALID
    core.set_timer(Timer.PACE, min(wait_ms, core.config.timing.view_ms))
    return Verdict.NOT_YET


def find_parent_time(core: Core, block: Block) -> int:
    """Return the time of a block's parent, whose chain is held."""
    ancestors = ancestors_of(core, block.parent_hash)
    return ancestors[-1].header.time_ms if ancestors else core.tip.time_ms


def judge_state(core: Core, block: Block) -> Verdict:
    """The stated roots and the checkpoint digest are those that I computed."""
    header = block.header
    roots = core.application.roots_at(header.executed_height)
    if roots is None:
        return Verdict.NOT_YET
    if roots != Roots(header.state_root, header.fees_root):
        return Verdict.INVALID
    checkpoint = core.config.checkpoint_of(header.height)
    if checkpoint is None or is_seal(core, block):
        return Verdict.VALID
    digest = core.application.checkpoint_digest(checkpoint)
    if digest is None or digest == ZERO_HASH:
        return Verdict.NOT_YET
    return Verdict.VALID if digest == header.checkpoint_digest else Verdict.INVALID


def judge_body(core: Core, block: Block) -> Verdict:
    """All bundles are held, and every id that the block owes is in it; a seal owes nothing."""
    if is_seal(core, block):
        return Verdict.VALID
    if not core.application.holds_bundles(block.body.bundles):
        return Verdict.NOT_YET
    attendance = block.body.attendance
    required = compute_required_ids(attendance, core.committee) if attendance is not None else ()
    return core.application.check_inclusion(block, ancestors_of(core, block.parent_hash), required)


def is_seal(core: Core, block: Block) -> bool:
    """True for a block on the boundary block, whose validity was checked."""
    parent = core.tip_of(block.parent_hash)
    assert parent is not None, "the chain was checked before"
    return core.config.is_border(parent.height)


def ancestors_of(core: Core, parent_hash: bytes) -> tuple[Block, ...]:
    """Return the blocks above the final tip up to a parent whose chain is held, oldest first."""
    path = core.tree.path(core.tip, parent_hash)
    assert path.missing is None, "the chain was checked before"
    return path.blocks
