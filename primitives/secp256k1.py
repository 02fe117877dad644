"""Sign and recover with secp256k1, as wallets and the EVM do.

Rule: signatures are 65 bytes r ‖ s ‖ v with s in the lower half; any other form is refused, so no
signature has a twin.
Spec: SEC 1/2; EIP-2 (low s); Ethereum yellow paper App. F.
Deviations: none.
"""

from __future__ import annotations

from typing import Final

import coincurve

from primitives.errors import InvalidSignature
from primitives.keccak import keccak256

SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF_ORDER: Final = (SECP256K1_ORDER // 2).to_bytes(32, "big")
_RECOVERY_ID: Final = {0: b"\0", 1: b"\1", 27: b"\0", 28: b"\1"}
_recover = coincurve.PublicKey.from_signature_and_message


def public_key_to_address(public_key: bytes) -> bytes:
    """Return the 20-byte address of a 33- or 65-byte public key. Raises InvalidSignature."""
    try:
        key = coincurve.PublicKey(public_key)
    except ValueError as error:
        raise InvalidSignature("not a point of secp256k1") from error
    return keccak256(key.format(compressed=False)[1:])[12:]


class PrivateKey:
    """A secret key; its address is cached. Never printed."""

    __slots__ = ("_key", "address", "public_key", "secret")

    def __init__(self, secret: bytes) -> None:
        """Take 32 secret bytes. Raises ValueError outside 1 … order - 1."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < SECP256K1_ORDER:
            raise ValueError("a secret key is 32 bytes between 1 and the order of the curve")
        self._key = coincurve.PrivateKey(secret)
        self.secret: bytes = secret
        self.public_key: bytes = self._key.public_key.format()
        self.address: bytes = public_key_to_address(self.public_key)

    @classmethod
    def generate(cls) -> PrivateKey:
        """Make a key from the operating system's randomness."""
        return cls(coincurve.PrivateKey().secret)

    def sign(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest (deterministic, RFC 6979); v is 27 or 28."""
        if len(digest) != 32:
            raise ValueError("a digest is 32 bytes")
        signature: bytes = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])

    def __repr__(self) -> str:
        return f"PrivateKey(address=0x{self.address.hex()})"


def recover_address(digest: bytes, signature: bytes) -> bytes:
    """Return the address that signed; v is 0, 1, 27 or 28. Raises InvalidSignature."""
    if len(signature) != 65 or len(digest) != 32:
        raise InvalidSignature("a signature is 65 bytes over a digest of 32")
    recovery_id = _RECOVERY_ID.get(signature[64])
    if recovery_id is None or signature[32:64] > _HALF_ORDER:
        raise InvalidSignature("v is not 0, 1, 27 or 28, or s is in the upper half")
    try:
        public_key = _recover(signature[:64] + recovery_id, digest, hasher=None)
    except Exception as error:  # the library raises nothing narrower
        raise InvalidSignature("the signature fits no key") from error
    return keccak256(public_key.format(compressed=False)[1:])[12:]


def verify_signature(digest: bytes, signature: bytes, address: bytes) -> None:
    """Raise InvalidSignature unless `address` signed the digest."""
    if recover_address(digest, signature) != address:
        raise InvalidSignature("signed by another key")
