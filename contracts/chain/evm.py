"""Run an EVM chain at the Paris level: take transactions, make blocks, answer calls.

Rule: py-evm executes; this file alone decides what goes into a block and when it is durable.

Spec: docs/spec/settlement.md §12
Deviations: blocks have no proof of anything; `pending` means `latest`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from eth.chains.base import MiningChain
from eth.consensus import ConsensusApplier, NoProofConsensus
from eth.constants import POST_MERGE_DIFFICULTY, POST_MERGE_MIX_HASH, POST_MERGE_NONCE
from eth.db.atomic import AtomicDB
from eth.db.schema import SchemaV1
from eth.exceptions import HeaderNotFound, PyEVMError
from eth.vm.forks.paris import ParisVM
from eth.vm.spoof import SpoofTransaction
from eth_utils import ValidationError
from rlp.exceptions import RLPException

from contracts.chain import json_forms
from contracts.chain.mpc import MpcVM, genesis_accounts
from contracts.chain.pool import PendingTransaction, Pool, RefusedTransaction
from contracts.chain.store import ChainStore, StateDB, StoredLog, StoredTransaction
from contracts.limits import BLOCK_TRANSACTIONS_MAX, CHAIN_CALL_GAS, CHAIN_GAS_LIMIT

ZERO_ADDRESS = bytes(20)
EMPTY_TRIE_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A message to execute without making a transaction."""

    sender: bytes = ZERO_ADDRESS
    to: bytes | None = None
    data: bytes = b""
    value: int = 0
    gas: int = CHAIN_CALL_GAS


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What a call returned: `reverted` tells whether `output` is a result or a reason."""

    output: bytes
    reverted: bool
    gas_used: int
    problem: str


def _chain_class(chain_id: int, mpc: bool) -> type[MiningChain]:
    """py-evm's chain with our id, at Paris from the first block."""
    vm = MpcVM if mpc else ParisVM
    vm_configuration_ = ConsensusApplier(NoProofConsensus).amend_vm_configuration(((0, vm),))

    class DevnetChain(MiningChain):  # type: ignore[misc]
        """The configured chain."""

        vm_configuration = vm_configuration_

    DevnetChain.chain_id = chain_id
    return DevnetChain


class EvmChain:
    """The chain. Not thread-safe: its owner calls it under one lock."""

    def __init__(
        self,
        *,
        chain_id: int,
        store: ChainStore,
        balances: Iterable[tuple[bytes, int]],
        now_s: Callable[[], int],
        mpc: bool = False,
    ) -> None:
        """Continue the chain in `store`, or make its genesis with `balances` (address, wei).

        `mpc` puts an emulation of COTI's precompile at 0x64; a chain has it from genesis or never.
        """
        self._mpc = mpc
        self.chain_id = chain_id
        self.pool = Pool()
        self._now_s = now_s
        self._clock_offset_s = 0
        self._store = store
        self._state_db = StateDB(store)
        self._chain = self._open(dict(balances))

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    # --- opening -----------------------------------------------------------------------------

    def _open(self, balances: dict[bytes, int]) -> MiningChain:
        """Continue the stored chain, or store a genesis block."""
        chain_class = _chain_class(self.chain_id, self._mpc)
        database = AtomicDB(self._state_db)
        if self._store.block_body(0) is not None:
            return chain_class(database)
        state = {
            address: {"balance": wei, "nonce": 0, "code": b"", "storage": {}}
            for address, wei in balances.items()
        }
        if self._mpc:
            state.update(genesis_accounts())
        parameters = {
            "coinbase": ZERO_ADDRESS,
            "difficulty": POST_MERGE_DIFFICULTY,
            "extra_data": b"",
            "gas_limit": CHAIN_GAS_LIMIT,
            "mix_hash": POST_MERGE_MIX_HASH,
            "nonce": POST_MERGE_NONCE,
            "receipt_root": EMPTY_TRIE_ROOT,
            "timestamp": self._now_s(),
            "transaction_root": EMPTY_TRIE_ROOT,
        }
        chain = chain_class.from_genesis(database, parameters, state)
        self._persist(chain.get_canonical_block_by_number(0), (), ())
        return chain

    # --- reading -----------------------------------------------------------------------------

    @property
    def head_number(self) -> int:
        """Number of the newest block."""
        return int(self._chain.get_canonical_head().block_number)

    def base_fee(self) -> int:
        """Base fee of the next block, wei per gas."""
        return int(self._chain.header.base_fee_per_gas)

    def block_body(self, number: int) -> dict[str, Any] | None:
        """Return a block with transaction hashes, or None."""
        body = self._store.block_body(number)
        return None if body is None else json.loads(body)

    def block_number(self, block_hash: bytes) -> int | None:
        """Return the number of the block with a hash, or None."""
        return self._store.block_number(block_hash)

    def transaction(self, transaction_hash: bytes) -> StoredTransaction | None:
        """Return a mined transaction, or None."""
        return self._store.transaction(transaction_hash)

    def block_transactions(self, number: int) -> tuple[StoredTransaction, ...]:
        """Return a block's transactions in order."""
        return self._store.block_transactions(number)

    def logs(self, first: int, last: int, address: bytes | None) -> Iterable[StoredLog]:
        """Yield the logs of a range of blocks, of one emitter or of all."""
        return self._store.logs(first, last, address)

    def state_at(self, number: int) -> Any:
        """Return py-evm's state after a block; raises KeyError for an unknown one."""
        try:
            header = self._chain.get_canonical_block_header_by_number(number)
        except HeaderNotFound as error:
            raise KeyError(number) from error
        return self._chain.get_vm(header).state

    # --- calls -------------------------------------------------------------------------------

    def call(self, call: Call, number: int) -> CallResult:
        """Execute a message on the state after a block, for free and without trace."""
        header = self._chain.get_canonical_block_header_by_number(number)
        virtual_machine = self._chain.get_vm(header)
        with virtual_machine.in_costless_state() as state:
            unsigned = virtual_machine.create_unsigned_transaction(
                nonce=state.get_nonce(call.sender),
                gas_price=0,
                gas=call.gas,
                to=call.to or b"",
                value=call.value,
                data=call.data,
            )
            transaction = SpoofTransaction(unsigned, from_=call.sender)
            try:
                computation = state.apply_transaction(transaction)
            except ValidationError as error:
                return CallResult(output=b"", reverted=True, gas_used=0, problem=str(error))
        problem = computation.error if computation.is_error else None
        gas_used = virtual_machine.finalize_gas_used(transaction, computation)
        return CallResult(
            output=bytes(computation.output),
            reverted=problem is not None,
            gas_used=int(gas_used),
            problem="" if problem is None else type(problem).__name__,
        )

    def estimate_gas(self, call: Call, number: int) -> tuple[int, CallResult]:
        """Return a sufficient gas limit and the last result (`reverted` if none suffices)."""
        limit = call.gas
        result = self.call(call, number)
        if result.reverted:
            return limit, result
        # Refunds and the 1/64 that every inner call keeps back make more gas needed than used.
        guess = min(limit, result.gas_used + result.gas_used // 32 + 1_000)
        while guess < limit:
            attempt = Call(
                sender=call.sender, to=call.to, data=call.data, value=call.value, gas=guess
            )
            retried = self.call(attempt, number)
            if not retried.reverted:
                return guess, retried
            guess = min(limit, guess + guess // 2)
        return limit, result

    # --- writing -----------------------------------------------------------------------------

    def add_raw(self, raw: bytes) -> bytes:
        """Take a signed transaction and return its hash; raises RefusedTransaction."""
        virtual_machine = self._chain.get_vm(self._chain.header)
        try:
            signed = virtual_machine.get_transaction_builder().decode(raw)
            signed.validate()
            sender = bytes(signed.sender)
            chain_id = signed.chain_id
        except (ValidationError, RLPException, PyEVMError, ValueError, TypeError) as error:
            raise RefusedTransaction(f"malformed transaction: {error}") from error
        if chain_id is not None and chain_id != self.chain_id:
            raise RefusedTransaction(f"invalid chain id {chain_id}, this is {self.chain_id}")
        self._require_affordable(virtual_machine.state, signed, sender)
        item = PendingTransaction(
            hash=bytes(signed.hash),
            sender=sender,
            nonce=signed.nonce,
            max_fee=signed.max_fee_per_gas,
            raw=raw,
            signed=signed,
        )
        self.pool.add(item, virtual_machine.state.get_nonce(sender))
        return item.hash

    def _require_affordable(self, state: Any, signed: Any, sender: bytes) -> None:
        """Refuse at the door what no block could ever take."""
        if signed.gas > CHAIN_GAS_LIMIT:
            raise RefusedTransaction("exceeds block gas limit")
        if signed.gas < signed.intrinsic_gas:
            raise RefusedTransaction(f"intrinsic gas too low: need {signed.intrinsic_gas}")
        needed = signed.gas * signed.max_fee_per_gas + signed.value
        balance = state.get_balance(sender)
        if balance < needed:
            raise RefusedTransaction(
                f"insufficient funds for gas * price + value: have {balance} want {needed}"
            )

    def advance_clock(self, seconds: int) -> None:
        """Let the next block be at least `seconds` after the newest."""
        ahead = int(self._chain.get_canonical_head().timestamp) - self._now_s()
        self._clock_offset_s = max(self._clock_offset_s, ahead) + seconds

    def reorganise(self, depth: int, *, keep: bool) -> int:
        """Undo the newest blocks and make one more than they were; return the new head's number.

        Their transactions wait again if `keep`, and are forgotten if not. Genesis stays.
        """
        head = self.head_number
        target = max(0, head - depth)
        undone = [
            bytes(transaction.encode())
            for number in range(target + 1, head + 1)
            for transaction in self._chain.get_canonical_block_by_number(number).transactions
        ]
        self.advance_clock(1)  # beyond the old head, so that no block comes out as it was
        self._rewind(target)
        for raw in undone if keep else ():
            with contextlib.suppress(RefusedTransaction):
                self.add_raw(raw)
        if not keep:
            self.pool = Pool()
        for _ in range(target, head + 1):
            self.mine()
        return self.head_number

    def _rewind(self, target: int) -> None:
        """Make an old block the head again; its state was never pruned.

        What py-evm knows of the numbers above is replaced when they are made anew.
        """
        header = self._chain.get_canonical_block_header_by_number(target)
        database = self._state_db
        database[SchemaV1.make_canonical_head_hash_lookup_key()] = bytes(header.hash)
        self._store.rewind(target, state=database.pending)
        database.keep_pending()
        self._chain.header = self._chain.create_header_from_parent(header)

    def mine(self) -> int:
        """Make the next block of what waits, durably; return its number."""
        try:
            return self._mine()
        except BaseException:
            self._state_db.drop_pending()
            self._chain.header = self._chain.create_header_from_parent(
                self._chain.get_canonical_head()
            )
            raise

    def _mine(self) -> int:
        """The body of `mine`."""
        parent = self._chain.get_canonical_head()
        timestamp = max(self._now_s() + self._clock_offset_s, parent.timestamp + 1)
        header = self._chain.create_header_from_parent(
            parent, timestamp=timestamp, gas_limit=CHAIN_GAS_LIMIT, coinbase=ZERO_ADDRESS
        )
        virtual_machine = self._chain.get_vm(header)
        taken: list[PendingTransaction] = []
        receipts: list[Any] = []
        for item in self.pool.ready(virtual_machine.state.get_nonce):
            if len(taken) == BLOCK_TRANSACTIONS_MAX:
                break
            receipt = self._apply(virtual_machine, header, item)
            if receipt is None:
                continue
            header = virtual_machine.add_receipt_to_header(header, receipt)
            taken.append(item)
            receipts.append(receipt)
        block = self._seal(virtual_machine, header, taken, receipts)
        self._persist(block, tuple(taken), tuple(receipts))
        self.pool.drop_used(self.state_at(int(block.number)).get_nonce)
        return int(block.number)

    def _apply(self, virtual_machine: Any, header: Any, item: PendingTransaction) -> Any | None:
        """Execute a transaction; None if it does not fit this block or has become invalid."""
        if header.gas_used + item.signed.gas > header.gas_limit:
            return None
        if item.max_fee < header.base_fee_per_gas:
            return None
        try:
            receipt, _ = virtual_machine.apply_transaction(header, item.signed)
        except ValidationError:
            self.pool.remove(item)
            return None
        return receipt

    def _seal(
        self,
        virtual_machine: Any,
        header: Any,
        taken: list[PendingTransaction],
        receipts: list[Any],
    ) -> Any:
        """Complete the block and make it the head."""
        filled = virtual_machine.set_block_transactions_and_withdrawals(
            virtual_machine.get_block(), header, [item.signed for item in taken], receipts
        )
        block = virtual_machine.mine_block(filled).block
        self._chain.persist_block(block, perform_validation=False)
        self._chain.header = self._chain.create_header_from_parent(
            block.header, gas_limit=CHAIN_GAS_LIMIT
        )
        return block

    def _persist(
        self, block: Any, taken: tuple[PendingTransaction, ...], receipts: tuple[Any, ...]
    ) -> None:
        """Write the block, its history and its state in one database transaction."""
        transactions: list[StoredTransaction] = []
        logs: list[StoredLog] = []
        gas_before = 0
        for index, (item, receipt) in enumerate(zip(taken, receipts, strict=True)):
            new_logs = json_forms.transaction_logs(block, index, item, receipt, len(logs))
            receipt_body = json_forms.receipt(block, index, item, receipt, gas_before, new_logs)
            gas_before = receipt.gas_used
            logs.extend(new_logs)
            transactions.append(
                StoredTransaction(
                    hash=item.hash,
                    body=json.dumps(json_forms.mined_transaction(block, index, item)),
                    receipt=json.dumps(receipt_body),
                )
            )
        self._store.write_block(
            int(block.number),
            bytes(block.hash),
            json.dumps(json_forms.block(block, [item.hash for item in taken])),
            state=self._state_db.pending,
            transactions=tuple(transactions),
            logs=tuple(logs),
        )
        self._state_db.keep_pending()
