"""Get transactions into an EVM chain, whatever the chain and its RPC do meanwhile.

Rule: one nonce at a time per account, taken from the chain itself; a transaction that is not mined
in time is sent again with the same nonce at a higher price, so it can happen at most once. What is
signed is kept before it is sent, and brought to its end before anything else is signed. It is
signed under another nonce only when another transaction was seen to have used its own. What every
node refused goes out only when the same is asked for again.

Spec: docs/spec/settlement.md §10
Deviations: the gas limit is the caller's; estimates are wrong on chains with MPC precompiles.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import msgspec

from contracts.errors import GasAccountEmpty, RpcRefused
from contracts.limits import (
    MAX_FEE_WEI,
    NONCE_ATTEMPTS_MAX,
    NONCE_GAP_MAX,
    NONCE_LIMIT,
    RECEIPT_POLL_SECONDS,
    RESUBMIT_SECONDS,
    SUBMISSIONS_MAX,
    TIP_MAX_WEI,
    TIP_WEI,
    VALUE_TRANSFER_GAS,
)
from contracts.nonce_use import UNSEEN, NonceUse, count_at, find_use
from contracts.outbox import MemoryOutbox, Outbox, Pending
from contracts.receipts import Receipt, find_receipt, is_confirmed
from contracts.refusals import Refusal, meaning_of
from contracts.rpc import Rpc
from contracts.rpc_values import data, parse_object, parse_quantity
from contracts.transaction import Fees, Transaction, sign_transaction
from primitives.address import to_checksum
from primitives.errors import OperatorError, TransientError
from primitives.secp256k1 import PrivateKey

NO_FEES = Fees(tip=0, maximum=0)
NOTHING_SENT = "none: nothing was sent, and it goes out only if you ask for the same again"


class SendingRefused(TransientError):
    """A node does not take a transaction as it is."""

    risk = ""  # what it means for the funds


class NotMined(TransientError):
    """Time was up before a transaction was mined or replaced."""

    risk = "it may still happen, once: repeat the command to wait for it, or drop it"
    fix = "`omnibazaar wallet outbox list` shows it; `outbox drop` keeps it from happening"


class NonceTaken(TransientError):
    """Another transaction of the account was mined under the nonce: this one never will be."""


class Dropped(Enum):
    """What became of a transaction that shall not happen any more."""

    NEVER_SENT = "no node had taken it; it is forgotten"
    REPLACED = "an empty transaction has used its nonce, so it can never happen"
    HAPPENED = "it had happened already"


class Transactor:
    """Sends the transactions of one account; calls block and may come from several threads."""

    def __init__(
        self,
        rpc: Rpc,
        key: PrivateKey,
        *,
        chain_id: int,
        confirmations: int = 1,
        outbox: Outbox | None = None,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        resubmit_seconds: float = RESUBMIT_SECONDS,
        poll_seconds: float = RECEIPT_POLL_SECONDS,
    ) -> None:
        """Sign with `key`; `stop` ends every wait early with a TransientError.

        `outbox` makes sending survive a crash of the process; without one only this object knows.
        """
        self.address = key.address
        self._rpc = rpc
        self._key = key
        self._chain_id = chain_id
        self._confirmations = confirmations
        self._outbox: Outbox = MemoryOutbox() if outbox is None else outbox
        self._stop = stop if stop is not None else threading.Event()
        self._clock = clock
        self._resubmit_seconds = resubmit_seconds
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()

    def send(self, to: bytes | None, payload: bytes, *, gas: int, value: int = 0) -> Receipt:
        """Send a transaction, to nobody for a new contract, and wait until it is confirmed.

        What an earlier call or an earlier life of this account left on its way is brought to its
        end first; if it is this very transaction, its receipt is the answer. Raises TransientError
        if it did not happen in time (it still may: callers look first), and GasAccountEmpty.
        """
        with self._lock, self._outbox.turn(self._stop):
            receipt, least = self._finish_left(to, payload, value)
            if receipt is not None:
                return receipt
            self._verify_chain()
            for _ in range(NONCE_ATTEMPTS_MAX):
                pending = self._sign(
                    Transaction(
                        chain_id=self._chain_id,
                        nonce=self._next_nonce(),
                        fees=self._suggest_fees().at_least(least),
                        gas=gas,
                        to=to,
                        value=value,
                        data=payload,
                    )
                )
                try:
                    return self._finish(pending)
                except NonceTaken:
                    continue  # by another program of this account, which knows of no turns
            raise TransientError("other programs of this account use up its nonces")

    def find_left(self) -> Pending | None:
        """Return what is on its way, without doing anything about it."""
        return self._outbox.load()

    def resume(self) -> tuple[Pending, Receipt] | None:
        """Bring what an earlier life left on its way to its end; raises like `send`.

        None if nothing is on its way, or what was can never happen or was taken by no node.
        """
        with self._lock, self._outbox.turn(self._stop):
            pending = self._outbox.load()
            if pending is None or self._is_nowhere(pending):
                return None
            try:
                return pending, self._finish(pending)
            except NonceTaken:
                return None

    def drop(self) -> Dropped | None:
        """See to it that what is on its way does not happen any more; None if nothing is.

        Raises TransientError if that cannot be told in time, and GasAccountEmpty: what a node has
        taken needs another transaction in its place.
        """
        with self._lock, self._outbox.turn(self._stop):
            left = self._outbox.load()
            if left is None:
                return None
            if self._is_nowhere(left):
                self._outbox.clear()
                return Dropped.NEVER_SENT
            try:
                if self._next_nonce() > left.nonce:
                    self._finish(left)
                    return Dropped.HAPPENED
                self._finish(self._sign(self._make_empty(left)))
            except NonceTaken:
                return Dropped.HAPPENED
            return Dropped.REPLACED

    def _is_nowhere(self, left: Pending) -> bool:
        """Whether no node has taken a transaction, as far as can be told."""
        if not left.is_refused or self._find(left) is not None:
            return False
        return self._next_nonce() <= left.nonce

    def _make_empty(self, left: Pending) -> Transaction:
        """What does nothing in the place of a transaction, and offers enough to replace it."""
        fees = Fees(tip=left.tip, maximum=left.maximum).bump().at_least(self._suggest_fees())
        return Transaction(
            chain_id=left.chain_id,
            nonce=left.nonce,
            fees=fees,
            gas=VALUE_TRANSFER_GAS,
            to=self.address,
            value=0,
            data=b"",
        )

    def _finish_left(
        self, to: bytes | None, payload: bytes, value: int
    ) -> tuple[Receipt | None, Fees]:
        """Finish what was left: its receipt if it is this very transaction, and what the next one
        has to offer at least.
        """
        left = self._outbox.load()
        if left is None:
            return None, NO_FEES
        is_same = left.matches(to, payload, value)
        # What was refused happens only if it is asked for again; else the new one takes its nonce.
        if not is_same and self._is_nowhere(left):
            return None, Fees(tip=left.tip, maximum=left.maximum).bump()
        try:
            receipt = self._finish(left)
        except NonceTaken:
            return None, NO_FEES
        except (SendingRefused, GasAccountEmpty):
            if is_same:
                raise
            # The new transaction takes the same nonce: at most one of the two can happen.
            return None, Fees(tip=left.tip, maximum=left.maximum).bump()
        return (receipt if is_same else None), NO_FEES

    def _sign(self, transaction: Transaction, hashes: tuple[bytes, ...] = ()) -> Pending:
        """Sign, and keep what was signed before anybody else sees it."""
        signed = sign_transaction(transaction, self._key)
        pending = Pending(
            chain_id=transaction.chain_id,
            nonce=transaction.nonce,
            gas=transaction.gas,
            to=transaction.to or b"",
            value=transaction.value.to_bytes(32, "big"),
            payload=transaction.data,
            tip=transaction.fees.tip,
            maximum=transaction.fees.maximum,
            raw=signed.raw,
            hashes=(*hashes, signed.hash),
        )
        self._outbox.save(pending)
        return pending

    def _finish(self, pending: Pending) -> Receipt:
        """Submit until a submission is confirmed; raises NonceTaken, or TransientError when time
        is up.
        """
        self._fill_gap(pending)
        if pending.is_refused:
            pending = self._mark(pending, is_refused=False)
        refused: SendingRefused | GasAccountEmpty | None = None
        for attempt in range(SUBMISSIONS_MAX):
            if attempt:
                pending = self._bump(pending)
            try:
                refusal = self._broadcast(pending.raw)
            except (SendingRefused, GasAccountEmpty) as problem:
                if len(pending.hashes) == 1 and self._find(pending) is None:
                    self._mark(pending, is_refused=True)
                    problem.risk = NOTHING_SENT
                    raise
                # It may have been taken in an earlier life, or at a lower price.
                refused, refusal = problem, None
            receipt = self._await(pending, refusal)
            if receipt is not None:
                self._outbox.clear()
                return receipt
        raise refused or NotMined(f"not mined after {SUBMISSIONS_MAX} submissions")

    def _mark(self, pending: Pending, *, is_refused: bool) -> Pending:
        """Remember whether a node may have taken it."""
        marked = msgspec.structs.replace(pending, is_refused=is_refused)
        self._outbox.save(marked)
        return marked

    def _find(self, pending: Pending) -> Receipt | None:
        """The receipt of any of the submissions, however deep. Raises TransientError."""
        try:
            return find_receipt(self._rpc, pending.hashes)
        except RpcRefused as problem:
            raise TransientError(str(problem)) from problem

    def _bump(self, pending: Pending) -> Pending:
        """The same transaction at a higher price, under the same nonce."""
        fees = Fees(tip=pending.tip, maximum=pending.maximum).bump().at_least(self._suggest_fees())
        transaction = Transaction(
            chain_id=pending.chain_id,
            nonce=pending.nonce,
            fees=fees,
            gas=pending.gas,
            to=pending.to or None,
            value=pending.wei,
            data=pending.payload,
        )
        return self._sign(transaction, pending.hashes)

    def _fill_gap(self, pending: Pending) -> None:
        """Use up nonces that a deep re-organisation has given back, so that ours comes up again.

        Signing ours anew under a lower nonce could make it happen twice.
        """
        nonce = self._next_nonce()
        if pending.nonce - nonce > NONCE_GAP_MAX:
            raise OperatorError(
                f"the chain {self._chain_id} has only {nonce} transactions of "
                f"{to_checksum(self.address)}, and one with the nonce {pending.nonce} waits",
                code="EVM006",
                fix="this is another chain than before; delete the account's file in the outbox",
            )
        for missing in range(nonce, pending.nonce):
            filler = Transaction(
                chain_id=self._chain_id,
                nonce=missing,
                fees=self._suggest_fees(),
                gas=VALUE_TRANSFER_GAS,
                to=self.address,
                value=0,
                data=b"",
            )
            self._broadcast(sign_transaction(filler, self._key).raw)

    def _verify_chain(self) -> None:
        """See that the nonce that comes next is asked of our chain. Raises TransientError."""
        found = parse_quantity(self._ask("eth_chainId"))
        if found != self._chain_id:
            raise TransientError(f"the EVM RPC serves chain {found} now, not {self._chain_id}")

    def _next_nonce(self) -> int:
        """Number of transactions mined so far. Raises TransientError."""
        try:
            found = count_at(self._rpc, self.address, "latest")
        except RpcRefused as problem:
            raise TransientError(str(problem)) from problem
        if found >= NONCE_LIMIT:
            raise TransientError(f"the EVM RPC tells of {found} transactions of one account")
        return found

    def _suggest_fees(self) -> Fees:
        """A tip as the node suggests, and room for six full blocks of rising base fee."""
        block = parse_object(self._ask("eth_getBlockByNumber", "latest", False))
        base_fee = parse_quantity(block.get("baseFeePerGas", "0x0"))
        try:
            tip = parse_quantity(self._rpc.call("eth_maxPriorityFeePerGas"))
        except RpcRefused:
            tip = TIP_WEI
        # A tip is paid in full, whatever the block costs, so no node may name any.
        tip = min(tip, max(base_fee, TIP_MAX_WEI), MAX_FEE_WEI)
        return Fees(tip=tip, maximum=max(tip, min(2 * base_fee + tip, MAX_FEE_WEI)))

    def _ask(self, method: str, *parameters: Any) -> Any:
        """A method that only fails for a time."""
        try:
            return self._rpc.call(method, *parameters)
        except RpcRefused as problem:
            raise TransientError(str(problem)) from problem

    def _broadcast(self, raw: bytes) -> Refusal | None:
        """Send it; None if it may be on its way. Raises GasAccountEmpty, SendingRefused."""
        try:
            self._rpc.call("eth_sendRawTransaction", data(raw))
        except RpcRefused as problem:
            refusal = meaning_of(problem)
            if refusal is Refusal.NO_FUNDS:
                raise GasAccountEmpty(
                    f"{to_checksum(self.address)} cannot pay for EVM transactions: "
                    f"{problem.message}",
                    fix="send native coins of the EVM chain to this address",
                ) from problem
            if refusal is Refusal.OTHER:
                raise SendingRefused(
                    f"the EVM node refuses the transaction: {problem}"
                ) from problem
            return None if refusal is Refusal.KNOWN else refusal
        except TransientError:
            # It may have arrived all the same: the receipt will tell.
            return None
        return None

    def _await(self, pending: Pending, refusal: Refusal | None) -> Receipt | None:
        """The confirmed receipt of any of the submissions, or None when time is up.

        Raises NonceTaken as soon as another transaction is seen to have the nonce for good.
        """
        is_doubtful = refusal in (Refusal.NONCE_USED, Refusal.NONCE_WAITS)
        deadline = self._clock() + (0 if refusal is Refusal.CHEAP else self._resubmit_seconds)
        while True:
            try:
                receipt = find_receipt(self._rpc, pending.hashes)
                if receipt is not None and is_confirmed(self._rpc, receipt, self._confirmations):
                    return receipt
                is_late = self._clock() >= deadline
                if receipt is None and (is_doubtful or is_late):
                    self._look_for_others(pending, is_late)
            except RpcRefused as problem:
                raise TransientError(str(problem)) from problem
            except NonceTaken:
                raise
            except TransientError:
                receipt, is_late = None, self._clock() >= deadline
            if receipt is None and is_late:
                return None
            if self._stop.wait(self._poll_seconds):
                raise TransientError("stopped while waiting for a receipt")

    def _look_for_others(self, pending: Pending, is_late: bool) -> None:
        """Forget what cannot happen any more; raises NonceTaken, and like `find_use`."""
        head = parse_quantity(self._rpc.call("eth_blockNumber"))
        deep = max(0, head - self._confirmations + 1)
        use = find_use(self._rpc, self.address, pending.nonce, deep)
        if use is not None and _is_by_another(use, pending.hashes, is_late):
            self._outbox.clear()
            raise NonceTaken("another transaction of this account took the nonce")


def _is_by_another(use: NonceUse, hashes: Sequence[bytes], is_late: bool) -> bool:
    """Whether a nonce was used by none of the submissions; one unseen has had time to show."""
    return is_late if use == UNSEEN else use.transaction_hash not in hashes
