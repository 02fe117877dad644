"""Show what the EVM side has accepted, beside what the ledger says.

Rule: pure mapping; figures of a chain were read by its monitor, the rest is the ledger's.
Spec: docs/reference/api.md (Settlement). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from exchange.ledger import compute_shares
from exchange.state import Asset, State
from node.api.settlement_views import Checkpoint, FeeSplit, Settlement
from node.settlement.vault_monitor import VaultMonitor
from node.views.vault_views import show_left, show_vault
from primitives.cid import DAG_CBOR, Cid


def show_settlement(monitors: Sequence[VaultMonitor], state: State) -> Settlement:
    """Return the newest accepted root, the fees of both sides, and every vault."""
    newest = max(
        (m.status for m in monitors if m.status is not None),
        key=lambda status: status.executed_height,
        default=None,
    )
    return Settlement(
        checkpoints=newest.checkpoints if newest else 0,
        height=newest.executed_height if newest else 0,
        state_root=newest.state_root if newest else bytes(32),
        fees=_show_settled_fees(monitors, state),
        ledger_fees=tuple(_show_ledger_fee(state, asset) for asset in state.assets),
        vaults=tuple(show_vault(one, state.vaults.get(one.place)) for one in monitors),
        left=show_left(state),
        withdrawals=state.withdrawals.size,
        recent=_list_checkpoints(monitors),
    )


def _show_ledger_fee(state: State, asset: Asset) -> FeeSplit:
    total = state.fees[asset.id]
    validators, company, development = compute_shares(total)
    return FeeSplit(
        asset=asset.id,
        symbol=asset.name,
        total=total,
        validators=validators,
        company=company,
        development=development,
    )


def _show_settled_fees(monitors: Sequence[VaultMonitor], state: State) -> tuple[FeeSplit, ...]:
    settled = {(*m.place, token): fees for m in monitors for token, fees in m.fees.items()}
    rows = []
    for asset in state.assets:
        found = settled.get((asset.chain_id, asset.vault, asset.token))
        rows.append(
            FeeSplit(
                asset=asset.id,
                symbol=asset.name,
                total=found.total if found else 0,
                validators=found.validators if found else 0,
                company=found.company if found else 0,
                development=found.development if found else 0,
            )
        )
    return tuple(rows)


def _list_checkpoints(monitors: Sequence[VaultMonitor]) -> tuple[Checkpoint, ...]:
    rows = [
        Checkpoint(
            chain_id=monitor.place[0],
            vault=monitor.place[1],
            height=one.executed_height,
            state_root=one.state_root,
            cid=str(Cid(DAG_CBOR, one.snapshot_digest)) if any(one.snapshot_digest) else "",
            tx=one.transaction_hash,
            evm_block=one.evm_block,
        )
        for monitor in monitors
        for one in monitor.accepted
    ]
    return tuple(sorted(rows, key=lambda row: -row.height))
