"""Make the ledger of an accepted root again, from an archive and the network file alone.

Rule: every block of the archive is checked against its CID and the whole against the root; nothing
else is believed.
Spec: docs/spec/settlement.md §6 (Archive). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.block import Block
from exchange.actions import VerifiedAction, decode_bundle, verify
from node.blocks.records import decode_stored_block
from node.network_file import NetworkFile
from node.replica.ledger import Ledger
from node.replica.scorekeeper import make_scorekeeper
from node.settlement.escape_archive import Archive, decode_archive
from primitives.cid import RAW, Cid
from primitives.eip712 import network_domain
from primitives.errors import InvalidMessage, PeerError
from storage.snapshots import decode_manifest

Blocks = Callable[[Cid], bytes | None]
"""Where blocks are found; they are checked here."""


def load_archive(root: Cid, blocks: Blocks) -> Archive:
    """Return what an archive consists of. Raises PeerError."""
    return decode_archive(_take(root, blocks))


def rebuild(file: NetworkFile, archive: Archive, blocks: Blocks) -> Ledger:
    """Return the ledger as it was at the archive's height. Raises PeerError if it is not."""
    ledger = open_ledger(file, archive, blocks)
    for cid in archive.blocks:
        execute_block(file, ledger, load_block(cid, blocks), blocks)
    if ledger.height != archive.height or ledger.roots.state != archive.state_root:
        raise InvalidMessage("the archive does not lead to the state root that it states")
    return ledger


def open_ledger(file: NetworkFile, archive: Archive, blocks: Blocks) -> Ledger:
    """Return the ledger from which an archive's blocks go on. Raises PeerError."""
    seats = tuple((s.address_bytes, s.weight, s.payout_bytes) for s in file.committee)
    ledger = Ledger(file.exchange, seats, make_scorekeeper(file))
    if archive.snapshot is not None:
        manifest = decode_manifest(_take(archive.snapshot, blocks))
        ledger.restore([_take(chunk, blocks) for chunk in manifest.chunks])
    return ledger


def load_block(cid: Cid, blocks: Blocks) -> Block:
    """Return a block of the archive. Raises PeerError."""
    return decode_stored_block(_take(cid, blocks))


def execute_block(file: NetworkFile, ledger: Ledger, block: Block, blocks: Blocks) -> None:
    """Execute the next block of an archive. Raises PeerError."""
    if block.height != ledger.height + 1:
        raise InvalidMessage("the archive's blocks do not follow its snapshot")
    domain = network_domain(file.network_id)
    actions: list[VerifiedAction] = []
    for digest in block.body.bundles:
        bundle = _take(Cid(RAW, digest), blocks)
        actions += [verify(one, domain) for one in decode_bundle(bundle)]
    ledger.execute(block, tuple(actions))


def _take(cid: Cid, blocks: Blocks) -> bytes:
    """Return a block, checked. Raises PeerError."""
    data = blocks(cid)
    if data is None:
        raise PeerError(f"the archive lacks the block {cid}")
    cid.verify(data)
    return data
