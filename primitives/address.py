"""Write and read Ethereum addresses.

Rule: bytes inside, EIP-55 text at the edges.
Spec: EIP-55.
Deviations: all-lower and all-upper hex is accepted, as wallets do.
"""

from __future__ import annotations

from primitives.errors import InvalidMessage
from primitives.keccak import keccak256


def to_checksum(address: bytes) -> str:
    """Return the EIP-55 form of 20 bytes."""
    if len(address) != 20:
        raise ValueError("an address is 20 bytes")
    text = address.hex()
    digest = keccak256(text.encode()).hex()
    return "0x" + "".join(
        c.upper() if nibble >= "8" else c for c, nibble in zip(text, digest, strict=False)
    )


def parse_address(text: str) -> bytes:
    """Read 0x-prefixed hex of 20 bytes; mixed case must match. Raises InvalidMessage."""
    body = text[2:] if text[:2] in ("0x", "0X") else ""
    try:
        address = bytes.fromhex(body)
    except ValueError:
        address = b""
    if len(body) != 40 or len(address) != 20:
        raise InvalidMessage("an address is 0x and 40 hexadecimal digits")
    if body not in (body.lower(), body.upper()) and to_checksum(address)[2:] != body:
        raise InvalidMessage("the checksum of the address does not fit (EIP-55)")
    return address
