"""Check a block against its parent and the committee, without asking anybody.

Rule: what is checked here is equally true for every replica at every time: it is a condition of
notarize, of finalize and of final blocks alike.
Spec: docs/spec/consensus.md (Validity). Deviations: none.
"""

from __future__ import annotations

from consensus.block import Block, Tip
from consensus.certificate import Certificate
from consensus.committee import Committee
from consensus.config import Config
from consensus.header import ZERO_HASH, Header
from consensus.limits import EXECUTED_LAG_MAX
from consensus.vote import Kind
from primitives.errors import InvalidBlock


def verify_block(
    block: Block, parent: Tip, leader: int, committee: Committee, config: Config
) -> None:
    """Check everything that needs no signature and no application. Raises InvalidBlock."""
    header = block.header
    if header.epoch != config.epoch or header.proposer != leader:
        raise InvalidBlock("the block is not of this epoch or not of the view's leader")
    is_seal = config.is_border(parent.height)
    if header.committee_hash != committee.hash:
        raise InvalidBlock("the header names another committee")
    if (header.next_committee_hash != ZERO_HASH) != config.is_border(header.height):
        raise InvalidBlock("the boundary block and its seals name the next committee, no others")
    verify_link(header, parent, config.child_height(parent.height))
    verify_executed(header, parent)
    verify_attendance_form(block.body.attendance, parent, config.epoch)
    if is_seal:
        verify_seal(block, parent)
    has_digest = header.checkpoint_digest != ZERO_HASH
    if has_digest != (config.checkpoint_of(header.height) is not None and not is_seal):
        raise InvalidBlock("a checkpoint digest stands exactly where one is due")
    if len(set(block.body.bundles)) != len(block.body.bundles):
        raise InvalidBlock("a bundle is listed twice")


def verify_seal(block: Block, parent: Tip) -> None:
    """Check that a child of the boundary block, or of a seal, is empty. Raises InvalidBlock."""
    if block.body.bundles or block.body.evidence:
        raise InvalidBlock("a seal block is empty")
    if block.header.executed_height != parent.executed_height:
        raise InvalidBlock("a seal block repeats the boundary block's executed height")


def verify_link(header: Header, parent: Tip, height: int) -> None:
    """Check that the header continues its parent. Raises InvalidBlock."""
    if header.parent_hash != parent.hash or header.parent_view != parent.view:
        raise InvalidBlock("the header names another parent")
    if header.view <= parent.view or header.height != height:
        raise InvalidBlock("view and height do not follow the parent's")
    if header.time_ms <= parent.time_ms:
        raise InvalidBlock("a block is later than its parent")


def verify_executed(header: Header, parent: Tip) -> None:
    """Check that execution neither goes back nor falls behind. Raises InvalidBlock."""
    if not parent.executed_height <= header.executed_height < header.height:
        raise InvalidBlock("the executed height goes back or ahead of the block")
    if header.height - header.executed_height > EXECUTED_LAG_MAX:
        raise InvalidBlock("the executed height is too far behind")


def verify_attendance_form(attendance: Certificate | None, parent: Tip, epoch: int) -> None:
    """Check that the block carries its parent's notarization, the anchor's child none.

    Raises InvalidBlock.
    """
    if parent.view == 0:
        if attendance is not None:
            raise InvalidBlock("the child of an epoch's anchor carries no attendance")
        return
    if attendance is None or attendance.kind is not Kind.NOTARIZE:
        raise InvalidBlock("a block carries the notarization of its parent")
    if (attendance.epoch, attendance.view, attendance.block_hash) != (
        epoch,
        parent.view,
        parent.hash,
    ):
        raise InvalidBlock("the attendance is not that of the parent")
