"""Sealed commits: what they hide, what they hold, what their bond is.

Rule: the arithmetic of a commit is here, for the ledger and for clients alike.
Spec: docs/spec/exchange.md#sealed-batches
Deviations: bond and fee of a commit are in the asset it holds, not always in quote (ADR 0022).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange import limits
from exchange.accounts import Account
from exchange.operations import HOLD_BASE, HOLD_BOTH, HOLD_QUOTE, Place
from primitives.keccak import keccak256

_encoder: Final = msgspec.msgpack.Encoder()
NO_TIER: Final = -1


def compute_commit_hash(
    domain: bytes, account: bytes, market: int, nonce_ms: int, orders: Sequence[Place], salt: bytes
) -> bytes:
    """Compute the hash by which a commit hides its orders; `nonce_ms` is the committing
    action's.
    """
    packed = _encoder.encode(tuple(orders))
    head = domain + account + market.to_bytes(4, "big") + nonce_ms.to_bytes(8, "big")
    return keccak256(head + packed + salt)


def split_tier(hold: int, tier: int) -> tuple[int, int]:
    """Return (quote tier, base tier) of a commit; `NO_TIER` for what it does not hold or is too
    large.
    """
    quote, base = NO_TIER, NO_TIER
    if hold == HOLD_QUOTE:
        quote = tier
    elif hold == HOLD_BASE:
        base = tier
    else:
        quote, base = divmod(tier, limits.BASE_TIERS)
    bad = quote > limits.QUOTE_TIER_MAX or base > limits.BASE_TIER_MAX
    return (NO_TIER, NO_TIER) if bad else (quote, base)


def compute_tier_atoms(tier: int, unit: int) -> int:
    """Return the atoms of a tier: 10**tier units (`tick` for quote, `lot` for base), 0 for no
    tier.
    """
    return 0 if tier == NO_TIER else 10**tier * unit


def find_tier(amount: int, unit: int) -> int:
    """Return the smallest tier that holds `amount` atoms."""
    tier = 0
    while 10**tier * unit < amount:
        tier += 1
    return tier


def choose_tier(quote_atoms: int, base_atoms: int, tick: int, lot: int) -> tuple[int, int]:
    """Choose (hold, tier) for orders that need so much quote (with the taker fee) and base."""
    if not base_atoms:
        return HOLD_QUOTE, find_tier(quote_atoms, tick)
    if not quote_atoms:
        return HOLD_BASE, find_tier(base_atoms, lot)
    both = find_tier(quote_atoms, tick) * limits.BASE_TIERS + find_tier(base_atoms, lot)
    return HOLD_BOTH, both


def compute_needs(
    orders: Sequence[Place], tick: int, lot: int, taker_bps: int, builder_ppm: int = 0
) -> tuple[int, int]:
    """Compute the (quote, base) atoms that hidden orders may cost together."""
    quote = base = 0
    for order in orders:
        if order.side:
            base += order.size * lot
        else:
            cost = order.price * order.size * tick
            quote += cost - -cost * taker_bps // limits.BPS + cost * builder_ppm // limits.PPM
    return quote, base


def compute_part(atoms: int, ppm: int) -> int:
    """Return millionths of an amount, rounded up."""
    return -(-atoms * ppm // limits.PPM)


def get_bond_ppm(base_ppm: int, account: Account, time_ms: int) -> int:
    """Return the account's bond: quadrupled for each forfeit until a day passes without one."""
    if account.forfeit_count == 0 or time_ms - account.forfeit_ms > limits.FORFEIT_MEMORY_MS:
        return base_ppm
    doublings = min(2 * account.forfeit_count, limits.BOND_DOUBLINGS_MAX)
    return min(base_ppm << doublings, limits.PPM)


def note_forfeit(account: Account, time_ms: int) -> None:
    """Remember that the account let a commit lapse."""
    if time_ms - account.forfeit_ms > limits.FORFEIT_MEMORY_MS:
        account.forfeit_count = 0
    account.forfeit_count += 1
    account.forfeit_ms = time_ms
