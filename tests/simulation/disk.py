"""Keep what a simulated node wrote, and lose what it did not sync.

Rule: a crash keeps everything synced and a random prefix of the rest, cut anywhere, even inside a
record, sometimes with rubbish behind it.
Spec: docs/spec/wire-consensus.md (Journal). Deviations: none.
"""

from __future__ import annotations

import random

from consensus.effects import Final
from consensus.epoch import Epoch
from consensus.journal import Damage, Framer, Scan, scan_journal

RUBBISH_BYTES = 40


class Disk:
    """Journal file, guard database and block store of one node."""

    def __init__(self) -> None:
        self.journal = bytearray()
        self.journal_synced = 0
        self.framer = Framer()
        self.guard: list[bytes] = []
        self.guard_buffer: list[bytes] = []  # one transaction, open until the journal is synced
        self.store: list[Final] = []
        self.store_synced = 0
        self.lost_writes = 0  # crashes that cost synced records; only the guard can know
        self.epochs: dict[int, Epoch] = {}
        self.torn_tails = 0
        self.is_journal_lost = False

    def append(self, record: bytes) -> None:
        self.journal += self.framer.frame(record)

    def sync_journal(self) -> None:
        self.journal_synced = len(self.journal)
        self.framer.acknowledge()

    def sync_guard(self) -> None:
        self.guard += self.guard_buffer
        self.guard_buffer.clear()

    def compact(self, records: tuple[bytes, ...]) -> None:
        """Replace the journal, once the store is durable; a rename is all or nothing."""
        self.sync_store()
        self.framer, self.journal = Framer(), bytearray()
        for record in records:
            self.append(record)
        self.sync_journal()

    def keep_final(self, final: Final) -> None:
        height = final.block.height
        if height <= len(self.store):
            return
        assert height == len(self.store) + 1, "final blocks come in order"
        self.store.append(final)

    def sync_store(self) -> None:
        self.store_synced = len(self.store)

    def crash(self, rng: random.Random, *, loses_journal: bool, lies: bool) -> None:
        """Lose a random part of what was not synced; a disk that lies loses what was, too."""
        keep = rng.randint(self.journal_synced, len(self.journal))
        del self.journal[keep:]
        if keep > self.journal_synced and rng.random() < 0.3:
            self.journal += rng.randbytes(rng.randint(1, RUBBISH_BYTES))
        self.guard_buffer.clear()
        del self.store[rng.randint(self.store_synced, len(self.store)) :]
        self.sync_store()
        if loses_journal and lies:
            del self.journal[rng.randint(len(self.journal) // 2, len(self.journal)) :]
            self.lost_writes += len(self.journal) < self.journal_synced
        elif loses_journal:
            self.is_journal_lost = True
            damage = rng.random()
            if damage < 0.5 or not self.journal:
                self.journal.clear()
            else:
                self.journal[rng.randrange(len(self.journal))] ^= 1

    def newest_epoch(self) -> Epoch | None:
        """Return the newest epoch whose anchor the store still holds."""
        held = [one for one in self.epochs.values() if one.anchor.height <= len(self.store)]
        return max(held, key=lambda epoch: epoch.number, default=None)

    def reopen(self) -> Scan:
        """Scan the journal, cut what is damaged, be ready to append."""
        scan = scan_journal(bytes(self.journal))
        self.torn_tails += scan.damage is Damage.TORN_TAIL
        del self.journal[scan.intact_bytes :]
        self.journal_synced = len(self.journal)
        self.framer = Framer(len(self.journal))
        return scan
