"""Keep the one transaction that is on its way, so that no crash can send it twice.

Rule: a signed transaction is durable here before anybody else sees it, and is forgotten only after
its nonce has been used for good. There is at most one per account and chain.

Spec: docs/spec/settlement.md §10
Deviations: none
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from contracts.limits import OUTBOX_MAX_BYTES
from contracts.turns import take_turn
from primitives import codec
from primitives.errors import OperatorError, PeerError

Unsigned = Annotated[int, Meta(ge=0, lt=1 << 62)]
Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]


class Pending(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """A transaction that was signed and may have been sent, with all its submissions."""

    chain_id: Unsigned
    nonce: Unsigned
    gas: Unsigned
    to: Annotated[bytes, Meta(max_length=20)]  # empty: it creates a contract
    value: Annotated[bytes, Meta(min_length=32, max_length=32)]  # wei, big-endian
    payload: bytes
    tip: Unsigned  # of the newest submission, wei per gas
    maximum: Unsigned
    raw: bytes  # the newest submission
    hashes: tuple[Hash, ...]  # of all submissions, oldest first
    is_refused: bool = False  # no node has taken it, so it may go out only if it is asked for again

    def matches(self, to: bytes | None, payload: bytes, value: int) -> bool:
        """Tell whether it does exactly this."""
        return (self.to, self.payload) == (to or b"", payload) and self.wei == value

    @property
    def wei(self) -> int:
        """The coin it carries."""
        return int.from_bytes(self.value, "big")


class Outbox(Protocol):
    """Where a pending transaction is kept."""

    def load(self) -> Pending | None:
        """Return what is pending."""
        ...

    def save(self, pending: Pending) -> None:
        """Keep it, durably; replaces what was kept."""
        ...

    def clear(self) -> None:
        """Forget it."""
        ...

    def turn(self, stop: threading.Event) -> AbstractContextManager[None]:
        """Keep other programs of the account from sending; raises TransientError."""
        ...


class MemoryOutbox:
    """Remembers as long as the process lives, which knows of no other program."""

    def __init__(self) -> None:
        self._pending: Pending | None = None

    def load(self) -> Pending | None:
        """Return what is pending."""
        return self._pending

    def save(self, pending: Pending) -> None:
        """Keep it."""
        self._pending = pending

    def clear(self) -> None:
        """Forget it."""
        self._pending = None

    def turn(self, stop: threading.Event) -> AbstractContextManager[None]:
        """Nobody else is known of."""
        return nullcontext()


class FileOutbox:
    """One file, replaced as a whole; used by one process at a time, which has its turn."""

    def __init__(self, path: Path, lock: Path | None = None) -> None:
        """`lock` is for outboxes of the same account that take turns; by default this one's own."""
        self._path = path
        self._lock = path.with_suffix(".lock") if lock is None else lock

    def load(self) -> Pending | None:
        """Return what is pending. Raises OperatorError for a file that cannot be read."""
        with self._on_disk():
            if not self._path.exists():
                return None
            data = self._path.read_bytes()
        try:
            return codec.decode(data, Pending, max_bytes=OUTBOX_MAX_BYTES)
        except PeerError as error:
            raise OperatorError(
                f"{self._path} is damaged: {error}",
                code="EVM006",
                fix="look on the chain whether the account's newest transaction is the one you "
                "meant, then delete the file",
            ) from error

    def save(self, pending: Pending) -> None:
        """Write, sync, rename, sync: after a power cut there is the old file or the new one.

        Raises OperatorError if the disk does not take it: then nothing may be sent.
        """
        draft = self._path.with_suffix(".new")
        with self._on_disk():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.write(codec.encode(pending))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            self._sync_folder()

    def clear(self) -> None:
        """Delete the file. Raises OperatorError if the disk does not let it."""
        with self._on_disk():
            self._path.unlink(missing_ok=True)
            if self._path.parent.is_dir():
                self._sync_folder()

    @contextmanager
    def turn(self, stop: threading.Event) -> Iterator[None]:
        """Wait for other processes that send from this account."""
        with ExitStack() as stack:
            with self._on_disk():
                stack.enter_context(take_turn(self._lock, stop))
            yield

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        """Name the file that cannot be used."""
        try:
            yield
        except OSError as error:
            raise OperatorError(
                f"{error.filename or self._path}: {error.strerror}: what is sent to an EVM chain "
                "is written there first",
                code="EVM013",
                fix="make room on the disk, and the folder writable",
                risk="none: nothing is sent before it is on the disk",
            ) from error

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def open_outbox(folder: Path, chain_id: int, address: bytes) -> FileOutbox:
    """Return the outbox of one account on one chain.

    It takes turns with those of the same account in the folders beside it.
    """
    name = f"{chain_id}-{address.hex()}"
    return FileOutbox(folder / f"{name}.bin", folder.parent / f"{name}.lock")
