"""Final blocks, as the API shows them.

Rule: whatever a header commits to is shown as its bytes.
Spec: docs/reference/api.md (Answers). Deviations: none.
"""

from __future__ import annotations

from node.api.views import Address, Hex, View


class BlockSummary(View, frozen=True, kw_only=True):
    """One final block in a list."""

    height: int
    view: int
    epoch: int
    hash: Hex
    cid: str
    time_ms: int
    proposer: int  # seat in the committee of the block's epoch
    proposer_address: Address | None = None  # None for an epoch this node does not know
    bundles: int
    actions: int
    trades: int
    finality_ms: int  # proposal seen → final here; 0 = unknown
    signers: int
    executed_height: int


class BundleView(View, frozen=True, kw_only=True):
    """One bundle of a block."""

    cid: str
    bytes: int
    actions: int


class BlockDetail(View, frozen=True, kw_only=True):
    """A block with its header words, bundles and certificate."""

    summary: BlockSummary
    parent_hash: Hex
    parent_view: int
    parent_cid: str
    bundles_root: Hex
    state_root: Hex  # after `executed_height`
    fees_root: Hex
    attendance_root: Hex
    evidence_root: Hex
    committee_hash: Hex
    next_committee_hash: Hex
    checkpoint_digest: Hex
    bundles: tuple[BundleView, ...]
    certificate_view: int
    certificate_signers: tuple[int, ...]  # committee indices


class Blocks(View, frozen=True, kw_only=True):
    """Newest first."""

    blocks: tuple[BlockSummary, ...]
