"""Answer about transactions that this node brings for traders without gas.

Rule: what a trader signs is bound to network, chain, vault and amount; nothing here can change it.
Spec: docs/reference/api.md (Relay). Deviations: none.
"""

from __future__ import annotations

from node.api.views import Address, Amount, Hex, View


class RelayFee(View, frozen=True, kw_only=True):
    """What one asset costs."""

    asset: int
    symbol: str
    atoms: Amount  # least fee of a claim or a deposit


class RelayChain(View, frozen=True, kw_only=True):
    """Whether transactions get through on one chain now."""

    chain_id: int
    vault: Address
    relayer: Address  # pays the gas and gets the fees
    healthy: bool  # the chain answers and the account can pay
    waiting: int  # jobs before yours


class RelayTerms(View, frozen=True, kw_only=True):
    """What this node brings for whom; empty lists: nothing."""

    chains: tuple[RelayChain, ...]
    fees: tuple[RelayFee, ...]


class RelayJob(View, frozen=True, kw_only=True):
    """One transaction on its way."""

    id: Hex
    chain_id: int
    kind: str  # claim or deposit
    state: str  # waiting, done, refused
    detail: str  # of a refusal: what the contract or the chain says


class Recipient(View, frozen=True, kw_only=True):
    """What is known of an address that a withdrawal would go to."""

    chain_id: int
    address: Address
    contract: bool | None  # None: the chain cannot be asked now
    warning: str  # empty: nothing speaks against it
