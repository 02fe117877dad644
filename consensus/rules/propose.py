"""Rule 2: when I lead a view, propose one block on the newest certified parent.

Rule: walk back to the first view with a notarization or finalization, or to the final tip; every
view between must be nullified. The signature on the block is my N vote. After a restart only ever
the block that I already signed is sent again.
Spec: docs/spec/consensus.md §2. Deviations: none.
"""

from __future__ import annotations

from dataclasses import replace

from consensus.application import Roots
from consensus.block import (
    Block,
    Tip,
    compute_attendance_root,
    compute_bundles_root,
    compute_evidence_root,
    make_block,
    open_block,
    tip_of,
)
from consensus.certificate import Certificate, assemble_certificate, compute_required_ids
from consensus.core import Core
from consensus.effects import ALL
from consensus.header import ZERO_HASH, Header
from consensus.limits import BUNDLES_PER_BLOCK_MAX, EXECUTED_LAG_MAX, TIME_STEP_MS
from consensus.messages import Propose
from consensus.rules.accuse import choose_evidence
from consensus.rules.certify import consider
from consensus.rules.count import cast, choose_pending, is_near, record_vote, verify_vote
from consensus.rules.fetch import ask_block, ask_certificates
from consensus.timers import Timer
from consensus.view import ViewState
from consensus.vote import Kind, Vote
from primitives.errors import InvalidBlock, PeerError


def on_propose(core: Core, sender: int, message: Propose) -> None:
    """Take in a leader's block: its vote, the block if it is the first, its parent's certificate.

    Raises PeerError.
    """
    block = open_block(message.block)
    header = block.header
    if not is_near(core, header.epoch, header.view):
        return
    if not sender == header.proposer == core.leader(header.view):
        raise InvalidBlock("a proposal comes from the leader of its view")
    state = core.at(header.view)
    if state.is_equivocated and state.proposal != block.hash:
        return
    earlier = state.notarize.get(sender)
    if earlier is None or earlier.block_hash != block.hash:
        vote = Vote(
            Kind.NOTARIZE,
            header.epoch,
            header.view,
            block.hash,
            message.pending,
            sender,
            message.signature,
        )
        verify_vote(core, vote)
        record_vote(core, vote)
    keep_first(state, block)
    if state.proposal == block.hash and not core.holds(block):
        core.tree.add(block)
        core.stir(fresh=True)
    learn_parent(core, block)


def keep_first(state: ViewState, block: Block) -> None:
    """Take the first block that the leader signed as the view's proposal."""
    if state.proposal is None:
        state.proposal = block.hash


def learn_parent(core: Core, block: Block) -> None:
    """Take the parent's notarization out of a proposal; a false one makes the proposal invalid."""
    attendance = block.body.attendance
    if attendance is None or attendance.epoch != core.config.epoch:
        return
    try:
        consider(core, attendance)
    except PeerError:
        core.at(block.view).is_invalid = True
        core.stir()
        raise


def try_propose(core: Core) -> None:
    """Build, sign and send the block of the current view if I lead it and all is ready."""
    state = core.at(core.view)
    if core.leader(core.view) != core.me or state.noted is not None or state.nulled:
        return
    if not core.may_vote(core.view) or (state.is_waiting and not core.is_fresh):
        return
    block = build_block(core)
    state.is_waiting = block is None
    if block is None:
        return
    state.proposal = block.hash
    vote = cast(core, Kind.NOTARIZE, core.view, block, choose_pending(core))
    core.send(ALL, Propose(block.body, vote.pending, vote.signature))
    core.stir(fresh=True)


def repeat_proposal(core: Core) -> None:
    """Send the block again that I signed as leader of the current view."""
    state = core.at(core.view)
    block = core.tree.get(state.noted) if state.noted is not None else None
    if block is not None and core.leader(core.view) == core.me:
        vote = state.notarize[core.me]
        core.send(ALL, Propose(block.body, vote.pending, vote.signature))


def find_parent(core: Core) -> bytes | None:
    """Return the hash of the parent for the current view, or None after asking for what lacks."""
    for view in range(core.view - 1, core.tip.view, -1):
        state = core.at(view)
        certified = state.certified_hash()
        if certified is not None:
            return certified
        if state.nullification is None:
            ask_certificates(core, view)
            return None
    return core.tip.hash


def build_block(core: Core) -> Block | None:
    """Return a block for the current view, or None when it has to wait for something."""
    parent_hash = find_parent(core)
    if parent_hash is None:
        return None
    path = core.tree.path(core.tip, parent_hash)
    if path.missing is not None:
        ask_block(core, path.missing)
        return None
    parent = tip_of(path.blocks[-1]) if path.blocks else core.tip
    if not is_time(core, parent):
        return None
    attendance = make_attendance(core, parent)
    if attendance is None and parent.view > 0:
        return None
    if core.config.is_border(parent.height):
        return fill_seal(core, parent, attendance)
    return fill_block(core, parent, path.blocks, attendance)


def is_time(core: Core, parent: Tip) -> bool:
    """True when the gap to the parent is over; an idle chain takes a longer one.

    A parent from the future counts from when I entered the view.
    """
    timing = core.config.timing
    is_busy = core.config.is_border(parent.height) or core.application.has_work()
    gap_ms = timing.gap_ms if is_busy else timing.idle_gap_ms
    wait_ms = min(parent.time_ms, core.entered_ms) + gap_ms - core.now
    if wait_ms <= 0:
        return True
    core.set_timer(Timer.PACE, min(wait_ms, timing.leader_ms))
    return False


def make_attendance(core: Core, parent: Tip) -> Certificate | None:
    """Return the parent's notarization with every notarize vote that I saw for it."""
    if parent.view == 0:
        return None
    state = core.at(parent.view)
    if state.notarize_weight.get(parent.hash, 0) >= core.committee.quorum:
        return assemble_certificate(
            vote for vote in state.notarize.values() if vote.block_hash == parent.hash
        )
    if state.notarization is None:
        ask_certificates(core, parent.view)
    return state.notarization


def fill_block(
    core: Core, parent: Tip, ancestors: tuple[Block, ...], attendance: Certificate | None
) -> Block | None:
    """Choose bundles and evidence and state the executed height; None when it has to wait."""
    height = parent.height + 1
    executed = choose_executed(core, parent)
    checkpoint_digest = choose_checkpoint_digest(core, height)
    next_committee_hash = core.next_committee_hash(height)
    if executed is None or checkpoint_digest is None or next_committee_hash is None:
        return None
    required = compute_required_ids(attendance, core.committee) if attendance is not None else ()
    bundles = core.application.propose_bundles(ancestors, required, core.now)
    if bundles is None:
        return None
    assert len(bundles) <= BUNDLES_PER_BLOCK_MAX, "the application knows the limit"
    evidence = choose_evidence(core, ancestors)
    header = replace(
        make_header(core, parent, executed, attendance),
        bundles_root=compute_bundles_root(bundles),
        evidence_root=compute_evidence_root(evidence),
        next_committee_hash=next_committee_hash,
        checkpoint_digest=checkpoint_digest,
    )
    return make_block(header, bundles, attendance, evidence)


def fill_seal(core: Core, parent: Tip, attendance: Certificate | None) -> Block | None:
    """Return an empty block that helps the boundary block to finality; None to wait."""
    roots = core.application.roots_at(parent.executed_height)
    named = core.next_committee_hash(parent.height)
    if roots is None or named is None:
        return None
    header = make_header(core, parent, (parent.executed_height, roots), attendance)
    return make_block(replace(header, next_committee_hash=named), (), attendance, ())


def make_header(
    core: Core, parent: Tip, executed: tuple[int, Roots], attendance: Certificate | None
) -> Header:
    """Return the header of an empty child in the current view."""
    executed_height, roots = executed
    return Header(
        epoch=core.config.epoch,
        view=core.view,
        height=core.config.child_height(parent.height),
        parent_view=parent.view,
        parent_hash=parent.hash,
        time_ms=max(core.now, parent.time_ms + TIME_STEP_MS),
        bundles_root=ZERO_HASH,
        executed_height=executed_height,
        state_root=roots.state,
        fees_root=roots.fees,
        attendance_root=compute_attendance_root(attendance),
        evidence_root=ZERO_HASH,
        committee_hash=core.committee.hash,
        next_committee_hash=ZERO_HASH,
        checkpoint_digest=ZERO_HASH,
        proposer=core.me,
    )


def choose_executed(core: Core, parent: Tip) -> tuple[int, Roots] | None:
    """Return the height and roots to state; None while execution is too far behind."""
    executed_height, roots = core.application.executed()
    oldest = max(parent.executed_height, parent.height + 1 - EXECUTED_LAG_MAX)
    assert executed_height <= parent.height, "only final blocks are executed"
    return (executed_height, roots) if executed_height >= oldest else None


def choose_checkpoint_digest(core: Core, height: int) -> bytes | None:
    """Return the digest a header at `height` carries, zero if none is due, None if not ready."""
    checkpoint = core.config.checkpoint_of(height)
    if checkpoint is None:
        return ZERO_HASH
    return core.application.checkpoint_digest(checkpoint)
