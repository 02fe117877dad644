"""Keep the chain store within its policy, in the pauses between writes.

Rule: pruning is never urgent: one bounded step at a time, through the one writer, with a pause
after each; a disk that refuses is reported and tried again later.
Spec: docs/spec/storage.md#pruning
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from primitives.errors import NodeError, OperatorError, TransientError
from storage import limits
from storage.chain_store import ChainStore
from storage.pruning import PrunePolicy, prune_step
from storage.writer import StoreWriter


async def keep_pruned(
    writer: StoreWriter[ChainStore],
    policy: PrunePolicy,
    *,
    now_ms: Callable[[], int],
    keep_from: Callable[[], int],
    on_failure: Callable[[NodeError], None],
    pause_s: float = limits.PRUNE_PAUSE_S,
) -> None:
    """Prune for ever. `keep_from` names the oldest height that restart may need at that moment."""
    while True:
        deleted = 0
        try:
            step = partial(prune_step, policy=policy, now_ms=now_ms(), keep_from=keep_from())
            deleted = await writer.run(step)
        except (TransientError, OperatorError) as error:
            on_failure(error)
        await trio.sleep(limits.PRUNE_STEP_PAUSE_S if deleted else pause_s)
