"""Lay out static ABI words, 32 bytes each.

Rule: a value that does not fit its word is refused, never cut.
Spec: Solidity ABI specification, static types; docs/spec/encoding.md §2 (Words).
Deviations: none.
"""

from __future__ import annotations

from primitives.errors import InvalidMessage

WORD_BYTES = 32


def encode_words(*values: int | bytes) -> bytes:
    """Encode unsigned integers, 20-byte addresses (left-padded) and 32-byte words.

    Raises InvalidMessage on anything that is not exactly one word.
    """
    return b"".join([encode_word(value) for value in values])


def encode_word(value: int | bytes) -> bytes:
    """Encode one word. Raises InvalidMessage."""
    if isinstance(value, int):
        if value < 0 or value >> 256:
            raise InvalidMessage("a word holds 0 to 2^256 - 1")
        return value.to_bytes(32, "big")
    if len(value) == 32:
        return value
    if len(value) == 20:
        return b"\0" * 12 + value
    raise InvalidMessage(f"a word is an integer, 20 or 32 bytes, not {len(value)}")


def decode_words(data: bytes) -> tuple[bytes, ...]:
    """Cut whole words. Raises InvalidMessage on a ragged end."""
    if len(data) % WORD_BYTES:
        raise InvalidMessage("not a whole number of words")
    return tuple(data[i : i + WORD_BYTES] for i in range(0, len(data), WORD_BYTES))
