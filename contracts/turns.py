"""Let the programs of one account send in turn, so that they do not compete for its nonces.

Rule: a turn lasts from the choice of a nonce until its transaction has come to its end; it ends
with the process that has it, however that ends. Programs that share no folder do not see each
other's turns: they find out by what the chain refuses.

Spec: docs/spec/settlement.md §10
Deviations: none
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.limits import TURN_POLL_SECONDS, TURN_SECONDS_MAX
from primitives.errors import TransientError


@contextmanager
def take_turn(
    path: Path,
    stop: threading.Event,
    *,
    clock: Callable[[], float] = time.monotonic,
    seconds_max: float = TURN_SECONDS_MAX,
) -> Iterator[None]:
    """Wait for the lock at `path` and hold it; raises TransientError when it takes too long.

    The file stays: who deletes a lock that another one waits for lets two in.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = clock() + seconds_max
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(descriptor):
            if clock() >= deadline:
                raise TransientError("another program of this account has been sending for long")
            if stop.wait(TURN_POLL_SECONDS):
                raise TransientError("stopped while another program of this account was sending")
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
