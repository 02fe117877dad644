"""Show withdrawals, and prove one against the newest root that its vault knows for good.

Rule: a leaf is shown as it was stored; a proof is made for the size the accepted root was made of.
A checkpoint that is not confirmed yet proves nothing: a re-organisation may take it back.
Spec: docs/spec/settlement.md (Withdrawals); docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.api.settlement_views import Withdrawal, WithdrawalProof
from node.blocks.records import decode_roots
from node.replica.ledger import Ledger
from node.settlement.vault_monitor import VaultMonitor
from node.views.proof_views import list_roots
from storage.chain_reader import ChainReader
from storage.writer import ReadPool


def read_withdrawals(
    reader: ChainReader, address: bytes, limit: int, before: int | None
) -> tuple[Withdrawal, ...]:
    """Return an account's withdrawals below an index, newest first."""
    rows = reader.account_withdrawals(address, before=before, limit=limit)
    return tuple(
        Withdrawal(
            index=leaf.index,
            chain_id=leaf.chain_id,
            vault=leaf.vault,
            token=leaf.token,
            amount=leaf.amount,
            to=leaf.to,
            height=row.height,
        )
        for row in rows
        for leaf in (row.withdrawal,)
    )


async def prove_withdrawal(
    index: int,
    *,
    readers: ReadPool[ChainReader],
    monitors: Sequence[VaultMonitor],
    ledger: Ledger,
) -> WithdrawalProof | None:
    """Return a proof against the newest confirmed checkpoint of the withdrawal's vault, or None."""
    stored = await readers.run(ChainReader.withdrawal, index)
    if stored is None:
        return None
    leaf = stored.withdrawal
    place = (leaf.chain_id, leaf.vault)  # one address may be a vault on several chains
    height = next((m.accepted_height() for m in monitors if m.place == place), 0)
    executed = await readers.run(ChainReader.executed, height) if height else None
    if executed is None:
        return None
    roots = decode_roots(executed.roots)
    if index >= roots.withdrawals:
        return None
    return WithdrawalProof(
        index=index,
        chain_id=leaf.chain_id,
        vault=leaf.vault,
        token=leaf.token,
        amount=leaf.amount,
        to=leaf.to,
        height=height,
        count=roots.withdrawals,
        proof=tuple(ledger.state.withdrawals.proof_at(index, roots.withdrawals)),
        roots=list_roots(roots.words),
    )
