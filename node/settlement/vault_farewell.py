"""Choose the last checkpoints of a vault that its assets have left, and find what it has to give.

Rule: the old vault ends with a root of after the move that the new vault has accepted too: by it
anyone can have the funds handed over, and every withdrawal and fee that the old vault owes is
known to it. Then registry and reward token follow the new one too. After that the old vault gets
no checkpoints, closes and refunds what was never credited.
Spec: docs/spec/settlement.md §15. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts.settlement_client import SettlementClient
from contracts.vault_leaving import Step, VaultLeaving
from exchange.state import State
from node.settlement.checkpointer import Candidate
from node.settlement.vaults import find_left_height, list_tokens


class VaultFarewell:
    """One vault's; `choose` blocks and runs in the thread of what sends to the chain."""

    def __init__(
        self,
        *,
        chain_id: int,
        vault: bytes,
        state_of: Callable[[], State],
        client: SettlementClient,
        open_client: Callable[[bytes], SettlementClient],
    ) -> None:
        """`open_client` makes a client of another vault of the chain, for the same thread."""
        self._chain_id = chain_id
        self._vault = vault
        self._state_of = state_of
        self._client = client
        self._leaving = VaultLeaving(client)
        self._open_client = open_client
        self._next: SettlementClient | None = None
        self._done_root = b""
        self._done_height = 0

    def is_left(self) -> bool:
        """Tell whether the assets have left."""
        return find_left_height(self._state_of(), self._chain_id, self._vault) is not None

    def choose(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """Return the newest checkpoint of after the move that the next vault has and this one has
        not, None if there is none or this vault has all that it needs. Raises NodeError.
        """
        state = self._state_of()
        left_height = find_left_height(state, self._chain_id, self._vault)
        assert left_height is not None
        if self._next is None:
            moved_to = state.vaults[(self._chain_id, self._vault)].moved_to
            self._next = self._open_client(moved_to)
        status = self._client.status()
        if status.executed_height >= left_height:
            if self._done_root == status.state_root:
                return None
            if self._next.state_root_at(status.executed_height) == status.state_root:
                self._done_root, self._done_height = status.state_root, status.executed_height
                return None
        for one in reversed(candidates):
            is_news = one.executed_height > status.executed_height
            if one.executed_height < left_height or not is_news:
                return None
            if self._next.state_root_at(one.executed_height) == one.state_root:
                return one
        return None

    def list_steps(self) -> list[Step] | None:
        """Return what is due: funds to hand over, contracts to let follow. Raises NodeError.

        None before `choose` has found that the next vault has this one's last root.
        """
        if not self._done_height:
            return None
        tokens = list_tokens(self._state_of(), self._chain_id, self._vault)
        return self._leaving.list_steps(tokens, self._done_height)
