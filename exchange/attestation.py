"""Credit deposits that more than two thirds of the committee's weight attests.

Rule: a vault's windows are applied in a chain of content hashes, its deposits by consecutive ids:
nothing is credited twice, skipped or out of order, whatever validators send. Changes in the
validator registry are handed on by consecutive numbers likewise.
Spec: docs/spec/exchange.md#deposits
Deviations: only non-empty windows are attested (ADR 0021).
"""

from __future__ import annotations

from collections.abc import Sequence

from exchange.ledger import credit
from exchange.limits import ATTESTATION_GRACE_BLOCKS
from exchange.operations import Attest, decode_amount
from exchange.outcome import DepositCredited, WindowClosed
from exchange.reasons import Reason
from exchange.state import State
from exchange.vaults import NOWHERE, STALE, Applied, OpenWindow, Vault, compute_window_hash

OK = int(Reason.OK)
COUNTED = int(Reason.COUNTED)
UNKNOWN_VAULT = int(Reason.UNKNOWN_VAULT)
VAULT_MOVED = int(Reason.VAULT_MOVED)
VAULT_FROZEN = int(Reason.VAULT_FROZEN)
NOT_VALIDATOR = int(Reason.NOT_VALIDATOR)
ATTESTED_ALREADY = int(Reason.ATTESTED_ALREADY)
ATTESTATION_NOT_NEXT = int(Reason.ATTESTATION_NOT_NEXT)
BAD_DEPOSITS = int(Reason.BAD_DEPOSITS)


def process_attestation(
    state: State, committee: Sequence[tuple[bytes, int, bytes]], validator: bytes, op: Attest
) -> int:
    """Count a validator's attestation; apply the window once enough weight agrees.

    Returns OK if it was applied now, COUNTED if it waits for others, or why it was refused.
    """
    vault = state.vaults.get((op.chain_id, op.vault))
    if vault is None:
        return UNKNOWN_VAULT
    weights = {member[0]: member[1] for member in committee}
    if validator not in weights:
        return NOT_VALIDATOR
    content = compute_window_hash(op)
    late = vault.open_windows.get(content)
    if late is not None:
        late.attesters.add(validator)
        return ATTESTED_ALREADY
    if vault.moved_to != NOWHERE:
        return VAULT_MOVED
    if op.previous != vault.last_hash:
        applied = content == vault.last_hash or op.window <= vault.window
        return ATTESTED_ALREADY if applied else ATTESTATION_NOT_NEXT
    if op.window < vault.window:
        return ATTESTATION_NOT_NEXT
    if not op.deposits and not op.events:
        return BAD_DEPOSITS
    if op.deposits and vault.frozen & STALE:
        return VAULT_FROZEN
    for offset, deposit in enumerate(op.deposits):
        if deposit.id != vault.credited + offset:
            return BAD_DEPOSITS
    for offset, event in enumerate(op.events):
        if event.number != vault.registry_changes + offset:
            return BAD_DEPOSITS
    vault.votes[validator] = content
    agreeing = sum(weights.get(v, 0) for v, vote in vault.votes.items() if vote == content)
    if agreeing * 3 <= sum(weights.values()) * 2:
        return COUNTED
    _apply_window(state, vault, op, content)
    return OK


def _apply_window(state: State, vault: Vault, op: Attest, content: bytes) -> None:
    vault.before = Applied(op.previous, vault.credited, vault.registry_changes, op.end_hash)
    vault.doubts.clear()  # more than two thirds see the chain as before
    for deposit in op.deposits:
        amount = decode_amount(deposit.amount)
        asset = _find_asset(state, op.chain_id, op.vault, deposit.token)
        number = -1
        if asset >= 0:
            balance = credit(state, deposit.beneficiary, 0, asset, amount)
            number = balance.account.number
            state.deposited[asset] += amount
        state.log.deposits.append(
            DepositCredited(op.chain_id, op.vault, deposit.id, number, asset, amount)
        )
        vault.credited += 1
    for event in op.events:
        vault.registry_changes += 1
        state.log.registry.append(event)
    attesters = {validator for validator, vote in vault.votes.items() if vote == content}
    vault.open_windows[content] = OpenWindow(op.window, state.height, attesters)
    vault.window = op.window
    vault.last_hash = content
    vault.votes.clear()


def close_windows(state: State) -> None:
    """Hand out who attested the windows whose time for late attestations is over."""
    for (chain_id, address), vault in state.vaults.items():
        due = [
            content
            for content, one in vault.open_windows.items()
            if state.height - one.height >= ATTESTATION_GRACE_BLOCKS
        ]
        for content in due:
            closed = vault.open_windows.pop(content)
            attesters = tuple(sorted(closed.attesters))
            state.log.windows.append(WindowClosed(chain_id, address, closed.window, attesters))


def _find_asset(state: State, chain_id: int, vault: bytes, token: bytes) -> int:
    for asset in state.assets:
        if asset.token == token and asset.vault == vault and asset.chain_id == chain_id:
            return asset.id
    return -1
