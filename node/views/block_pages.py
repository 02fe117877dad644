"""Read final blocks from the store, one or a page, as the API shows them.

Rule: runs in a reader's thread and touches nothing but the reader and the committees given.
Spec: docs/reference/api.md (Blocks). Deviations: none.
"""

from __future__ import annotations

from typing import Final

from consensus.certificate import Certificate
from node.api import chain_views
from node.committee.epoch_book import EpochBook
from node.views.chain_views import make_detail, make_summary, own_certificate
from storage.chain_reader import ChainReader
from storage.records import StoredBlock

DESCENDANTS_MAX: Final = 64  # blocks looked at for the certificate that proves an older one


def read_page(
    reader: ChainReader, book: EpochBook, from_height: int | None, limit: int
) -> tuple[chain_views.BlockSummary, ...]:
    """Return final blocks from a height downwards; from the newest when it is None."""
    before = None if from_height is None else from_height + 1
    return tuple(make_summary(row, book) for row in reader.blocks(before=before, limit=limit))


def read_block(
    reader: ChainReader, book: EpochBook, reference: int | bytes
) -> chain_views.BlockDetail | None:
    """Return one final block by height or hash, with the certificate that proves it."""
    if isinstance(reference, int):
        row = reader.block(reference)
    else:
        row = reader.block_by_hash(reference)
    if row is None:
        return None
    parent = reader.block(row.summary.height - 1)
    found = [reader.bundle(digest) for digest in row.bundles]
    return make_detail(
        row,
        book,
        parent.summary.cid if parent is not None else b"",
        [bundle for bundle in found if bundle is not None],
        _find_certificate(reader, row),
    )


def _find_certificate(reader: ChainReader, row: StoredBlock) -> Certificate | None:
    """Return a block's own certificate or that of the first descendant that has one."""
    certificate = own_certificate(row)
    for height in range(row.summary.height + 1, row.summary.height + 1 + DESCENDANTS_MAX):
        if certificate is not None:
            break
        later = reader.block(height)
        if later is None:
            break
        certificate = own_certificate(later)
    return certificate
