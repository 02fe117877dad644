"""Name every maximum of the encodings.

Rule: a decoder of this room refuses what exceeds one of these before it spends work or memory.
Spec: docs/spec/encoding.md §7 (Limits).
Deviations: none.
"""

from __future__ import annotations

from typing import Final

MESSAGE_BYTES_MAX: Final = 4 << 20
"""One MessagePack message, bytes; callers state a smaller size where they know it."""

MESSAGE_DEPTH_MAX: Final = 256
"""MessagePack or JSON containers inside each other: more than any schema has, and far below what
the smallest thread stack carries."""

NODE_BYTES_MAX: Final = 2 << 20
"""One DAG-CBOR block, bytes (what a Bitswap block may be)."""

NESTING_DEPTH_MAX: Final = 64
"""DAG-CBOR lists and maps inside each other."""

CID_BYTES_MAX: Final = 128
"""Binary length of a foreign CID; ours have 36 bytes."""

CID_CHARS_MAX: Final = 128
"""Characters of a CID in any multibase."""

TREE_DEPTH_MAX: Final = 64
"""Levels of a Merkle tree, and siblings in a proof."""

TREE_LEAVES_MAX: Final = 1 << 26
"""Leaves that a dense tree holds in memory (2 GiB); a wild index must not become an allocation."""

TYPED_DATA_DEPTH_MAX: Final = 32
"""EIP-712 structs and arrays inside each other."""

TYPED_DATA_TYPES_MAX: Final = 64
"""Struct types in one EIP-712 document."""

TYPED_DATA_FIELDS_MAX: Final = 64
"""Members of one EIP-712 struct."""
