"""Seed the leader slots of each epoch from a block that was final long before its border.

Rule: certificate bytes never enter: one view has several valid certificates.
Spec: docs/spec/consensus.md (Epochs). Deviations: no revealed salts in the seed (ADR 0160).
"""

from __future__ import annotations

from primitives.keccak import keccak256


def compute_genesis_seed(genesis_hash: bytes) -> bytes:
    """Return the seed of the first epoch."""
    return keccak256(genesis_hash)


def compute_next_seed(seed: bytes, block_hash: bytes) -> bytes:
    """Return the seed of the next epoch."""
    return keccak256(seed + block_hash)
