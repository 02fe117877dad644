"""Rules 5 and 8: vote F for what is notarized and valid, and commit what is finalized.

Rule: F for any view above the last final one whose notarized block and ancestors are held and
valid, if I neither gave the view up nor finalized it before. A finalization commits all ancestors
in order.
Spec: docs/spec/consensus.md §5, §8. Deviations: none.
"""

from __future__ import annotations

from consensus.application import Roots
from consensus.block import Block, Tip, tip_of
from consensus.certificate import Certificate
from consensus.core import Core, StatedRoots
from consensus.effects import Final, Protect
from consensus.limits import GUARD_FLOOR_STEP_VIEWS, RANGE_DISTANCE
from consensus.rules.count import cast_to_all
from consensus.rules.fetch import ask_block, ask_range
from consensus.validity import verify_block
from consensus.view import ViewState
from consensus.vote import Kind
from primitives.errors import InvalidBlock, StateDiverged


def try_finalize(core: Core) -> None:
    """Vote F wherever the rule allows it."""
    if core.is_silent or not core.is_fresh:
        return
    for view in sorted(core.unfinalized):
        state = core.views[view]
        if not may_finalize(state) or not core.may_vote(view):
            del core.unfinalized[view]
            continue
        assert state.notarization is not None, "a view is listed by its notarization"
        block = find_valid_block(core, view, state.notarization.block_hash)
        if block is not None:
            del core.unfinalized[view]
            cast_to_all(core, Kind.FINALIZE, view, block)
            core.stir(fresh=True)


def may_finalize(state: ViewState) -> bool:
    """True while I neither gave up nor finalized the view."""
    return not state.nulled and state.finalized is None


def find_valid_block(core: Core, view: int, block_hash: bytes) -> Block | None:
    """Return a notarized block that is held with its ancestors and breaks no rule I can see."""
    path = core.tree.path(core.tip, block_hash)
    if path.missing is not None:
        ask_block(core, path.missing)
        return None
    if not path.blocks or path.blocks[-1].view != view:
        return None
    block = path.blocks[-1]
    parent = tip_of(path.blocks[-2]) if len(path.blocks) > 1 else core.tip
    try:
        verify_block(block, parent, core.leader(block.view), core.committee, core.config)
    except InvalidBlock:
        return None
    named = core.next_committee_hash(block.height)
    if named is not None and named != block.header.next_committee_hash:
        return None
    roots = core.application.roots_at(block.header.executed_height)
    stated = Roots(block.header.state_root, block.header.fees_root)
    return block if roots is None or roots == stated else None


def try_commit(core: Core) -> None:
    """Commit the chain of the pending finalization once it is complete."""
    certificate = core.pending_final
    if certificate is None or not core.is_fresh:
        return
    path = core.tree.path(core.tip, certificate.block_hash)
    if path.missing is not None:
        if core.is_started:
            ask_missing(core, path.missing)
        return
    if not path.blocks or path.blocks[-1].view != certificate.view:
        raise StateDiverged(f"the finalization of view {certificate.view} names another block")
    commit(core, path.blocks, certificate)
    core.stir(fresh=True)


def ask_missing(core: Core, block_hash: bytes) -> None:
    """Ask for a block from memories first, then for final ones from block stores."""
    ask_block(core, block_hash)
    if core.stuck_since_ms is None:
        core.stuck_since_ms = core.now
    is_stuck = core.now - core.stuck_since_ms >= core.config.timing.fetch_ms
    ask_range(core, distance=1 if is_stuck else RANGE_DISTANCE)


def commit(core: Core, blocks: tuple[Block, ...], certificate: Certificate) -> None:
    """Hand out final blocks in order and forget what they close. Raises StateDiverged."""
    assert blocks, "a pending finalization lies above the tip"
    for index, block in enumerate(blocks):
        if core.is_closed:
            break  # seal blocks prove the boundary block and are then discarded
        verify_final(core, block)
        proof = find_proof(core, block, certificate)
        seals: tuple[Block, ...] = ()
        if core.config.is_border(block.height) and proof is None:
            proof, seals = certificate, blocks[index + 1 :]
        core.emit(Final(block, proof, seals))
        core.tip = tip_of(block)
        core.accused.update(evidence.offender for evidence in block.body.evidence)
    assert blocks[-1].hash == certificate.block_hash, "the path ends at the finalized block"
    core.tip_certificate, core.stuck_since_ms = certificate, None
    if core.pending_final is not None and core.pending_final.view <= core.tip.view:
        core.pending_final = None
    core.final_since_standstill = True
    forget_closed(core, blocks)
    check_stated_roots(core)


def find_proof(core: Core, block: Block, certificate: Certificate) -> Certificate | None:
    """Return the finalization of a block itself, None when only a descendant has one."""
    if block.hash == certificate.block_hash:
        return certificate
    state = core.views.get(block.view)
    return state.finalization if state is not None else None


def is_seal(core: Core, parent: Tip) -> bool:
    """True when a child of this parent is a seal block."""
    return core.config.is_border(parent.height)


def verify_final(core: Core, block: Block) -> None:
    """Check a final block against the rules that bind everybody. Raises StateDiverged."""
    try:
        verify_block(block, core.tip, core.leader(block.view), core.committee, core.config)
    except InvalidBlock as error:
        raise StateDiverged(f"final block {block.height} breaks a rule: {error}") from error
    header = block.header
    roots = Roots(header.state_root, header.fees_root)
    core.stated_roots.append(StatedRoots(header.executed_height, roots))


def forget_closed(core: Core, blocks: tuple[Block, ...]) -> None:
    """Drop views below the tip and what was asked for; raise the guard's floor now and then."""
    tip = core.tip
    for view in [view for view in core.views if view < tip.view]:
        del core.views[view]
    for view in [view for view in core.unfinalized if view <= tip.view]:
        del core.unfinalized[view]
    for view in [view for view in core.asked_views if view < tip.view]:
        del core.asked_views[view]
    core.tree.settle(blocks)
    core.journaled.intersection_update(core.tree.open_hashes())
    core.at(tip.view)
    epoch, floor_view = core.guard.floor
    if epoch < core.config.epoch or tip.view - floor_view >= GUARD_FLOOR_STEP_VIEWS:
        raise_floor(core)


def raise_floor(core: Core) -> None:
    """Have the guard refuse everything at or below the final view from now on."""
    record = core.guard.raise_floor(core.config.epoch, core.tip.view)
    if record is not None:
        core.records.append(Protect(record))


def check_stated_roots(core: Core) -> None:
    """Compare my roots with those that final headers state. Raises StateDiverged."""
    executed_height, _ = core.application.executed()
    while core.stated_roots and core.stated_roots[0].height <= executed_height:
        stated = core.stated_roots.popleft()
        roots = core.application.roots_at(stated.height)
        if roots is not None and roots != stated.roots:
            raise StateDiverged(
                f"my state after height {stated.height} is {roots.state.hex()}, "
                f"the final one is {stated.roots.state.hex()}"
            )
