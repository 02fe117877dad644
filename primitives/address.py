"""Write and read EVM addresses as text.

Rule: text becomes an address only here; a mixed-case address with a wrong checksum is refused.
Spec: EIP-55.
Deviations: none.
"""

from __future__ import annotations

import re
from typing import Final

from primitives.errors import InvalidMessage
from primitives.keccak import keccak256

ADDRESS_BYTES: Final = 20
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)


def to_checksum(address: bytes) -> str:
    """Return the EIP-55 text of 20 bytes. Raises ValueError on another length."""
    if len(address) != ADDRESS_BYTES:
        raise ValueError(f"an address is 20 bytes, not {len(address)}")
    digits = address.hex()
    case = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if mark >= "8" else digit for digit, mark in zip(digits, case, strict=False)
    )


def parse_address(text: str) -> bytes:
    """Return the 20 bytes of an address; all lower or all upper case carries no checksum.

    Raises InvalidMessage.
    """
    if not isinstance(text, str) or not _ADDRESS.fullmatch(text):
        raise InvalidMessage("an address is 0x and 40 hexadecimal digits")
    address = bytes.fromhex(text[2:])
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and to_checksum(address) != text:
        raise InvalidMessage("the checksum of the address is wrong: a digit was mistyped")
    return address
