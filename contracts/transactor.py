"""Get transactions into an EVM chain, whatever the chain and its RPC do meanwhile.

Rule: one nonce at a time per account, taken from the chain itself; a transaction that is not mined
in time is sent again with the same nonce at a higher price, so it can happen at most once.

Spec: docs/spec/settlement.md §10
Deviations: the gas limit is the caller's; estimates are wrong on chains with MPC precompiles.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.errors import GasAccountEmpty, RpcRefused
from contracts.limits import (
    MAX_FEE_WEI,
    RECEIPT_POLL_SECONDS,
    RESUBMIT_SECONDS,
    SUBMISSIONS_MAX,
    TIP_WEI,
)
from contracts.rpc import Rpc
from contracts.rpc_values import data, parse_data, parse_object, parse_quantity, quantity
from contracts.transaction import Fees, SignedTransaction, Transaction, sign_transaction
from primitives.address import to_checksum
from primitives.errors import TransientError
from primitives.secp256k1 import PrivateKey

SENT_ALREADY = ("already known", "known transaction", "already imported")
UNDERPRICED = ("underpriced", "fee too low", "less than block base fee")
NONCE_USED = ("nonce too low", "nonce is too low", "old nonce")
NO_FUNDS = ("insufficient funds", "insufficient balance")


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
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        resubmit_seconds: float = RESUBMIT_SECONDS,
        poll_seconds: float = RECEIPT_POLL_SECONDS,
    ) -> None:
        """Sign with `key`; `stop` ends every wait early with a TransientError."""
        self.address = key.address
        self._rpc = rpc
        self._key = key
        self._chain_id = chain_id
        self._confirmations = confirmations
        self._stop = stop if stop is not None else threading.Event()
        self._clock = clock
        self._resubmit_seconds = resubmit_seconds
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()

    def send(self, to: bytes, payload: bytes, *, gas: int, value: int = 0) -> Receipt:
        """Send a transaction and wait until it is confirmed.

        Raises TransientError if it did not happen in time (it still may: callers look first), and
        GasAccountEmpty.
        """
        with self._lock:
            transaction = Transaction(
                chain_id=self._chain_id,
                nonce=self._next_nonce(),
                fees=self._suggest_fees(),
                gas=gas,
                to=to,
                value=value,
                data=payload,
            )
            sent: list[SignedTransaction] = []
            for _ in range(SUBMISSIONS_MAX):
                sent.append(sign_transaction(transaction, self._key))
                nonce_used = self._broadcast(sent[-1])
                receipt = self._await(sent, once=nonce_used)
                if receipt is not None:
                    return receipt
                if nonce_used:
                    raise TransientError("another transaction of this account took the nonce")
                transaction = transaction.with_fees(transaction.fees.bump())
            raise TransientError(f"not mined after {SUBMISSIONS_MAX} submissions")

    def _next_nonce(self) -> int:
        """Number of transactions mined so far; `pending` is unknown to some chains."""
        answer = self._rpc.call("eth_getTransactionCount", data(self.address), "latest")
        return parse_quantity(answer)

    def _suggest_fees(self) -> Fees:
        """A tip as the node suggests, and room for six full blocks of rising base fee."""
        block = parse_object(self._rpc.call("eth_getBlockByNumber", "latest", False))
        base_fee = parse_quantity(block.get("baseFeePerGas", "0x0"))
        try:
            tip = parse_quantity(self._rpc.call("eth_maxPriorityFeePerGas"))
        except RpcRefused:
            tip = TIP_WEI
        tip = min(tip, MAX_FEE_WEI)
        return Fees(tip=tip, maximum=max(tip, min(2 * base_fee + tip, MAX_FEE_WEI)))

    def _broadcast(self, signed: SignedTransaction) -> bool:
        """Send it; True if its nonce is used already. Raises GasAccountEmpty."""
        try:
            self._rpc.call("eth_sendRawTransaction", data(signed.raw))
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
                raise TransientError(
                    f"the EVM node refuses the transaction: {problem}"
                ) from problem
        except TransientError:
            # It may have arrived all the same: the receipt will tell.
            return False
        return False

    def _await(self, sent: list[SignedTransaction], *, once: bool) -> Receipt | None:
        """The confirmed receipt of any of the submissions, or None when time is up."""
        deadline = self._clock() + self._resubmit_seconds
        while True:
            try:
                receipt = self._find_receipt(sent)
                if receipt is not None and self._is_confirmed(receipt):
                    return receipt
            except RpcRefused as problem:
                raise TransientError(str(problem)) from problem
            except TransientError:
                receipt = None
            if receipt is None and (once or self._clock() >= deadline):
                return None
            if self._stop.wait(self._poll_seconds):
                raise TransientError("stopped while waiting for a receipt")

    def _find_receipt(self, sent: list[SignedTransaction]) -> Receipt | None:
        """The receipt of whichever submission was mined."""
        for signed in reversed(sent):
            answer = self._rpc.call("eth_getTransactionReceipt", data(signed.hash))
            if answer is not None:
                return _parse_receipt(answer, signed.hash)
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
