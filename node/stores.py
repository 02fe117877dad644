"""Open everything that a node keeps on its disk, and close it again.

Rule: what is opened together is closed together; nothing is opened while the signing history is
missing or says that the key signs elsewhere.
Spec: docs/reference/data-directory.md; docs/spec/storage.md. Deviations: none.
"""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from typing import Final

from chat.store import ChatStore
from node.datadir import DataDir
from node.keys.history_files import find_history
from node.keys.signing_guard import SigningGuard, verify_guard_present
from node.segment_log import SegmentLog
from node.settlement.ballot_box import BallotBox
from primitives.errors import NodeError
from storage.block_source import ChainBlocks, FirstOf, StoredBlocks
from storage.block_store import BlockStore
from storage.chain_reader import ChainReader
from storage.chain_store import ChainStore
from storage.snapshots import Snapshots
from storage.writer import ReadPool, StoreWriter

log = logging.getLogger("omnibazaar.node")

READERS: Final = 3


class Stores:
    """One node's databases and logs."""

    def __init__(self, data: DataDir, *, network_id: bytes, signer: bytes) -> None:
        """`signer` is the address whose votes the guard knows. Raises GuardMissing."""
        history = find_history(data, signer)
        verify_guard_present(history.guard, history.journal)
        path = data.chain / "chain.sqlite"
        self.chain = ChainStore(path, network_id)
        self.writer = StoreWriter(self.chain)
        self.book_reader = ChainReader.open(path)  # for single rows
        self._book_lock = threading.Lock()
        self._readers = [ChainReader.open(path) for _ in range(READERS)]
        self.readers = ReadPool(self._readers)
        self.block_store = BlockStore(data.chain / "blocks.sqlite")
        self.blocks = FirstOf([ChainBlocks(self.readers), StoredBlocks(self.block_store)])
        self.snapshots = Snapshots(self.block_store)
        self.ballots = BallotBox(data.ballots_file)
        self.chat = ChatStore(data.chat / "chat.sqlite")
        self.guard = SigningGuard(history.guard, signer)
        self.journal = SegmentLog(history.journal)
        self.bundle_log = SegmentLog(data.chain / "bundles")

    def oldest_snapshot(self) -> int:
        """Return the height from which a restart needs every block."""
        return min((name.height for name in self.snapshots.complete()), default=0)

    def find_epoch(self, number: int) -> bytes | None:
        """Return the record of an epoch; None when it is not on record, or the disk refuses."""
        try:
            with self._book_lock:  # peers are answered in threads
                return self.book_reader.epoch(number)
        except NodeError as error:
            log.warning("epoch %d cannot be read: %s", number, error)
            return None

    def close(self) -> None:
        """Close all of it, also when a disk refuses the last write of one."""
        with ExitStack() as stack:
            stack.callback(self.chat.close)
            stack.callback(self.ballots.close)
            stack.callback(self.block_store.close)
            stack.callback(self.chain.close)
            for reader in (*self._readers, self.book_reader):
                stack.callback(reader.close)
            stack.callback(self.guard.close)
            stack.callback(self.bundle_log.close)
            stack.callback(self.journal.close)
