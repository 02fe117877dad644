"""Plain data that passes between a node and its vault.

Rule: everything here is what the contract itself knows, in the contract's units (atoms, bytes, EVM
block numbers); nothing is computed.

Spec: docs/spec/settlement.md §2-§5
Deviations: none
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitteeMember:
    """A seat of the committee, in committee order."""

    address: bytes  # of the hot key
    weight: int  # 1 … 2^64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeTotal:
    """Cumulative fees of an asset in a vault: all assets in order, then what they left behind."""

    chain_id: int
    vault: bytes
    token: bytes
    total: int  # atoms
    owed: int = 0  # atoms that the next vault has to be given, once the asset has left this one


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSubmission:
    """What `submitCheckpoint` needs: proof of finality and what the proof is about."""

    headers: tuple[bytes, ...]  # 512 bytes each, from the checkpoint to the certified block
    executed_height: int  # of headers[0]
    signers: int  # bit i = committee member i
    signatures: bytes  # 65 bytes per signer, lowest index first
    members: tuple[CommitteeMember, ...]
    fees: tuple[FeeTotal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateWords:
    """The seven words of a ledger state root."""

    height: int
    accounts: bytes
    withdrawals: bytes
    deposits: bytes
    fills: bytes
    effects: bytes
    rest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalClaim:
    """A withdrawal with its proof against a checkpointed state root."""

    words: StateWords
    index: int  # position in the ledger's tree
    token: bytes
    amount: int  # atoms
    to: bytes
    siblings: tuple[bytes, ...]  # WITHDRAWAL_TREE_DEPTH hashes, from the leaf upwards


class Submission(enum.Enum):
    """How an idempotent call ended."""

    DONE = "done"
    """Our transaction did it."""
    ALREADY_DONE = "already done"
    """Somebody (perhaps we, earlier) had done it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """A `Deposited` event."""

    id: int
    token: bytes
    beneficiary: bytes
    depositor: bytes
    amount: int  # atoms
    block_number: int
    transaction_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositWindow:
    """An aligned window of EVM blocks, all of them confirmed."""

    index: int
    first_block: int
    last_block: int
    end_hash: bytes  # of the last block
    deposits: tuple[Deposit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultStatus:
    """What the vault has accepted so far, read at one EVM block."""

    evm_block: int
    epoch: int
    committee_hash: bytes
    executed_height: int  # 0 before the first checkpoint
    block_height: int
    accepted_at_s: int  # EVM time, seconds
    checkpoints: int
    state_root: bytes
    block_hash: bytes
    snapshot_height: int
    snapshot_digest: bytes
    deposits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How far a vault is on its way to close; times are the EVM's, seconds."""

    now_s: int
    accepted_at_s: int  # the last checkpoint; 0 before the first
    notice_at_s: int  # when the notice was given, 0 if none counts
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStatus:
    """Running totals of one token in the vault, atoms."""

    listed: bool
    deposited: int
    withdrawn: int
    fees_certified: int  # cumulative total C of the newest checkpoint
    fees_settled: int  # part of C whose treasury shares were paid
    released: int  # paid by escapes and refunds, or handed over to the successor
    balance: int  # what the vault holds
    liabilities: int  # what it owes; never above the balance


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeSplit:
    """A `FeesSplit` event: total = validators + company + development, exactly."""

    executed_height: int
    token: bytes
    total: int
    validators: int
    company: int
    development: int
    block_number: int
    transaction_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedCheckpoint:
    """A `CheckpointAccepted` event."""

    executed_height: int
    block_height: int
    state_root: bytes
    fees_root: bytes
    block_hash: bytes
    snapshot_digest: bytes
    evm_block: int
    transaction_hash: bytes
