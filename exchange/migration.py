"""Move the assets of a vault to another vault of the same chain, by a quorum of the committee.

Rule: more than two thirds of the committee's weight must name the same vault and time in the same
round, long enough ahead. At the first checkpoint height at or after that time the assets change
their vault at once: what was withdrawn before is owed by the old vault, what is withdrawn later by
the new one, and no deposit of the old vault is credited any more. So each leaf, fee and deposit
belongs to exactly one vault.
Spec: docs/spec/exchange.md#vault-moves
Deviations: ADR 0265.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.freezing import freeze_markets
from exchange.ledger import compute_shares, credit
from exchange.limits import VAULTS_MAX
from exchange.operations import MoveVault
from exchange.outcome import VaultMoved
from exchange.reasons import Reason
from exchange.state import State
from exchange.vaults import NOWHERE, Retired, Vault

OK: Final = int(Reason.OK)
COUNTED: Final = int(Reason.COUNTED)
NOT_VALIDATOR: Final = int(Reason.NOT_VALIDATOR)
UNKNOWN_VAULT: Final = int(Reason.UNKNOWN_VAULT)
NOT_THIS_ROUND: Final = int(Reason.NOT_THIS_ROUND)
NO_CHANGE: Final = int(Reason.NO_CHANGE)
VAULT_MOVED: Final = int(Reason.VAULT_MOVED)
BAD_MOVE: Final = int(Reason.BAD_MOVE)
INSURANCE_OWNER: Final = bytes(20)


def process_move_vote(
    state: State, committee: Sequence[tuple[bytes, int, bytes]], validator: bytes, op: MoveVault
) -> int:
    """Count a validator's word on where a vault's assets move; act once enough weight agrees.

    A newer word of the same validator in the same round takes the place of its older one. Returns
    OK if it was decided now, COUNTED if it waits for others, or why it was refused.
    """
    vault = state.vaults.get((op.chain_id, op.vault))
    if vault is None:
        return UNKNOWN_VAULT
    weights = {member[0]: member[1] for member in committee}
    if validator not in weights:
        return NOT_VALIDATOR
    if vault.moved_to != NOWHERE:
        return VAULT_MOVED
    if op.round != vault.move_round:
        return NOT_THIS_ROUND
    wanted = (op.successor, op.at_ms)
    if wanted == (vault.next_vault, vault.move_at_ms):
        vault.move_votes.pop(validator, None)  # whoever wants no change takes its word back
        return NO_CHANGE
    if not _is_possible(state, vault, op):
        return BAD_MOVE
    vault.move_votes[validator] = wanted
    agreeing = sum(weights.get(v, 0) for v, word in vault.move_votes.items() if word == wanted)
    if agreeing * 3 <= sum(weights.values()) * 2:
        return COUNTED
    vault.next_vault, vault.move_at_ms = wanted
    vault.move_round += 1
    vault.move_votes.clear()
    return OK


def _is_possible(state: State, vault: Vault, op: MoveVault) -> bool:
    """Tell whether it calls off what was decided, or decides where nothing is."""
    if op.successor == NOWHERE:
        return op.at_ms == 0
    if vault.next_vault != NOWHERE or len(state.vaults) >= VAULTS_MAX:
        return False
    if op.at_ms < state.time_ms + state.genesis.vault_notice_ms:
        return False
    place = (op.chain_id, op.successor)
    taken = [(chain, one.next_vault) for (chain, _), one in state.vaults.items()]
    return place not in state.vaults and place not in taken


def move_vaults(state: State) -> None:
    """Move the assets of every vault whose time has come; called at checkpoint heights after the
    validators' shares were credited.
    """
    due = [
        place
        for place, vault in state.vaults.items()
        if vault.next_vault != NOWHERE and vault.move_at_ms <= state.time_ms
    ]
    for chain_id, address in due:
        old = state.vaults[(chain_id, address)]
        new = Vault()
        new.registry_changes = old.registry_changes
        new.settled_ms = state.time_ms
        state.vaults[(chain_id, old.next_vault)] = new
        for asset in state.assets:
            if (asset.chain_id, asset.vault) == (chain_id, address):
                state.retired.append(_close_account(state, asset.id))
                asset.vault = old.next_vault
        old.moved_to, old.next_vault, old.move_at_ms = old.next_vault, NOWHERE, 0
        old.move_round += 1
        old.move_votes.clear()
        old.votes.clear()
        old.settled_votes.clear()
        old.doubts.clear()
        old.frozen = 0
        state.log.moves.append(VaultMoved(chain_id, address, old.moved_to))
    if due:
        freeze_markets(state)


def _close_account(state: State, number: int) -> Retired:
    """Close an asset's fees with its vault. What does not divide among the validators goes to the
    insurance account, so that the count of fees with the next vault starts at zero.
    """
    fees = state.fees[number]
    validators, company, development = compute_shares(fees)
    rest = validators - state.fees_shared[number]
    assert rest >= 0
    if rest:
        credit(state, INSURANCE_OWNER, 0, number, rest)
    state.fees[number] = state.fees_shared[number] = 0
    state.treasury_left[number] += company + development
    owed = state.deposited[number] - state.withdrawn[number] - state.treasury_left[number]
    asset = state.assets[number]
    return Retired(
        asset=number,
        chain_id=asset.chain_id,
        vault=asset.vault,
        token=asset.token,
        height=state.height,
        fees=fees,
        owed=owed,
    )
