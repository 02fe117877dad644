"""Encode what is paid once a vault has closed: balances of its last root, uncredited deposits.

Rule: pure; the layouts are those of Escape.sol, checked against the contract by tests.

Spec: docs/spec/settlement.md §6
Deviations: none
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.artifact import selectors
from contracts.limits import BALANCE_TREE_DEPTH, FEE_ASSETS_MAX, WITHDRAWAL_TREE_DEPTH
from contracts.settlement_calls import encode_fees, encode_state_words
from contracts.settlement_types import FeeTotal, StateWords
from primitives.abi import encode_words

WORD = 32
STATE_WORDS = 7
ACCOUNT_WORDS = 3 + WITHDRAWAL_TREE_DEPTH
ENTRY_WORDS = 5 + BALANCE_TREE_DEPTH


@dataclass(frozen=True, slots=True, kw_only=True)
class EscapeClaim:
    """One balance entry with its proof against the last root that the vault accepted."""

    words: StateWords
    account: int  # number of the account
    owner: bytes
    rest_hash: bytes
    account_siblings: tuple[bytes, ...]  # 32, from the leaf upwards
    entry: int  # position of the balance in its account
    sub: int
    asset: int
    free: int  # atoms
    held: int  # atoms
    entry_siblings: tuple[bytes, ...]  # 16, from the leaf upwards
    fees: tuple[FeeTotal, ...]  # of the last checkpoint; they say what token an asset is


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultCursor:
    """How many deposits of a vault the ledger has credited."""

    chain_id: int
    vault: bytes
    credited: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundClaim:
    """A deposit that the last root does not know, and the cursors that show it."""

    words: StateWords  # of the last root; anything if there was no checkpoint
    cursors: tuple[VaultCursor, ...]  # in the ledger's order
    id: int
    token: bytes
    depositor: bytes
    beneficiary: bytes
    amount: int  # atoms


def encode_escape(claim: EscapeClaim, to: bytes) -> bytes:
    """Return the calldata of `escape`; only the owner itself may name another receiver."""
    assert len(claim.account_siblings) == WITHDRAWAL_TREE_DEPTH
    assert len(claim.entry_siblings) == BALANCE_TREE_DEPTH
    assert len(claim.fees) <= FEE_ASSETS_MAX
    head_words = STATE_WORDS + ACCOUNT_WORDS + ENTRY_WORDS + 2
    return (
        selectors("Settlement")["escape"]
        + encode_state_words(claim.words)
        + encode_words(claim.account, claim.owner, claim.rest_hash, *claim.account_siblings)
        + encode_words(claim.entry, claim.sub, claim.asset, claim.free, claim.held)
        + encode_words(*claim.entry_siblings, head_words * WORD, to)
        + encode_words(len(claim.fees))
        + encode_fees(claim.fees)
    )


def encode_refund(claim: RefundClaim, to: bytes) -> bytes:
    """Return the calldata of `refund`; only the depositor itself may name another receiver."""
    head_words = STATE_WORDS + 1 + 5 + 1
    return (
        selectors("Settlement")["refund"]
        + encode_state_words(claim.words)
        + encode_words(head_words * WORD)
        + encode_words(claim.id, claim.token, claim.depositor, claim.beneficiary, claim.amount, to)
        + encode_words(len(claim.cursors))
        + encode_cursors(claim.cursors)
    )


def encode_cursors(cursors: Sequence[VaultCursor]) -> bytes:
    """Return the cursors' words, whose keccak is the state root's deposits word."""
    return b"".join(encode_words(one.chain_id, one.vault, one.credited) for one in cursors)
