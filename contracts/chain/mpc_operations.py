"""Compute what the emulated MPC precompile is asked for.

Rule: meanings are those of the published interface, also where they surprise: `Mux(bit, a, b)` is
b if the bit is set; additions wrap; a `Transfer` of too much moves nothing and does not revert.

Spec: docs/spec/confidential.md §5
Deviations: 64-bit operations only, as the private tokens here need; division by zero gives the
largest value, which COTI does not document.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from eth.exceptions import Revert

from contracts.chain.mpc_values import (
    BOOL,
    NETWORK_KEY,
    RHS_PUBLIC,
    SIGNATURE_BYTES,
    MpcCall,
    bits_of,
    user_key,
)
from contracts.confidential_cipher import decrypt_block, encrypt_share
from primitives.keccak import keccak256

Result: TypeAlias = tuple[list[str], list[Any]]
Operation: TypeAlias = Callable[..., Result]
OPERATIONS: Final[dict[bytes, tuple[str, list[str], Operation]]] = {}
"""By selector: name, argument types, function."""

GAS: Final = {
    "SetPublic": 12_006, "Decrypt": 12_006, "OnBoard": 47_039, "ValidateCiphertext": 47_039,
    "OffBoard": 47_045, "OffBoardToUser": 47_045, "Transfer": 13_685, "Add": 12_340,
    "CheckedAdd": 26_577, "Sub": 12_679, "CheckedSub": 26_917, "Mul": 54_233,
    "CheckedMul": 68_536, "Div": 76_377, "Rem": 76_377, "Min": 13_012, "Max": 13_012,
    "Gt": 13_012, "Le": 13_012, "Ge": 12_679, "Lt": 12_679, "Eq": 12_334, "Ne": 12_334,
    "Mux": 12_332, "And": 12_320, "Or": 12_339,
}  # fmt: skip
"""COTI's published first estimates for 64-bit values."""
GAS_OTHER: Final = 12_000
WORD: Final = ["uint256"]


def operation(signature: str) -> Callable[[Operation], Operation]:
    """Register a function under its Solidity signature."""

    def register(function: Operation) -> Operation:
        name, types = signature[:-1].split("(")
        selector = keccak256(signature.encode())[:4]
        OPERATIONS[selector] = name, types.split(","), function
        return function

    return register


def _binary(name: str, compute: Callable[[int, int], int], result: int | None = None) -> None:
    @operation(f"{name}(bytes3,uint256,uint256)")
    def run(call: MpcCall, meta: bytes, a: int, b: int) -> Result:
        kind = max(meta[0], meta[1]) if result is None else result
        return WORD, [call.handles.new(kind, int(compute(*call.operands(meta[2], a, b))))]


def _checked(name: str, compute: Callable[[int, int], int]) -> None:
    @operation(f"{name}(bytes3,uint256,uint256)")
    def run(call: MpcCall, meta: bytes, a: int, b: int) -> Result:
        kind = max(meta[0], meta[1])
        value = compute(*call.operands(meta[2], a, b))
        overflow = not 0 <= value < 1 << bits_of(kind)
        return WORD * 2, [call.handles.new(BOOL, int(overflow)), call.handles.new(kind, value)]


for _name, _compute in (
    ("Add", lambda a, b: a + b),
    ("Sub", lambda a, b: a - b),
    ("Mul", lambda a, b: a * b),
    ("Div", lambda a, b: a // b if b else -1),
    ("Rem", lambda a, b: a % b if b else a),
    ("And", lambda a, b: a & b),
    ("Or", lambda a, b: a | b),
    ("Xor", lambda a, b: a ^ b),
    ("Min", min),
    ("Max", max),
):
    _binary(_name, _compute)
for _name, _compare in (
    ("Eq", lambda a, b: a == b),
    ("Ne", lambda a, b: a != b),
    ("Ge", lambda a, b: a >= b),
    ("Gt", lambda a, b: a > b),
    ("Le", lambda a, b: a <= b),
    ("Lt", lambda a, b: a < b),
):
    _binary(_name, _compare, BOOL)
_checked("CheckedAdd", lambda a, b: a + b)
_checked("CheckedSub", lambda a, b: a - b)
_checked("CheckedMul", lambda a, b: a * b)


@operation("SetPublic(bytes1,uint256)")
def set_public(call: MpcCall, meta: bytes, value: int) -> Result:
    """Make a handle of a plain value."""
    return WORD, [call.handles.new(meta[0], value)]


@operation("Decrypt(bytes1,uint256)")
def decrypt(call: MpcCall, meta: bytes, handle: int) -> Result:
    """Reveal a value to everybody."""
    return WORD, [call.handles.get(handle)]


@operation("Not(bytes1,uint256)")
def negate(call: MpcCall, meta: bytes, handle: int) -> Result:
    """Flip every bit of a value."""
    return WORD, [call.handles.new(meta[0], ~call.handles.get(handle))]


@operation("Mux(bytes3,uint256,uint256,uint256)")
def choose(call: MpcCall, meta: bytes, bit: int, a: int, b: int) -> Result:
    """Choose b if the bit is set, else a."""
    left, right = call.operands(meta[2], a, b)
    chosen = right if call.handles.get(bit) else left
    return WORD, [call.handles.new(max(meta[0], meta[1]), chosen)]


@operation("Transfer(bytes4,uint256,uint256,uint256)")
def transfer(call: MpcCall, meta: bytes, a: int, b: int, amount: int) -> Result:
    """Move an amount from a to b, or nothing when a is too small."""
    new, left, right = call.handles.new, call.handles.get(a), call.handles.get(b)
    moved = amount if meta[3] == RHS_PUBLIC else call.handles.get(amount)
    kind, is_enough = max(meta[0], meta[1]), left >= moved
    if is_enough:
        left, right = left - moved, right + moved
    return WORD * 3, [new(kind, left), new(kind, right), new(BOOL, int(is_enough))]


@operation("OffBoard(bytes1,uint256)")
def offboard(call: MpcCall, meta: bytes, handle: int) -> Result:
    """Encrypt a value for the calling contract's storage."""
    ciphertext = call.encrypt(NETWORK_KEY, call.handles.get(handle))
    call.remember(ciphertext)
    return WORD, [ciphertext]


@operation("OnBoard(bytes1,uint256)")
def onboard(call: MpcCall, meta: bytes, ciphertext: int) -> Result:
    """Take a ciphertext that was made for the calling contract."""
    call.require_own(ciphertext)
    return WORD, [call.handles.new(meta[0], decrypt_block(NETWORK_KEY, ciphertext))]


@operation("OffBoardToUser(bytes1,uint256,bytes)")
def offboard_to_user(call: MpcCall, meta: bytes, handle: int, address: bytes) -> Result:
    """Encrypt a value under an account's key, whether or not it has asked for it yet."""
    return WORD, [call.encrypt(user_key(address), call.handles.get(handle))]


@operation("ValidateCiphertext(bytes1,uint256,bytes)")
def validate(call: MpcCall, meta: bytes, ciphertext: int, signature: bytes) -> Result:
    """Take an input that the sender of the transaction encrypted and signed for this function."""
    call.require_signed(ciphertext, signature)
    value = decrypt_block(user_key(call.origin), ciphertext)
    return WORD, [call.handles.new(meta[0], value)]


@operation("GetUserKey(bytes)")
def get_user_key(call: MpcCall, request: bytes) -> Result:
    """Give the sender its AES key, in two shares under the RSA key that it has signed."""
    signature, public = request[:SIGNATURE_BYTES], request[SIGNATURE_BYTES:]
    call.require_origin(public, signature)
    key = user_key(call.origin)
    share = call.handles.random(b"share")[: len(key)]
    other = bytes(x ^ y for x, y in zip(key, share, strict=True))
    try:
        return ["bytes"], [encrypt_share(public, share) + encrypt_share(public, other)]
    except ValueError:
        raise Revert(b"") from None
