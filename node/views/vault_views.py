"""Show vaults: what they have accepted, and where their assets are, go or have gone.

Rule: pure mapping; what a vault has accepted was read from its chain, the rest is the ledger's.
Spec: docs/reference/api.md (Settlement). Deviations: none.
"""

from __future__ import annotations

from exchange.state import State
from exchange.vaults import NOWHERE, Vault
from node.api.settlement_views import LeftAsset, VaultView
from node.settlement.chain_witness import name_freezes
from node.settlement.vault_monitor import VaultMonitor


def show_vault(monitor: VaultMonitor, vault: Vault | None) -> VaultView:
    """Return a vault; the ledger knows one that is to take over only since assets are there."""
    status = monitor.status
    chain_id, address = monitor.place
    return VaultView(
        chain_id=chain_id,
        vault=address,
        block=monitor.head,
        deposits=vault.credited if vault else 0,
        online=monitor.is_online,
        checkpoints=status.checkpoints if status else 0,
        height=status.executed_height if status else 0,
        archive=monitor.archive.cid_text if monitor.archive else "",
        frozen=name_freezes(vault.frozen) if vault else (),
        settled_height=vault.settled_height if vault else 0,
        settled_ms=vault.settled_ms if vault else 0,
        announced=monitor.announced,
        next_vault=vault.next_vault if vault else NOWHERE,
        move_at_ms=vault.move_at_ms if vault else 0,
        moved_to=vault.moved_to if vault else NOWHERE,
        move_round=vault.move_round if vault else 0,
    )


def show_left(state: State) -> tuple[LeftAsset, ...]:
    """Return the closed accounts of all assets, oldest first."""
    return tuple(
        LeftAsset(
            asset=one.asset,
            symbol=state.assets[one.asset].name,
            chain_id=one.chain_id,
            vault=one.vault,
            token=one.token,
            height=one.height,
            owed=one.owed,
            fees=one.fees,
        )
        for one in state.retired
    )
