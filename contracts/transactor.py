"""Get transactions into an EVM chain, whatever the chain and its RPC do meanwhile.

Rule: one nonce at a time per account, taken from the chain itself; a transaction that is not mined
in time is sent again with the same nonce at a higher price, so it can happen at most once. What is
signed is kept before it is sent, and brought to its end before anything else is signed.

Spec: docs/spec/settlement.md §10
Deviations: the gas limit is the caller's; estimates are wrong on chains with MPC precompiles.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.errors import GasAccountEmpty, RpcRefused
from contracts.limits import (
    MAX_FEE_WEI,
    NONCE_GAP_MAX,
    RECEIPT_POLL_SECONDS,
    RESUBMIT_SECONDS,
    SUBMISSIONS_MAX,
    TIP_WEI,
    VALUE_TRANSFER_GAS,
)
from contracts.outbox import MemoryOutbox, Outbox, Pending
from contracts.rpc import Rpc
from contracts.rpc_values import data, parse_data, parse_object, parse_quantity, quantity
from contracts.transaction import Fees, Transaction, sign_transaction
from primitives.address import to_checksum
from primitives.errors import OperatorError, TransientError
from primitives.secp256k1 import PrivateKey

SENT_ALREADY = ("already known", "known transaction", "already imported")
UNDERPRICED = ("underpriced", "fee too low", "less than block base fee")
NONCE_USED = ("nonce too low", "nonce is too low", "old nonce")
NO_FUNDS = ("insufficient funds", "insufficient balance")


class SendingRefused(TransientError):
    """A node does not take a transaction as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A mined transaction that is `confirmations` deep."""

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    gas_used: int


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

    def send(self, to: bytes, payload: bytes, *, gas: int, value: int = 0) -> Receipt:
        """Send a transaction and wait until it is confirmed.

        What an earlier call or an earlier life of this account left on its way is brought to its
        end first; if it is this very transaction, its receipt is the answer. Raises TransientError
        if it did not happen in time (it still may: callers look first), and GasAccountEmpty.
        """
        with self._lock:
            receipt = self._finish_left(to, payload, value)
            if receipt is not None:
                return receipt
            pending = self._sign(
                Transaction(
                    chain_id=self._chain_id,
                    nonce=self._next_nonce(),
                    fees=self._suggest_fees(),
                    gas=gas,
                    to=to,
                    value=value,
                    data=payload,
                )
            )
            return self._finish(pending)

    def find_left(self) -> Pending | None:
        """Return what is on its way, without doing anything about it."""
        return self._outbox.load()

    def resume(self) -> tuple[Pending, Receipt] | None:
        """Bring what an earlier life left on its way to its end; raises like `send`."""
        with self._lock:
            pending = self._outbox.load()
            return None if pending is None else (pending, self._finish(pending))

    def _finish_left(self, to: bytes, payload: bytes, value: int) -> Receipt | None:
        """Finish what was left; its receipt if it is this very transaction."""
        left = self._outbox.load()
        if left is None:
            return None
        try:
            receipt = self._finish(left)
        except SendingRefused:
            if left.matches(to, payload, value):
                raise
            # The new transaction takes the same nonce: at most one of the two can happen.
            return None
        return receipt if left.matches(to, payload, value) else None

    def _sign(self, transaction: Transaction, hashes: tuple[bytes, ...] = ()) -> Pending:
        """Sign, and keep what was signed before anybody else sees it."""
        assert transaction.to is not None
        signed = sign_transaction(transaction, self._key)
        pending = Pending(
            chain_id=transaction.chain_id,
            nonce=transaction.nonce,
            gas=transaction.gas,
            to=transaction.to,
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
        """Submit until a submission is confirmed; raises TransientError when time is up."""
        self._fill_gap(pending)
        for attempt in range(SUBMISSIONS_MAX):
            if attempt:
                pending = self._bump(pending)
            nonce_used = self._broadcast(pending.raw)
            receipt = self._await(pending.hashes)
            if receipt is not None:
                self._outbox.clear()
                return receipt
            if nonce_used and self._is_nonce_gone(pending.nonce):
                self._outbox.clear()
                raise TransientError("another transaction of this account took the nonce")
        raise TransientError(f"not mined after {SUBMISSIONS_MAX} submissions")

    def _bump(self, pending: Pending) -> Pending:
        """The same transaction at a higher price, under the same nonce."""
        least, usual = Fees(tip=pending.tip, maximum=pending.maximum).bump(), self._suggest_fees()
        fees = Fees(tip=max(least.tip, usual.tip), maximum=max(least.maximum, usual.maximum))
        transaction = Transaction(
            chain_id=pending.chain_id,
            nonce=pending.nonce,
            fees=fees,
            gas=pending.gas,
            to=pending.to,
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

    def _is_nonce_gone(self, nonce: int) -> bool:
        """Whether the nonce is used in a block that is deep enough, and not by us."""
        at = "latest"
        if self._confirmations > 1:
            head = parse_quantity(self._ask("eth_blockNumber"))
            at = quantity(max(0, head - self._confirmations + 1))
        return self._next_nonce(at) > nonce

    def _next_nonce(self, at: str = "latest") -> int:
        """Number of transactions mined so far; `pending` is unknown to some chains."""
        return parse_quantity(self._ask("eth_getTransactionCount", data(self.address), at))

    def _suggest_fees(self) -> Fees:
        """A tip as the node suggests, and room for six full blocks of rising base fee."""
        block = parse_object(self._ask("eth_getBlockByNumber", "latest", False))
        base_fee = parse_quantity(block.get("baseFeePerGas", "0x0"))
        try:
            tip = parse_quantity(self._rpc.call("eth_maxPriorityFeePerGas"))
        except RpcRefused:
            tip = TIP_WEI
        tip = min(tip, MAX_FEE_WEI)
        return Fees(tip=tip, maximum=max(tip, min(2 * base_fee + tip, MAX_FEE_WEI)))

    def _ask(self, method: str, *parameters: Any) -> Any:
        """A method that only fails for a time."""
        try:
            return self._rpc.call(method, *parameters)
        except RpcRefused as problem:
            raise TransientError(str(problem)) from problem

    def _broadcast(self, raw: bytes) -> bool:
        """Send it; True if its nonce is used already. Raises GasAccountEmpty, SendingRefused."""
        try:
            self._rpc.call("eth_sendRawTransaction", data(raw))
        except RpcRefused as problem:
            message = problem.message.lower()
            if any(text in message for text in NONCE_USED):
                return True
            if any(text in message for text in NO_FUNDS):
                raise GasAccountEmpty(
                    f"{to_checksum(self.address)} cannot pay for EVM transactions: {message}",
                    fix="send native coins of the EVM chain to this address",
                ) from problem
            if not any(text in message for text in SENT_ALREADY + UNDERPRICED):
                raise SendingRefused(
                    f"the EVM node refuses the transaction: {problem}"
                ) from problem
        except SendingRefused:
            raise
        except TransientError:
            # It may have arrived all the same: the receipt will tell.
            return False
        return False

    def _await(self, hashes: Sequence[bytes]) -> Receipt | None:
        """The confirmed receipt of any of the submissions, or None when time is up."""
        deadline = self._clock() + self._resubmit_seconds
        while True:
            try:
                receipt = self._find_receipt(hashes)
                if receipt is not None and self._is_confirmed(receipt):
                    return receipt
            except RpcRefused as problem:
                raise TransientError(str(problem)) from problem
            except TransientError:
                receipt = None
            if receipt is None and self._clock() >= deadline:
                return None
            if self._stop.wait(self._poll_seconds):
                raise TransientError("stopped while waiting for a receipt")

    def _find_receipt(self, hashes: Sequence[bytes]) -> Receipt | None:
        """The receipt of whichever submission was mined."""
        for transaction_hash in reversed(hashes):
            answer = self._rpc.call("eth_getTransactionReceipt", data(transaction_hash))
            if answer is not None:
                return _parse_receipt(answer, transaction_hash)
        return None

    def _is_confirmed(self, receipt: Receipt) -> bool:
        """Whether the receipt's block is deep enough and still part of the chain."""
        head = parse_quantity(self._rpc.call("eth_blockNumber"))
        if head < receipt.block_number + self._confirmations - 1:
            return False
        block = self._rpc.call("eth_getBlockByNumber", quantity(receipt.block_number), False)
        return block is not None and (
            parse_data(parse_object(block).get("hash"), 32) == receipt.block_hash
        )


def _parse_receipt(answer: Any, transaction_hash: bytes) -> Receipt:
    """A receipt from its JSON; raises TransientError."""
    fields = parse_object(answer)
    return Receipt(
        transaction_hash=transaction_hash,
        block_number=parse_quantity(fields.get("blockNumber")),
        block_hash=parse_data(fields.get("blockHash"), 32),
        succeeded=parse_quantity(fields.get("status")) == 1,
        gas_used=parse_quantity(fields.get("gasUsed")),
    )
