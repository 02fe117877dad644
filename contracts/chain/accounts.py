"""Derive the prefunded accounts of a devnet chain from its seed.

Rule: the keys are public by construction; nothing of value may ever be sent to them.

Spec: docs/spec/settlement.md §12
Deviations: none
"""

from __future__ import annotations

from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

BALANCE_WEI = 1_000_000 * 10**18
"""What each account holds in the genesis block."""


def account_key(seed: int, index: int) -> PrivateKey:
    """Return the key of account `index` (0, 1, …) of the chain with a seed."""
    preimage = b"omnibazaar devnet account" + seed.to_bytes(8, "big") + index.to_bytes(4, "big")
    return PrivateKey(keccak256(preimage))


def account_keys(seed: int, count: int) -> tuple[PrivateKey, ...]:
    """Return the keys of the first `count` accounts."""
    return tuple(account_key(seed, index) for index in range(count))
