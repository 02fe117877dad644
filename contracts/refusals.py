"""Tell what an EVM node means when it does not take a transaction.

Rule: nodes word the same thing differently; what no wording is known of counts as a refusal of the
transaction itself, never as one that was sent.

Spec: docs/spec/settlement.md §10; wordings of geth, Nethermind, Besu, Erigon, anvil, py-evm
Deviations: none
"""

from __future__ import annotations

from enum import Enum

from contracts.errors import RpcRefused


class Refusal(Enum):
    """Why a transaction was not taken; those that tell most of its fate come first."""

    KNOWN = "the node has this very transaction"
    NONCE_USED = "a mined transaction of the account has its nonce"
    NONCE_WAITS = "another transaction of the account waits under its nonce, and pays as much"
    CHEAP = "it offers less than the chain wants now"
    NO_FUNDS = "the account cannot pay for it"
    OTHER = "the node does not take it as it is"


WORDS = {
    Refusal.KNOWN: (
        "already known",
        "known transaction",
        "already imported",
        "alreadyknown",
        "already exists",
        "already in mempool",
        "already in the pool",
    ),
    Refusal.NONCE_USED: (
        "nonce too low",
        "nonce is too low",
        "old nonce",
        "oldnonce",
        "invalid transaction nonce",
        "nonce has already been used",
    ),
    Refusal.NONCE_WAITS: (
        "replacement transaction underpriced",
        "replacement fee too low",
        "could not replace existing",
        "replacementnotallowed",
        "another transaction with same nonce",
        "transaction with the same nonce",
    ),
    Refusal.CHEAP: (
        "underpriced",
        "fee too low",
        "feetoolow",
        "less than block base fee",
        "below the minimum",
        "max fee per gas less than",
        "gas price too low",
    ),
    Refusal.NO_FUNDS: (
        "insufficient funds",
        "insufficient balance",
        "insufficientfunds",
        "upfront cost exceeds",
    ),
}


def meaning_of(problem: RpcRefused) -> Refusal:
    """Return what a refusal of eth_sendRawTransaction means."""
    message = problem.message.lower()
    for refusal, words in WORDS.items():
        if any(word in message for word in words):
            return refusal
    return Refusal.OTHER


def most_telling(refusals: list[RpcRefused]) -> RpcRefused:
    """Return the refusal that tells most of the transaction's fate; of equal ones the first."""
    order = list(Refusal)
    return min(refusals, key=lambda one: order.index(meaning_of(one)))
