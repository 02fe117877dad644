"""Bounds of the contracts room: RPC, client, build and the devnet chain.

Rule: every size, count, timeout and retry of this room is named here with its unit.

Spec: docs/spec/settlement.md
Deviations: none
"""

from __future__ import annotations

# --- contracts -------------------------------------------------------------------------------
CODE_SIZE_MAX_BYTES = 24_576
"""EIP-170."""
HEADERS_MAX = 64
"""Headers from a checkpoint to its certified descendant, both included (Finality.HEADERS_MAX)."""
MEMBERS_MAX = 128
"""Committee seats (Finality.MEMBERS_MAX)."""
WITHDRAWAL_TREE_DEPTH = 32
"""Siblings in a withdrawal proof."""
FEE_ASSETS_MAX = 1_024
"""Assets in the fees root of one network."""
DEPOSIT_MAX_ATOMS = 2**128 - 1
"""Largest single deposit (Settlement.DEPOSIT_MAX)."""

# --- build -----------------------------------------------------------------------------------
NPM_INSTALL_SECONDS_MAX = 300
COMPILE_SECONDS_MAX = 300
