"""Rebuild the vaults of a snapshot: cursors, decided moves, and accounts closed by past moves.

Rule: a vault is one in which an asset was listed or to which assets moved, in order of appearance;
whatever no honest node would have written is refused.
Spec: docs/spec/exchange.md#snapshot, #vault-moves
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence

from exchange.ledger import compute_shares
from exchange.limits import VAULTS_MAX
from exchange.snapshot_records import RetiredRecord, VaultRecord
from exchange.state import State
from exchange.vaults import NOWHERE, Applied, OpenWindow, Retired, Vault
from primitives.errors import InvalidMessage


def load_vaults(
    state: State, records: Sequence[VaultRecord], retired: Sequence[RetiredRecord]
) -> None:
    """Fill the vaults and put each asset where it has moved. Raises InvalidMessage."""
    places = [(record.chain_id, record.address) for record in records]
    moved_to = {(record.chain_id, record.moved_to) for record in records}
    if len(set(places)) != len(places) or len(places) > VAULTS_MAX:
        raise InvalidMessage("the snapshot names a vault twice, or too many")
    if not set(state.vaults) <= set(places) <= set(state.vaults) | moved_to:
        raise InvalidMessage("the snapshot has vaults without assets")
    for number, record in enumerate(records):
        to = (record.chain_id, record.moved_to)
        if record.moved_to != NOWHERE and to not in places[number + 1 :]:
            raise InvalidMessage("the assets of a vault moved to one that was there before")
    state.vaults.clear()
    for place, record in zip(places, records, strict=True):
        state.vaults[place] = _load_vault(record)
    for one in retired:
        _load_retired(state, one)
    for asset in state.assets:
        asset.vault = state.find_present(asset.chain_id, asset.vault)
    for market in state.markets:
        market.is_frozen = state.is_frozen(market.base) or state.is_frozen(market.quote)


def _load_vault(record: VaultRecord) -> Vault:
    vault = Vault()
    vault.credited = record.credited
    vault.window = record.window
    vault.last_hash = record.last_hash
    vault.votes = dict(record.votes)
    vault.registry_changes = record.registry_changes
    for one in record.open_windows:
        vault.open_windows[one.content] = OpenWindow(one.window, one.height, set(one.attesters))
    if record.before is not None:
        last = record.before
        vault.before = Applied(last.previous, last.credited, last.changes, last.end_hash)
    vault.doubts = set(record.doubts)
    vault.settled_height = record.settled_height
    vault.settled_ms = record.settled_ms
    vault.settled_votes = dict(record.settled_votes)
    vault.frozen = record.frozen
    vault.next_vault = record.next_vault
    vault.move_at_ms = record.move_at_ms
    vault.moved_to = record.moved_to
    vault.move_round = record.move_round
    vault.move_votes = {key: (wanted, at_ms) for key, wanted, at_ms in record.move_votes}
    return vault


def _load_retired(state: State, record: RetiredRecord) -> None:
    """Take over a closed account; it must be that of the vault where the asset was until then."""
    asset = state.assets[record.asset]
    if (record.chain_id, record.token) != (asset.chain_id, asset.token):
        raise InvalidMessage("an asset was another token in the vault that it has left")
    while asset.vault != NOWHERE:
        left, asset.vault = asset.vault, state.vaults[(asset.chain_id, asset.vault)].moved_to
        if left == record.vault:
            break
    if asset.vault == NOWHERE:
        raise InvalidMessage("an asset has left a vault in which it was not")
    fees = int.from_bytes(record.fees, "big")
    _, company, development = compute_shares(fees)
    state.treasury_left[asset.id] += company + development
    state.retired.append(
        Retired(
            asset=asset.id,
            chain_id=record.chain_id,
            vault=record.vault,
            token=record.token,
            height=record.height,
            fees=fees,
            owed=int.from_bytes(record.owed, "big"),
        )
    )
