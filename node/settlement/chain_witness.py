"""Tell the ledger how far a vault follows it, and whether the chain still is what was attested.

Rule: a word is sent when it is news to the ledger, and again while it is; what is doubted are the
deposits and registry changes of the window that was applied last, not the hashes of its blocks.
Spec: docs/spec/exchange.md#freezes; docs/spec/node.md (Settlement). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from exchange.operations import Doubt, Settled
from exchange.vaults import DOUBTED, STALE, Vault, compute_window_hash
from node.limits import WITNESS_RESEND_MS
from node.network_file import Chain
from node.settlement.evm_windows import Window, make_attestation, read_cursor_before


class ChainWitness:
    """What one validator says of one vault. Pure: the caller reads the chain and sends."""

    def __init__(self, chain: Chain, accepted_height: Callable[[], int], me: bytes) -> None:
        """`accepted_height` returns the executed height of the newest confirmed checkpoint."""
        self._chain = chain
        self._accepted_height = accepted_height
        self._me = me
        self._said: tuple[Settled | Doubt | None, int] = (None, 0)

    def find_settled(self, vault: Vault, now_ms: int) -> Settled | None:
        """Return the word on the newest checkpoint if the ledger wants one."""
        height = self._accepted_height()
        if height <= max(vault.settled_height, vault.settled_votes.get(self._me, 0)):
            return None
        op = Settled(self._chain.chain_id, self._chain.vault_bytes, height)
        return op if self._is_due(op, now_ms) else None

    def judge(self, vault: Vault, window: Window | None, now_ms: int) -> Doubt | None:
        """Return the word on the last applied window if it is not what the ledger knows of us.

        `window` is that window as this node sees it now; None if it cannot tell.
        """
        if window is None or vault.before is None:
            return None
        doubts = not is_as_applied(self._chain, vault, window)
        if doubts == (self._me in vault.doubts):
            return None
        op = Doubt(self._chain.chain_id, self._chain.vault_bytes, vault.last_hash, doubts)
        return op if self._is_due(op, now_ms) else None

    def _is_due(self, op: Settled | Doubt, now_ms: int) -> bool:
        said, said_ms = self._said
        if said == op and now_ms - said_ms < WITNESS_RESEND_MS:
            return False
        self._said = (op, now_ms)
        return True


def name_freezes(frozen: int) -> tuple[str, ...]:
    """Say in words why a vault is frozen; nothing if it is not."""
    words = (
        (STALE, "no checkpoint of it has been settled for too long"),
        (DOUBTED, "a third of the validators' weight sees another chain"),
    )
    return tuple(text for bit, text in words if frozen & bit)


def is_as_applied(chain: Chain, vault: Vault, window: Window) -> bool:
    """Tell whether a window has just what was applied of it; its blocks may be others."""
    before = vault.before
    assert before is not None
    op = make_attestation(chain, window, read_cursor_before(vault))
    if op is None:
        return False
    op = msgspec.structs.replace(op, end_hash=before.end_hash)
    return compute_window_hash(op) == vault.last_hash
