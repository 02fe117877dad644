"""Show proofs in the form the API answers with.

Rule: every hash as it was proven; nothing is computed anew here.
Spec: docs/spec/light-client.md; docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from exchange.outcome import StateRoots
from node.api.proof_views import BalanceProof, CommitteeSeat
from node.settlement.balance_proofs import ProvenBalance
from primitives import codec


def list_roots(words: StateRoots) -> tuple[bytes, ...]:
    """Return the seven words whose hash is a state root, in their order."""
    return (
        words.height.to_bytes(32, "big"),
        words.accounts,
        words.withdrawals,
        words.deposits,
        words.fills,
        words.effects,
        words.rest,
    )


def make_balance_proof(found: ProvenBalance) -> BalanceProof:
    """Return the view of a proven balance."""
    proof = found.proof
    return BalanceProof(
        owner=proof.owner,
        account=proof.account,
        sub=proof.sub,
        asset=proof.asset,
        entry=proof.entry,
        free=proof.free,
        held=proof.held,
        entry_siblings=tuple(proof.entry_siblings),
        account_siblings=tuple(proof.account_siblings),
        roots=list_roots(proof.words),
        headers=found.headers,
        certificate=codec.encode(found.certificate),
        members=tuple(
            CommitteeSeat(address=member.address, weight=member.weight) for member in found.members
        ),
    )
