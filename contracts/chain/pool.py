"""Hold signed transactions until a block takes them.

Rule: per sender one transaction per nonce; a replacement pays at least a tenth more.

Spec: docs/spec/settlement.md §12
Deviations: none
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from contracts.limits import POOL_AHEAD_MAX, POOL_TRANSACTIONS_MAX


class RefusedTransaction(Exception):
    """The pool does not take a transaction; the message is what clients expect to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTransaction:
    """A signed transaction that waits."""

    hash: bytes
    sender: bytes
    nonce: int
    max_fee: int
    raw: bytes
    signed: Any  # py-evm's SignedTransactionAPI


class Pool:
    """Waiting transactions by sender and nonce, in order of arrival."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: dict[tuple[bytes, int], PendingTransaction] = {}
        self._by_hash: dict[bytes, PendingTransaction] = {}

    def __len__(self) -> int:
        """Number of waiting transactions."""
        return len(self._waiting)

    def get(self, transaction_hash: bytes) -> PendingTransaction | None:
        """Return a waiting transaction, or None."""
        return self._by_hash.get(transaction_hash)

    def add(self, new: PendingTransaction, account_nonce: int) -> None:
        """Take a transaction; raises RefusedTransaction."""
        if new.nonce < account_nonce:
            raise RefusedTransaction(
                f"nonce too low: next nonce {account_nonce}, tx nonce {new.nonce}"
            )
        if new.nonce > account_nonce + POOL_AHEAD_MAX:
            raise RefusedTransaction("nonce too far ahead")
        old = self._waiting.get((new.sender, new.nonce))
        if old is not None:
            if old.hash == new.hash:
                raise RefusedTransaction("already known")
            if new.max_fee * 10 < old.max_fee * 11:
                raise RefusedTransaction("replacement transaction underpriced")
            self.remove(old)
        elif len(self._waiting) >= POOL_TRANSACTIONS_MAX:
            raise RefusedTransaction("txpool is full")
        self._waiting[new.sender, new.nonce] = new
        self._by_hash[new.hash] = new

    def remove(self, old: PendingTransaction) -> None:
        """Forget a transaction."""
        self._waiting.pop((old.sender, old.nonce), None)
        self._by_hash.pop(old.hash, None)

    def next_nonce(self, sender: bytes, account_nonce: int) -> int:
        """Return the nonce after a sender's gapless waiting transactions."""
        while (sender, account_nonce) in self._waiting:
            account_nonce += 1
        return account_nonce

    def ready(self, nonce_of: Callable[[bytes], int]) -> Iterator[PendingTransaction]:
        """Yield what can run now: first come first served, but each sender in nonce order."""
        senders = dict.fromkeys(item.sender for item in self._waiting.values())
        for sender in senders:
            nonce = nonce_of(sender)
            while (item := self._waiting.get((sender, nonce))) is not None:
                yield item
                nonce += 1

    def drop_used(self, nonce_of: Callable[[bytes], int]) -> None:
        """Forget what was mined, and what another transaction of the same nonce has overtaken."""
        for item in list(self._waiting.values()):
            if item.nonce < nonce_of(item.sender):
                self.remove(item)
