"""Bound what the primitives parse.

Rule: every maximum of this room is named here, with its unit.
Spec: docs/spec/wire.md. Deviations: none.
"""

from __future__ import annotations

from typing import Final

MESSAGE_BYTES_MAX: Final = 4 << 20  # one MessagePack message unless the caller says less
NODE_BYTES_MAX: Final = 2 << 20  # one DAG-CBOR block
NESTING_DEPTH_MAX: Final = 64  # DAG-CBOR lists and maps inside each other
TREE_DEPTH_MAX: Final = 64  # levels of a Merkle tree
TYPED_DATA_DEPTH_MAX: Final = 32  # EIP-712 structs and arrays inside each other
