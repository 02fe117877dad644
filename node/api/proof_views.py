"""Answer with proofs that a client checks for itself.

Rule: every hash as it was proven, so that nothing here has to be trusted.
Spec: docs/spec/light-client.md. Deviations: none.
"""

from __future__ import annotations

from node.api.views import Address, Amount, Hex, View


class CommitteeSeat(View, frozen=True, kw_only=True):
    """One seat of the committee that signed."""

    address: Address
    weight: int


class BalanceProof(View, frozen=True, kw_only=True):
    """One balance, proven by a final header (docs/spec/light-client.md)."""

    owner: Address
    account: int
    sub: int
    asset: int
    entry: int  # place among the account's balances
    free: Amount
    held: Amount
    entry_siblings: tuple[Hex, ...]
    account_siblings: tuple[Hex, ...]
    roots: tuple[Hex, ...]  # the words of the state root
    headers: tuple[Hex, ...]  # the first states that root, the last is certified
    certificate: Hex  # MessagePack, as on the wire
    members: tuple[CommitteeSeat, ...]
