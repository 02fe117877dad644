"""Read what the validator registry publishes: after every change, the validator's whole record.

Rule: records are numbered without gaps; a reader that has seen all numbers has missed nothing.

Spec: docs/spec/settlement.md §9
Deviations: none
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from contracts.settlement_calls import Event, as_integer
from primitives.errors import TransientError

REGISTRY: Final = "ValidatorRegistry"
CHANGED: Final = "ValidatorChanged"


class Change(enum.IntEnum):
    """What happened to a validator."""

    REGISTERED = 1
    STAKE_ADDED = 2
    HOT_KEY = 3
    SERVICES = 4
    """Services, network key or payout."""
    EXIT_REQUESTED = 5
    STAKE_WITHDRAWN = 6
    """It has left: all values are zero."""
    SLASHED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorChange:
    """A `ValidatorChanged` event: the record after the change."""

    number: int
    change: Change
    owner: bytes
    hot_key: bytes
    payout: bytes
    network_key: bytes
    services: int
    stake: int  # atoms
    exiting: bool
    block_number: int
    log_index: int
    transaction_hash: bytes


def decode_validator_change(log: Any) -> ValidatorChange:
    """Return a `ValidatorChanged` event; raises TransientError for anything else."""
    event = Event(log, REGISTRY, CHANGED, data_words=6, indexed=3)
    hot_key, payout, network_key, services, stake, exiting = event.words
    change = as_integer(event.topics[3])
    if not 1 <= change <= max(Change):
        raise TransientError("EVM RPC: a change of a validator that there cannot be")
    return ValidatorChange(
        number=as_integer(event.topics[1]),
        change=Change(change),
        owner=event.topics[2][12:],
        hot_key=hot_key[12:],
        payout=payout[12:],
        network_key=network_key,
        services=as_integer(services),
        stake=as_integer(stake),
        exiting=as_integer(exiting) == 1,
        block_number=event.block_number,
        log_index=event.log_index,
        transaction_hash=event.transaction_hash,
    )


def order_changes(changes: list[ValidatorChange]) -> tuple[ValidatorChange, ...]:
    """Return changes by number; raises TransientError unless they are one gapless run."""
    ordered = sorted(changes, key=lambda one: one.number)
    for before, after in pairwise(ordered):
        if after.number != before.number + 1 or after.block_number < before.block_number:
            raise TransientError("EVM RPC: changes of validators are missing or out of order")
    return tuple(ordered)
