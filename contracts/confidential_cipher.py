"""Encrypt and decrypt amounts as COTI's private tokens do, and recover a user's AES key.

Rule: an amount is AES(key, r) xor value ‖ r with a fresh r each time; keys never leave this
process except inside what their owner exports.

Spec: docs/spec/confidential.md §2
Deviations: none
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.modes import ECB

from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

AMOUNT_MAX: Final = 2**64 - 1
"""Largest amount of a 64-bit private token, atoms."""
ONBOARDING: Final = bytes.fromhex("536a67f0cc46513e7d27a370ed1af9fdcc7a5095")
"""COTI's contract that hands out users' keys, on all its networks."""
KEY_BYTES: Final = 16
RSA_BITS: Final = 2_048
RSA_EXPONENT: Final = 65_537
SHARE_BYTES: Final = RSA_BITS // 8
"""Length of one encrypted share of a user's key."""


def encrypt_block(key: bytes, value: int, r: bytes) -> int:
    """Encrypt a value of at most 128 bits under 16 random bytes that were never used before."""
    pad = _pad(key, r)
    plain = value.to_bytes(KEY_BYTES, "big")
    return int.from_bytes(bytes(x ^ y for x, y in zip(pad, plain, strict=True)) + r, "big")


def decrypt_block(key: bytes, ciphertext: int) -> int:
    """Decrypt a ciphertext; the one that was never written, 0, is 0.

    A wrong key gives a wrong value, not an error: there is no checksum in the format.
    """
    if ciphertext == 0:
        return 0
    raw = ciphertext.to_bytes(2 * KEY_BYTES, "big")
    pad = _pad(key, raw[KEY_BYTES:])
    return int.from_bytes(bytes(x ^ y for x, y in zip(pad, raw[:KEY_BYTES], strict=True)), "big")


def encrypt_amount(key: bytes, amount: int) -> int:
    """Encrypt an amount under the user's key. Raises ValueError beyond 64 bits."""
    if not 0 <= amount <= AMOUNT_MAX:
        raise ValueError(f"a private token's amount is between 0 and {AMOUNT_MAX} atoms")
    return encrypt_block(key, amount, secrets.token_bytes(KEY_BYTES))


def decrypt_amount(key: bytes, ciphertext: int) -> int:
    """Decrypt a balance. Raises ValueError when the key cannot be the right one."""
    amount = decrypt_block(key, ciphertext)
    if amount > AMOUNT_MAX:
        raise ValueError("this is not encrypted under the given key")
    return amount


def sign_input(signer: PrivateKey, contract: bytes, selector: bytes, ciphertext: int) -> bytes:
    """Sign an encrypted input for one function of one contract: 65 bytes r, s, v (0 or 1)."""
    message = signer.address + contract + selector + ciphertext.to_bytes(32, "big")
    signature = signer.sign(keccak256(message))
    return signature[:64] + bytes([signature[64] - 27])


class OnboardingKey:
    """A throw-away RSA key by which the network sends a user its AES key."""

    def __init__(self) -> None:
        """Make a fresh one."""
        self._key = rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=RSA_BITS)
        self.public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, signer: PrivateKey) -> bytes:
        """Sign the public key as the account that asks: 65 bytes r, s, v (0 or 1)."""
        signature = signer.sign(keccak256(self.public))
        return signature[:64] + bytes([signature[64] - 27])

    def recover(self, first: bytes, second: bytes) -> bytes:
        """Return the AES key out of its two encrypted shares. Raises ValueError."""
        shares = [self._key.decrypt(share, _oaep()) for share in (first, second)]
        if any(len(share) != KEY_BYTES for share in shares):
            raise ValueError("the shares of the key have a wrong length")
        return bytes(x ^ y for x, y in zip(*shares, strict=True))


def encrypt_share(public: bytes, share: bytes) -> bytes:
    """Encrypt a share under a DER-encoded RSA public key. Raises ValueError for another key."""
    try:
        key = serialization.load_der_public_key(public)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("no RSA key") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != RSA_BITS:
        raise ValueError(f"no RSA key of {RSA_BITS} bits")
    return key.encrypt(share, _oaep())


def _oaep() -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def _pad(key: bytes, r: bytes) -> bytes:
    """AES of one block; ECB of a single block is the block cipher itself."""
    encryptor = Cipher(algorithms.AES(key), ECB()).encryptor()
    return encryptor.update(r) + encryptor.finalize()
