"""Name every maximum of the encodings.

Rule: a decoder of this room refuses what exceeds one of these before it spends work or memory on it.
Spec: docs/spec/encoding.md §5 (Limits).
Deviations: none.
"""

from __future__ import annotations

from typing import Final

CODEC_BYTES_MAX: Final = 1 << 20
"""Default size of one MessagePack message, bytes; callers state a smaller one where they know it."""

DAG_CBOR_BYTES_MAX: Final = 1 << 20
"""Size of one DAG-CBOR node, bytes (a Bitswap block is at most 2 MiB)."""

DAG_CBOR_DEPTH_MAX: Final = 32
"""Lists and maps inside each other."""

CID_BYTES_MAX: Final = 64
"""Binary length of a CID; ours have 36 bytes."""

CID_TEXT_MAX: Final = 128
"""Characters of a CID in any multibase."""

TYPED_DATA_DEPTH_MAX: Final = 16
"""Structs and arrays inside each other in EIP-712 typed data."""

TYPED_DATA_TYPES_MAX: Final = 64
"""Struct types in one EIP-712 document."""

TYPED_DATA_FIELDS_MAX: Final = 64
"""Fields of one EIP-712 struct."""

MERKLE_DEPTH_MAX: Final = 64
"""Levels of a Merkle tree or siblings in a proof."""

MERKLE_LEAVES_MAX: Final = 1 << 26
"""Leaves a dense tree holds in memory (2 GiB); the trees of the ledger stay far below."""
