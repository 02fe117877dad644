"""Tell the operator how far catching up is, before there is an API to ask.

Rule: the note lies in run/ while a state is being fetched and goes with it; a disk that refuses the
note never stops the work.
Spec: docs/spec/state-sync.md (Operation). Deviations: none.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import trio

from node.limits import SYNC_REPORT_S
from storage.snapshots import Manifest

log = logging.getLogger("omnibazaar.sync")


@dataclass(slots=True)
class Progress:
    """What has been fetched of which state."""

    file: Path
    height: int = 0
    chunks: int = 0
    chunks_total: int = 0
    size_bytes: int = 0
    size_bytes_total: int = 0
    stage: str = "looking for peers"
    _noted_s: float = -1e9

    def begin(self, manifest: Manifest) -> None:
        """Note what will be fetched."""
        self.height = manifest.height
        self.chunks, self.size_bytes = 0, 0
        self.chunks_total = len(set(manifest.chunks))
        self.size_bytes_total = manifest.size_bytes
        self.enter("fetching the state")

    def on_chunk(self, size_bytes: int) -> None:
        """Count a chunk that is here."""
        self.chunks += 1
        self.size_bytes += size_bytes
        now_s = trio.current_time()
        if now_s - self._noted_s >= SYNC_REPORT_S:
            self._noted_s = now_s
            self._write()

    def enter(self, stage: str) -> None:
        """Begin another part of the work."""
        self.stage = stage
        log.info("catching up: %s", self.line())
        self._write()

    def end(self) -> None:
        """Remove the note."""
        self.file.unlink(missing_ok=True)

    def line(self) -> str:
        """Return one line for people."""
        if not self.chunks_total:
            return self.stage
        return (
            f"{self.stage} of height {self.height}: {self.chunks} of {self.chunks_total} chunks, "
            f"{self.size_bytes >> 10} of {self.size_bytes_total >> 10} KiB"
        )

    def _write(self) -> None:
        note = {
            "stage": self.stage,
            "line": self.line(),
            "height": self.height,
            "chunks": self.chunks,
            "chunks_total": self.chunks_total,
            "bytes": self.size_bytes,
            "bytes_total": self.size_bytes_total,
        }
        draft = self.file.with_suffix(".draft")
        try:
            draft.write_text(json.dumps(note))
            os.replace(draft, self.file)
        except OSError as error:
            log.debug("the progress cannot be noted: %s", error)
