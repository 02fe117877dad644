"""Read the chunk of a snapshot that the chain asks for, and compute this node's answer to it.

Rule: an answer is a function of a final block's hash and a chunk on this disk, so a node that was
killed between its commitment and its answer computes the same answer again.
Spec: docs/spec/participation.md (Storage). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import trio

from consensus.participation.storage_part import Draw, choose_chunk, compute_answer
from node.replica.scorekeeper import Scorekeeper
from primitives.errors import OperatorError, PeerError, TransientError
from storage.limits import SNAPSHOTS_MAX
from storage.snapshots import Snapshots

log = logging.getLogger("omnibazaar.storage")
RETRY_S = 0.5  # until a snapshot that is not written yet is looked for again
NO_ANSWER = bytes(32)


def count_kept(wanted: int, keeper: Scorekeeper | None) -> int:
    """Return how many snapshots stay on disk: as many as are wanted, or as the score asks for."""
    needed = 0 if keeper is None else keeper.participation.rules.snapshots_needed
    return min(max(wanted, needed), SNAPSHOTS_MAX)


class StorageAnswers:
    """The answers to the newest draws, each computed once."""

    def __init__(self, snapshots: Snapshots, interval: int) -> None:
        """`interval` is that of checkpoints, in heights."""
        self._snapshots = snapshots
        self._interval = interval
        self._answers: dict[Draw, bytes] = {}
        self._next_look_s = 0.0

    def get(self, draw: Draw) -> bytes:
        """Return the answer to a draw; 32 zero bytes while there is none."""
        return self._answers.get(draw, NO_ANSWER)

    async def prepare(self, draws: Iterable[Draw]) -> None:
        """Compute the answers that are missing, and forget those to other draws."""
        wanted = [draw for draw in draws if draw.snapshot_height(self._interval)]
        self._answers = {draw: self._answers[draw] for draw in wanted if draw in self._answers}
        missing = [draw for draw in wanted if draw not in self._answers]
        if not missing or trio.current_time() < self._next_look_s:
            return
        for draw in missing:
            answer = await trio.to_thread.run_sync(self.read, draw)
            if answer is None:
                self._next_look_s = trio.current_time() + RETRY_S
            else:
                self._answers[draw] = answer

    def read(self, draw: Draw) -> bytes | None:
        """Return the answer from disk; None while the snapshot or the chunk is not there."""
        height = draw.snapshot_height(self._interval)
        try:
            for name in self._snapshots.complete():
                manifest = None if name.height != height else self._snapshots.manifest(name.cid)
                if manifest is None or not manifest.chunks:
                    continue
                index = choose_chunk(draw.block_hash, len(manifest.chunks))
                chunk = self._snapshots.chunk(manifest.chunks[index])
                return None if chunk is None else compute_answer(draw.block_hash, chunk)
        except (TransientError, OperatorError, PeerError) as error:
            log.warning("the snapshot of height %d cannot be read: %s", height, error)
        return None
