"""Open everything that a node keeps on its disk, and close it again.

Rule: what is opened together is closed together; nothing is opened while the signing history is
missing or says that the key signs elsewhere.
Spec: docs/reference/data-directory.md; docs/spec/storage.md. Deviations: none.
"""

from __future__ import annotations

from typing import Final

from chat.store import ChatStore
from node.datadir import DataDir
from node.keys.signing_guard import SigningGuard, verify_guard_present
from node.segment_log import SegmentLog
from node.settlement.ballot_box import BallotBox
from storage.block_source import ChainBlocks, FirstOf, StoredBlocks
from storage.block_store import BlockStore
from storage.chain_reader import ChainReader
from storage.chain_store import ChainStore
from storage.snapshots import Snapshots
from storage.writer import ReadPool, StoreWriter

READERS: Final = 3


class Stores:
    """One node's databases and logs."""

    def __init__(self, data: DataDir, *, network_id: bytes, signer: bytes) -> None:
        """`signer` is the address whose votes the guard knows. Raises GuardMissing."""
        verify_guard_present(data.guard_file, data.chain / "journal")
        path = data.chain / "chain.sqlite"
        self.chain = ChainStore(path, network_id)
        self.writer = StoreWriter(self.chain)
        self.readers = ReadPool([ChainReader.open(path) for _ in range(READERS)])
        self.block_store = BlockStore(data.chain / "blocks.sqlite")
        self.blocks = FirstOf([ChainBlocks(self.readers), StoredBlocks(self.block_store)])
        self.snapshots = Snapshots(self.block_store)
        self.ballots = BallotBox(data.ballots_file)
        self.chat = ChatStore(data.chat / "chat.sqlite")
        self.guard = SigningGuard(data.guard_file, signer)
        self.journal = SegmentLog(data.chain / "journal")
        self.bundle_log = SegmentLog(data.chain / "bundles")

    def oldest_snapshot(self) -> int:
        """Return the height from which a restart needs every block."""
        return min((name.height for name in self.snapshots.complete()), default=0)

    def close(self) -> None:
        """Close all of it."""
        self.journal.close()
        self.bundle_log.close()
        self.guard.close()
        self.chain.close()
        self.block_store.close()
        self.ballots.close()
        self.chat.close()
