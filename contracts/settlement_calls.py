"""Encode calls to the vault and decode what it answers.

Rule: pure; the layouts here are those of Settlement.sol and FeeDistributor.sol, checked against the
ABI of the artifacts by tests.

Spec: Solidity ABI specification; docs/spec/settlement.md §3-§5
Deviations: none
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.artifact import error_names, selectors, topics
from contracts.errors import ContractRefused, RpcRefused
from contracts.limits import (
    DEPOSIT_MAX_ATOMS,
    FEE_ASSETS_MAX,
    HEADERS_MAX,
    MEMBERS_MAX,
    WITHDRAWAL_TREE_DEPTH,
)
from contracts.rpc_values import parse_data, parse_list, parse_object, parse_quantity
from contracts.settlement_types import (
    AcceptedCheckpoint,
    CheckpointSubmission,
    CommitteeMember,
    Deposit,
    FeeSplit,
    FeeTotal,
    StateWords,
    WithdrawalClaim,
)
from primitives.abi import decode_words, encode_words
from primitives.errors import TransientError

WORD = 32
HEADER_BYTES = 512
SIGNATURE_BYTES = 65
REVERT_CODES = (3, -32000, -32015)
"""JSON-RPC codes with which nodes report a revert; the data decides."""
REASON_SELECTOR = bytes.fromhex("08c379a0")


def encode_members(members: Sequence[CommitteeMember]) -> bytes:
    """Return the committee's words, whose keccak is the committee hash."""
    return b"".join(encode_words(member.address, member.weight) for member in members)


def encode_fees(fees: Sequence[FeeTotal]) -> bytes:
    """Return the fee totals' words, whose keccak is the fees root."""
    return b"".join(
        encode_words(fee.chain_id, fee.vault, fee.token, fee.total, fee.owed) for fee in fees
    )


def encode_state_words(words: StateWords) -> bytes:
    """Return the seven words whose keccak is the state root."""
    return encode_words(
        words.height,
        words.accounts,
        words.withdrawals,
        words.deposits,
        words.fills,
        words.effects,
        words.rest,
    )


def encode_checkpoint(submission: CheckpointSubmission) -> bytes:
    """Return the calldata of `submitCheckpoint`."""
    assert 1 <= len(submission.headers) <= HEADERS_MAX
    assert 1 <= len(submission.members) <= MEMBERS_MAX
    assert len(submission.fees) <= FEE_ASSETS_MAX
    tails = (
        *_proof_parts(submission.headers, submission.signers, submission.signatures),
        _array(len(submission.members), encode_members(submission.members)),
        _array(len(submission.fees), encode_fees(submission.fees)),
    )
    return selectors("Settlement")["submitCheckpoint"] + _with_offsets(tails)


def encode_boundary(
    submission: CheckpointSubmission, next_members: Sequence[CommitteeMember]
) -> bytes:
    """Return the calldata of `submitBoundary` (fees and executed height are not used)."""
    tails = (
        *_proof_parts(submission.headers, submission.signers, submission.signatures),
        _array(len(submission.members), encode_members(submission.members)),
        _array(len(next_members), encode_members(next_members)),
    )
    return selectors("Settlement")["submitBoundary"] + _with_offsets(tails)


def encode_withdraw(claim: WithdrawalClaim) -> bytes:
    """Return the calldata of `withdraw`."""
    assert len(claim.siblings) == WITHDRAWAL_TREE_DEPTH
    return (
        selectors("Settlement")["withdraw"]
        + encode_state_words(claim.words)
        + encode_words(claim.index, claim.token, claim.amount, claim.to)
        + encode_words(*claim.siblings)
    )


def encode_view(contract: str, function: str, *words: int | bytes) -> bytes:
    """Return the calldata of a function with static arguments."""
    return selectors(contract)[function] + encode_words(*words)


def _proof_parts(headers: Sequence[bytes], signers: int, signatures: bytes) -> tuple[bytes, bytes]:
    """The encoded headers and the encoded certificate."""
    assert all(len(header) == HEADER_BYTES for header in headers)
    assert len(signatures) == SIGNATURE_BYTES * signers.bit_count()
    padding = bytes(-len(signatures) % WORD)
    certificate = encode_words(signers, 2 * WORD, len(signatures)) + signatures + padding
    return _array(len(headers), b"".join(headers)), certificate


def _array(count: int, body: bytes) -> bytes:
    """A dynamic array of static elements."""
    return encode_words(count) + body


def _with_offsets(tails: Sequence[bytes]) -> bytes:
    """Head of offsets and the tails that they point to."""
    heads: list[int] = []
    position = WORD * len(tails)
    for tail in tails:
        heads.append(position)
        position += len(tail)
    return encode_words(*heads) + b"".join(tails)


# --- answers -----------------------------------------------------------------------------------


def decode_answer(answer: bytes, count: int) -> tuple[bytes, ...]:
    """Return the words of a view's answer; raises TransientError if there are not `count`."""
    if len(answer) != WORD * count:
        raise TransientError("EVM RPC: the contract's answer has the wrong size")
    return decode_words(answer)


def as_integer(word: bytes) -> int:
    """Return the unsigned integer of a word."""
    return int.from_bytes(word, "big")


def revert_reason(problem: RpcRefused, contract: str = "Settlement") -> ContractRefused | None:
    """Return what the contract, or a token it called, said; None for another kind of refusal."""
    details = problem.details
    selector = details[:4]
    name = error_names(contract).get(selector) or error_names("TestToken").get(selector)
    if name is not None:
        body = details[4 : 4 + (len(details) - 4) // WORD * WORD]
        return ContractRefused(name, tuple(as_integer(word) for word in decode_words(body)))
    if details[:4] == REASON_SELECTOR and len(details) >= 68:
        size = min(as_integer(details[36:68]), 200)
        return ContractRefused(details[68 : 68 + size].decode(errors="replace"))
    if "revert" in problem.message.lower():
        return ContractRefused(f"revert 0x{details[:4].hex()}")
    return None


def decode_deposit(log: Any) -> Deposit:
    """Return a `Deposited` event; raises TransientError for anything else."""
    event = Event(log, "Settlement", "Deposited", data_words=2, indexed=3)
    deposit = Deposit(
        id=as_integer(event.topics[1]),
        token=event.topics[2][12:],
        beneficiary=event.topics[3][12:],
        depositor=event.words[0][12:],
        amount=as_integer(event.words[1]),
        block_number=event.block_number,
        transaction_hash=event.transaction_hash,
    )
    if not 0 < deposit.amount <= DEPOSIT_MAX_ATOMS:
        raise TransientError("EVM RPC: a deposit that the vault cannot have taken")
    return deposit


def decode_fee_split(log: Any) -> FeeSplit:
    """Return a `FeesSplit` event; raises TransientError for anything else."""
    event = Event(log, "FeeDistributor", "FeesSplit", data_words=4, indexed=2)
    total, validators, company, development = (as_integer(word) for word in event.words)
    return FeeSplit(
        executed_height=as_integer(event.topics[1]),
        token=event.topics[2][12:],
        total=total,
        validators=validators,
        company=company,
        development=development,
        block_number=event.block_number,
        transaction_hash=event.transaction_hash,
    )


def decode_checkpoint(log: Any) -> AcceptedCheckpoint:
    """Return a `CheckpointAccepted` event; raises TransientError for anything else."""
    event = Event(log, "Settlement", "CheckpointAccepted", data_words=4, indexed=2)
    return AcceptedCheckpoint(
        executed_height=as_integer(event.topics[1]),
        block_height=as_integer(event.topics[2]),
        state_root=event.words[0],
        fees_root=event.words[1],
        block_hash=event.words[2],
        snapshot_digest=event.words[3],
        evm_block=event.block_number,
        transaction_hash=event.transaction_hash,
    )


class Event:
    """A log of a known event, taken apart and checked for its shape."""

    __slots__ = ("block_number", "log_index", "topics", "transaction_hash", "words")

    def __init__(
        self, log: Any, contract: str, name: str, *, data_words: int, indexed: int
    ) -> None:
        """Take a JSON log apart; raises TransientError."""
        fields = parse_object(log)
        self.topics = [parse_data(one, WORD) for one in parse_list(fields.get("topics"))]
        self.words = decode_words(parse_data(fields.get("data"), data_words * WORD))
        self.block_number = parse_quantity(fields.get("blockNumber"))
        self.log_index = parse_quantity(fields.get("logIndex"))
        self.transaction_hash = parse_data(fields.get("transactionHash"), WORD)
        wrong = len(self.topics) != indexed + 1 or self.topics[0] != topics(contract)[name]
        if wrong or fields.get("removed") is True:
            raise TransientError(f"EVM RPC: not a {name} log")
