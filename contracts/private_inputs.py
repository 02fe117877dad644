"""Lay out the calls of private tokens, which carry an amount that their sender encrypted.

Rule: an amount is encrypted anew for every call, so two calls that mean the same are never equal in
bytes; what a call means is found by decrypting its amount.

Spec: docs/spec/confidential.md §2
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from contracts.confidential_cipher import decrypt_amount, encrypt_amount, sign_input
from primitives.address import to_checksum
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

INPUT: Final = "(uint256,bytes)"
APPROVE: Final = f"approve(address,{INPUT})"
DEPOSIT: Final = f"deposit({INPUT},address)"
UNWRAP: Final = f"unwrap({INPUT})"
LAYOUTS: Final = {APPROVE: ["address", INPUT], DEPOSIT: [INPUT, "address"], UNWRAP: [INPUT]}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateCall:
    """A call of one function with one encrypted amount."""

    to: bytes
    function: str
    """Its signature, one of `LAYOUTS`."""
    amount: int
    """Atoms."""
    account: bytes = b""
    """The address beside the amount, if the function takes one."""

    @property
    def selector(self) -> bytes:
        """The function's four bytes."""
        return keccak256(self.function.encode())[:4]

    def encode(self, key: PrivateKey, aes_key: bytes) -> bytes:
        """Return calldata, encrypted and signed anew. Raises ValueError above 64 bits."""
        ciphertext = encrypt_amount(aes_key, self.amount)
        terms = ciphertext, sign_input(key, self.to, self.selector, ciphertext)
        layout = LAYOUTS[self.function]
        values = [terms if kind == INPUT else to_checksum(self.account) for kind in layout]
        return self.selector + encode(layout, values)

    def means(self, to: bytes, payload: bytes, aes_key: bytes) -> bool:
        """Tell whether a transaction that was made earlier does the same."""
        if to != self.to or payload[:4] != self.selector:
            return False
        layout = LAYOUTS[self.function]
        try:
            found = dict(zip(layout, decode(layout, payload[4:]), strict=True))
            amount = decrypt_amount(aes_key, found[INPUT][0])
        except (DecodingError, ValueError):
            return False
        account = bytes.fromhex(found.get("address", "0x")[2:])
        return (amount, account) == (self.amount, self.account)
