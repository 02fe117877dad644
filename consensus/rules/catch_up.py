"""Rule 10, far behind: take final blocks in ranges, each proven by one finalization.

Rule: a range moves the tip after its hash links and its one certificate are checked; serving old
blocks is left to the block store and never delays votes.
Spec: docs/spec/consensus.md §10 (Ranges). Deviations: none.
"""

from __future__ import annotations

from consensus.block import Block, open_block
from consensus.certificate import Certificate, verify_certificate
from consensus.core import Core
from consensus.effects import ServeRange
from consensus.messages import GetRange, Range
from consensus.rules.enter import enter
from consensus.rules.fetch import ask_range, has_quota
from consensus.rules.finalize import commit
from consensus.vote import Kind
from primitives.errors import InvalidBlock


def on_get_range(core: Core, sender: int, question: GetRange) -> None:
    """Have the block store answer a peer that lags."""
    if has_quota(core, sender) and 0 < question.from_height <= core.tip.height:
        core.emit(ServeRange(sender, question.from_height))


def on_range(core: Core, sender: int, message: Range) -> None:
    """Check a range that I asked for, commit it, ask for the next. Raises PeerError."""
    finalization = message.finalization
    if finalization.epoch != core.config.epoch or core.asked_range_ms is None:
        return
    blocks = tuple(
        block for block in map(open_block, message.blocks) if block.height > core.tip.height
    )
    if not blocks or finalization.view <= core.tip.view:
        return
    if blocks[0].height != core.config.child_height(core.tip.height):
        return  # it answers a question from before a restart that cost me the newest blocks
    verify_links(core, blocks)
    verify_end(core, blocks[-1], finalization)
    core.asked_range_ms = None
    take_range(core, blocks, finalization)
    ask_range(core)


def verify_links(core: Core, blocks: tuple[Block, ...]) -> None:
    """Check that blocks follow my tip without a gap. Raises InvalidBlock."""
    parent_hash, height = core.tip.hash, core.tip.height
    for block in blocks:
        height = core.config.child_height(height)
        if block.parent_hash != parent_hash or block.height != height:
            raise InvalidBlock("a range does not follow the chain that it is asked for")
        parent_hash = block.hash


def verify_end(core: Core, last: Block, finalization: Certificate) -> None:
    """Check the certificate that proves the whole range. Raises PeerError."""
    if finalization.kind is not Kind.FINALIZE or finalization.block_hash != last.hash:
        raise InvalidBlock("a range ends with the finalization of its last block")
    if finalization.view != last.view:
        raise InvalidBlock("a finalization is of its block's view")
    verify_certificate(finalization, core.committee, core.config.domain, core.verifier)


def take_range(core: Core, blocks: tuple[Block, ...], finalization: Certificate) -> None:
    """Commit checked blocks."""
    for block in blocks:
        core.tree.add(block)
    commit(core, blocks, finalization)
    if core.is_closed:
        return
    enter(core, finalization.view + 1)
    core.stir(fresh=True)
