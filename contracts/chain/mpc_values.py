"""Hold the values behind the handles of one transaction of the emulated precompile.

Rule: a handle is good in the transaction that made it and in no other; an EMULATION, whose keys
everybody knows: it keeps nothing secret.

Spec: docs/spec/confidential.md §5
Deviations: COTI computes on garbled circuits; here values lie in memory in the clear.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from eth.exceptions import Revert

from contracts.confidential_cipher import KEY_BYTES, encrypt_block
from primitives.errors import InvalidSignature
from primitives.keccak import keccak256
from primitives.secp256k1 import recover_address

MPC_ADDRESS: Final = bytes(19) + b"\x64"
BOOL, U8, U16, U32, U64, U128, U256 = range(7)
BITS: Final = {BOOL: 1, U8: 8, U16: 16, U32: 32, U64: 64, U128: 128, U256: 256}
LHS_PUBLIC, RHS_PUBLIC = 1, 2
"""Which operand of an operation is a plain value instead of a handle; 0: none."""
NETWORK_KEY: Final = keccak256(b"omnibazaar devnet: emulated MPC, no secret")[:KEY_BYTES]
SIGNATURE_BYTES: Final = 65


def user_key(address: bytes) -> bytes:
    """Return an account's AES key: a fixed function of network and address."""
    return keccak256(b"user" + NETWORK_KEY + address)[:KEY_BYTES]


def bits_of(kind: int) -> int:
    """Return the width of a type; reverts for a type that does not exist."""
    if kind not in BITS:
        raise Revert(b"")
    return BITS[kind]


class Handles:
    """Values of one transaction."""

    def __init__(self, seed: bytes) -> None:
        self._values: dict[int, int] = {}
        self._seed = seed
        self._draws = 0

    def random(self, *context: bytes) -> bytes:
        """Return 32 bytes that follow from the transaction, so that a replay makes the same."""
        self._draws += 1
        return keccak256(
            b"".join((NETWORK_KEY, self._seed, self._draws.to_bytes(8, "big"), *context))
        )

    def new(self, kind: int, value: int) -> int:
        """Return a handle; the value wraps at the type's width."""
        mask = (1 << bits_of(kind)) - 1
        handle = int.from_bytes(self.random(b"handle"), "big")
        self._values[handle] = value & mask
        return handle

    def get(self, handle: int) -> int:
        """Return the value behind a handle; reverts for one of another transaction."""
        if handle not in self._values:
            raise Revert(b"")
        return self._values[handle]


_handles: weakref.WeakKeyDictionary[Any, Handles] = weakref.WeakKeyDictionary()


def _handles_of(computation: Any) -> Handles:
    context = computation.transaction_context
    if context not in _handles:
        origin = context.origin
        nonce = computation.state.get_nonce(origin).to_bytes(8, "big")
        _handles[context] = Handles(origin + nonce)
    return _handles[context]


class MpcCall:
    """What an operation may look at: the calling contract, its function, the transaction."""

    def __init__(self, computation: Any, parent: Any) -> None:
        self._state = computation.state
        self.contract = bytes(computation.msg.sender)
        self.origin = bytes(computation.transaction_context.origin)
        self.selector = bytes(parent.msg.data[:4]) if parent is not None else b""
        self.handles = _handles_of(computation)

    def operands(self, arguments: int, a: int, b: int) -> tuple[int, int]:
        """Return the values of two operands, each a handle or plain."""
        get = self.handles.get
        left = a if arguments == LHS_PUBLIC else get(a)
        return left, b if arguments == RHS_PUBLIC else get(b)

    def encrypt(self, key: bytes, value: int) -> int:
        """Encrypt under a key, with randomness that no other value of this call gets."""
        if value >= 1 << (8 * KEY_BYTES):
            raise Revert(b"")
        r = self.handles.random(self.contract, value.to_bytes(32, "big"))[:KEY_BYTES]
        return encrypt_block(key, value, r)

    def remember(self, ciphertext: int) -> None:
        """Note that the calling contract owns a ciphertext."""
        self._state.set_storage(MPC_ADDRESS, self._slot(ciphertext), 1)

    def require_own(self, ciphertext: int) -> None:
        """Revert unless the network made this ciphertext for the calling contract."""
        if not self._state.get_storage(MPC_ADDRESS, self._slot(ciphertext)):
            raise Revert(b"")

    def _slot(self, ciphertext: int) -> int:
        text = b"ciphertext" + self.contract + ciphertext.to_bytes(32, "big")
        return int.from_bytes(keccak256(text), "big")

    def require_signed(self, ciphertext: int, signature: bytes) -> None:
        """Revert unless the sender of the transaction signed the input for this function."""
        message = self.origin + self.contract + self.selector + ciphertext.to_bytes(32, "big")
        self.require_origin(message, signature)

    def require_origin(self, message: bytes, signature: bytes) -> None:
        """Revert unless the sender of the transaction signed a message, raw or by EIP-191."""
        prefixed = b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message
        if len(signature) != SIGNATURE_BYTES:
            raise Revert(b"")
        for text in (message, prefixed):
            try:
                if recover_address(keccak256(text), signature) == self.origin:
                    return
            except InvalidSignature:
                continue
        raise Revert(b"")
