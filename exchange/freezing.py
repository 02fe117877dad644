"""Freeze a vault's assets when its chain has lost the ledger, or validators see another chain.

Rule: a vault is frozen while the newest checkpoint that it is attested to have accepted is too old,
or while a third of the committee's weight doubts its last applied window; at the start of each
block, from the ledger's time and the words of validators alone. While it is frozen its assets can
be neither withdrawn nor transferred nor deposited, and their markets take no orders; nothing ever
keeps an owner from cancelling.
Spec: docs/spec/exchange.md#freezes
Deviations: ADR 0266.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.governance import void_batches
from exchange.market import CANCEL_ONLY, DELISTED
from exchange.operations import Doubt, Settled
from exchange.outcome import MarketChanged, VaultFrozen
from exchange.reasons import Reason
from exchange.state import State
from exchange.vaults import DOUBTED, NOWHERE, STALE, Vault

OK: Final = int(Reason.OK)
COUNTED: Final = int(Reason.COUNTED)
NOT_VALIDATOR: Final = int(Reason.NOT_VALIDATOR)
UNKNOWN_VAULT: Final = int(Reason.UNKNOWN_VAULT)
VAULT_MOVED: Final = int(Reason.VAULT_MOVED)
ATTESTED_ALREADY: Final = int(Reason.ATTESTED_ALREADY)
ATTESTATION_NOT_NEXT: Final = int(Reason.ATTESTATION_NOT_NEXT)
NO_CHANGE: Final = int(Reason.NO_CHANGE)
FROZEN: Final = int(Reason.VAULT_FROZEN)

Members = Sequence[tuple[bytes, int, bytes]]


def process_settled(state: State, committee: Members, validator: bytes, op: Settled) -> int:
    """Count a validator's word that a vault has accepted the checkpoint of a height.

    The greatest height that more than two thirds of the weight say, or exceed, is settled. Returns
    OK if it grew now, COUNTED if it waits for others, or why the word was refused.
    """
    vault = state.vaults.get((op.chain_id, op.vault))
    weights = {member[0]: member[1] for member in committee}
    reason = _check(vault, weights, validator)
    if vault is None or reason:
        return reason
    if op.height <= max(vault.settled_height, vault.settled_votes.get(validator, 0)):
        return ATTESTED_ALREADY
    if op.height >= state.height:
        return ATTESTATION_NOT_NEXT
    vault.settled_votes[validator] = op.height
    agreeing = 0
    for height, key in sorted([(h, key) for key, h in vault.settled_votes.items()], reverse=True):
        agreeing += weights.get(key, 0)
        if agreeing * 3 > sum(weights.values()) * 2:
            vault.settled_height, vault.settled_ms = height, state.time_ms
            newer = {key: h for key, h in vault.settled_votes.items() if h > height}
            vault.settled_votes = newer
            return OK
    return COUNTED


def process_doubt(state: State, committee: Members, validator: bytes, op: Doubt) -> int:
    """Take a validator's word that it sees, or does not see, what was applied last of a vault.

    Returns OK or why it was refused. What it does shows at the start of the next block.
    """
    vault = state.vaults.get((op.chain_id, op.vault))
    weights = {member[0]: member[1] for member in committee}
    reason = _check(vault, weights, validator)
    if vault is None or reason:
        return reason
    if op.content != vault.last_hash or not any(op.content):
        return ATTESTATION_NOT_NEXT
    if op.doubts == (validator in vault.doubts):
        return NO_CHANGE
    if op.doubts:
        vault.doubts.add(validator)
    else:
        vault.doubts.discard(validator)
    return OK


def _check(vault: Vault | None, weights: dict[bytes, int], validator: bytes) -> int:
    if vault is None:
        return UNKNOWN_VAULT
    if validator not in weights:
        return NOT_VALIDATOR
    return OK if vault.moved_to == NOWHERE else VAULT_MOVED


def begin_freezes(state: State, committee: Members) -> None:
    """Freeze and thaw vaults for the block in execution."""
    limit_ms = state.genesis.freeze_after_ms
    has_changed = False
    for (chain_id, address), vault in state.vaults.items():
        if not vault.settled_ms:
            vault.settled_ms = state.time_ms
        frozen = 0
        if vault.moved_to == NOWHERE:
            if limit_ms and state.time_ms - vault.settled_ms > limit_ms:
                frozen |= STALE
            if vault.doubts and _is_doubted(vault, committee):
                frozen |= DOUBTED
        if frozen != vault.frozen:
            vault.frozen = frozen
            has_changed = True
            state.log.freezes.append(VaultFrozen(chain_id, address, frozen))
    if has_changed:
        freeze_markets(state)


def _is_doubted(vault: Vault, committee: Members) -> bool:
    doubting = sum([member[1] for member in committee if member[0] in vault.doubts])
    return doubting * 3 >= sum([member[1] for member in committee])


def freeze_markets(state: State) -> None:
    """Freeze the markets of frozen assets and thaw the others; what waits in a batch ends."""
    for market in state.markets:
        frozen = state.is_frozen(market.base) or state.is_frozen(market.quote)
        if frozen == market.is_frozen:
            continue
        market.is_frozen = frozen
        status = market.status
        if frozen:
            market.uncrossing, market.auction_price = False, 0  # it is held anew, after the thaw
            void_batches(market, FROZEN)
            status = DELISTED if status == DELISTED else CANCEL_ONLY
        state.log.market_changes.append(
            MarketChanged(market.id, status, market.round, market.cause, market.reopens_ms)
        )
