"""Show blocks, bundles and certificates as the API wants to see them.

Rule: pure mapping from the chain store's rows.
Spec: docs/reference/api.md (Blocks). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from consensus.certificate import Certificate
from exchange.protocol import NEWEST, Protocol
from node.api import chain_views, views
from node.blocks.records import decode_stored_block, decode_stored_certificate
from node.committee.epoch_book import EpochBook
from primitives.cid import RAW, Cid
from storage.records import BlockSummary, StoredBlock, StoredBundle


def make_summary(row: BlockSummary, book: EpochBook) -> chain_views.BlockSummary:
    """Show one line of the block list."""
    return chain_views.BlockSummary(
        height=row.height,
        view=row.view,
        epoch=row.epoch,
        hash=row.block_hash,
        cid=str(Cid.decode(row.cid)),
        time_ms=row.time_ms,
        proposer=row.proposer,
        proposer_address=book.address(row.epoch, row.proposer),
        bundles=row.bundles,
        actions=row.actions,
        trades=row.fills or 0,
        finality_ms=row.finality_ms,
        signers=row.signers,
        executed_height=row.executed_height,
    )


def make_detail(
    row: StoredBlock,
    book: EpochBook,
    parent_cid: bytes,
    bundles: Sequence[StoredBundle],
    certificate: Certificate | None,
) -> chain_views.BlockDetail:
    """Show a block; `certificate` is its own or that of the descendant that proves it."""
    header = decode_stored_block(row.encoded).header
    return chain_views.BlockDetail(
        summary=make_summary(row.summary, book),
        parent_hash=header.parent_hash,
        parent_view=header.parent_view,
        parent_cid=str(Cid.decode(parent_cid)) if parent_cid else "",
        bundles_root=header.bundles_root,
        state_root=header.state_root,
        fees_root=header.fees_root,
        attendance_root=header.attendance_root,
        evidence_root=header.evidence_root,
        committee_hash=header.committee_hash,
        next_committee_hash=header.next_committee_hash,
        checkpoint_digest=header.checkpoint_digest,
        bundles=tuple(
            chain_views.BundleView(
                cid=str(Cid(RAW, bundle.digest)), bytes=bundle.size_bytes, actions=bundle.actions
            )
            for bundle in bundles
        ),
        certificate_view=certificate.view if certificate is not None else 0,
        certificate_signers=certificate.signers if certificate is not None else (),
    )


def own_certificate(row: StoredBlock) -> Certificate | None:
    """Return the certificate stored with a block."""
    return decode_stored_certificate(row.certificate)


def show_protocol(protocol: Protocol) -> views.Protocol:
    """Return the version of the rules and what was decided."""
    return views.Protocol(
        version=protocol.version,
        newest=NEWEST,
        round=protocol.round,
        next_version=protocol.next_version,
        next_height=protocol.next_height,
    )
