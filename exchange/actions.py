"""Signed actions: their wire form, their digests, and the check that is done once per action.

Rule: everything between the bytes of an action and a `VerifiedAction` happens here, without any
state; hostile bytes end as an error code, never as an exception.
Spec: docs/spec/actions.md
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from exchange import limits
from exchange.commits import compute_commit_hash
from exchange.operations import (
    BUY,
    FOK,
    GTC,
    HOLD_BASE,
    HOLD_BOTH,
    HOLD_QUOTE,
    IOC,
    POST_ONLY,
    SELL,
    STP_BOTH,
    STP_DECREMENT,
    STP_NEWEST,
    STP_OLDEST,
    TRADING_MASK,
    TRADING_TAGS,
    VALIDATOR_OPS,
    VOTES,
    WALLET_OPS,
    Action,
    AnyOp,
    ApproveBuilder,
    Attest,
    Cancel,
    CancelAfter,
    CancelAll,
    CancelClient,
    Commit,
    Deposit,
    Doubt,
    Grant,
    Heartbeat,
    ListAsset,
    ListMarket,
    MoveVault,
    Op,
    Open,
    Place,
    PlaceBracket,
    PlaceIceberg,
    PlaceSchedule,
    PlaceTrailing,
    PlaceTrigger,
    PlaceUntil,
    RegistryEvent,
    Replace,
    ReplaceTrigger,
    Revoke,
    SetMarket,
    SetProtocol,
    SetTerms,
    Settled,
    Transfer,
    UseBuilder,
    Withdraw,
    decode_amount,
    encode_amount,
)
from exchange.reasons import Reason
from exchange.typed_data import compute_wallet_digest
from exchange.vaults import compute_window_hash
from primitives.errors import InvalidMessage, InvalidSignature, LimitExceeded
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey, recover_address

__all__ = [
    "Action",
    "AnyOp",
    "Attest",
    "BUY",
    "Cancel",
    "CancelAfter",
    "PlaceBracket",
    "PlaceIceberg",
    "PlaceSchedule",
    "PlaceTrailing",
    "PlaceTrigger",
    "PlaceUntil",
    "CancelAll",
    "CancelClient",
    "Commit",
    "Deposit",
    "Doubt",
    "FOK",
    "GTC",
    "Grant",
    "ApproveBuilder",
    "UseBuilder",
    "Heartbeat",
    "HOLD_BASE",
    "HOLD_BOTH",
    "HOLD_QUOTE",
    "IOC",
    "ListAsset",
    "ListMarket",
    "MoveVault",
    "Op",
    "Open",
    "POST_ONLY",
    "Place",
    "RegistryEvent",
    "Replace",
    "ReplaceTrigger",
    "Revoke",
    "SELL",
    "Settled",
    "SetMarket",
    "SetProtocol",
    "SetTerms",
    "STP_BOTH",
    "STP_DECREMENT",
    "STP_NEWEST",
    "STP_OLDEST",
    "SignedAction",
    "TRADING_MASK",
    "TRADING_TAGS",
    "Transfer",
    "VerifiedAction",
    "WALLET_OPS",
    "Withdraw",
    "compute_commit_hash",
    "compute_digest",
    "compute_payload_digest",
    "compute_window_hash",
    "decode_action",
    "decode_amount",
    "decode_bundle",
    "decode_signed",
    "encode_action",
    "encode_amount",
    "encode_bundle",
    "encode_signed",
    "sign",
    "verify",
]


class SignedAction(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An action's exact bytes and the signature over them."""

    payload: Annotated[bytes, Meta(max_length=limits.PAYLOAD_BYTES_MAX)]
    signature: Annotated[
        bytes, Meta(min_length=limits.SIGNATURE_BYTES, max_length=limits.SIGNATURE_BYTES)
    ]


class VerifiedAction:
    """An action as every node sees it after the signature check. `error` 0 means it may be
    executed.
    """

    __slots__ = (
        "account",
        "atomic",
        "deadline_ms",
        "domain",
        "error",
        "id",
        "nonce_ms",
        "ops",
        "signer",
        "sub",
    )

    def __init__(self, action_id: bytes, error: int, action: Action | None, signer: bytes) -> None:
        self.id: bytes = action_id
        self.error: int = error
        self.signer: bytes = signer
        self.domain: bytes = b"" if action is None else action.domain
        self.account: bytes = b"" if action is None else action.account
        self.sub: int = 0 if action is None else action.sub
        self.nonce_ms: int = 0 if action is None else action.nonce_ms
        self.deadline_ms: int = 0 if action is None else action.deadline_ms
        self.atomic: bool = False if action is None else action.atomic
        self.ops: tuple[AnyOp, ...] = () if action is None else action.ops


_payload_decoder: Final = msgspec.msgpack.Decoder(Action)
_signed_decoder: Final = msgspec.msgpack.Decoder(SignedAction)
_bundle_decoder: Final = msgspec.msgpack.Decoder(
    Annotated[tuple[SignedAction, ...], Meta(max_length=limits.ACTIONS_PER_BUNDLE_MAX)]
)
_encoder: Final = msgspec.msgpack.Encoder()
_DECODE_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def encode_action(action: Action) -> bytes:
    """Encode an action's payload."""
    return _encoder.encode(action)


def decode_action(payload: bytes) -> Action:
    """Decode a payload. Raises InvalidMessage or LimitExceeded."""
    if len(payload) > limits.PAYLOAD_BYTES_MAX:
        raise LimitExceeded(f"payload of {len(payload)} bytes")
    try:
        return _payload_decoder.decode(payload)
    except _DECODE_ERRORS as error:
        raise InvalidMessage(f"action: {error}") from error


def decode_signed(envelope: bytes) -> SignedAction:
    """Decode `[payload, signature]`. Raises InvalidMessage or LimitExceeded."""
    if len(envelope) > limits.PAYLOAD_BYTES_MAX + 128:
        raise LimitExceeded(f"envelope of {len(envelope)} bytes")
    try:
        return _signed_decoder.decode(envelope)
    except _DECODE_ERRORS as error:
        raise InvalidMessage(f"signed action: {error}") from error


def encode_signed(signed: SignedAction) -> bytes:
    """Encode `[payload, signature]`."""
    return _encoder.encode(signed)


def encode_bundle(actions: Sequence[SignedAction]) -> bytes:
    """Encode a bundle. Raises LimitExceeded when it is too large for a block."""
    data = _encoder.encode(tuple(actions))
    if len(actions) > limits.ACTIONS_PER_BUNDLE_MAX or len(data) > limits.BUNDLE_BYTES_MAX:
        raise LimitExceeded(f"bundle of {len(actions)} actions, {len(data)} bytes")
    return data


def decode_bundle(data: bytes) -> tuple[SignedAction, ...]:
    """Decode a bundle; garbage is an empty bundle, for a bundle can never invalidate its block."""
    if len(data) > limits.BUNDLE_BYTES_MAX:
        return ()
    try:
        actions: tuple[SignedAction, ...] = _bundle_decoder.decode(data)
        return actions
    except _DECODE_ERRORS:
        return ()


def compute_payload_digest(domain: bytes, payload: bytes) -> bytes:
    """Compute what a trading key signs: the action's exact bytes under the network's domain."""
    return keccak256(b"\x19\x01" + domain + keccak256(payload))


def compute_digest(domain: bytes, action: Action, payload: bytes) -> bytes:
    """Compute the signing digest of any action; it is the action's id."""
    op = action.ops[0]
    if isinstance(op, WALLET_OPS) and len(action.ops) == 1:
        return compute_wallet_digest(domain, action, op)
    return compute_payload_digest(domain, payload)


def sign(action: Action, key: PrivateKey) -> SignedAction:
    """Sign an action with a wallet or session key."""
    payload = encode_action(action)
    digest = compute_digest(action.domain, action, payload)
    return SignedAction(payload, key.sign(digest))


def verify(envelope: bytes | SignedAction | tuple[bytes, bytes], domain: bytes) -> VerifiedAction:
    """Decode an action and recover its signer. Never raises: a bad action carries its reason.

    The envelope is its wire form or (payload, signature). Pure and thread-safe; signature recovery
    releases the GIL.
    """
    if isinstance(envelope, SignedAction):
        signed = envelope
    elif isinstance(envelope, bytes):
        try:
            signed = decode_signed(envelope)
        except (InvalidMessage, LimitExceeded):
            return _invalid(domain, envelope, Reason.MALFORMED)
    else:
        signed = SignedAction(*envelope)
    if len(signed.payload) > limits.PAYLOAD_BYTES_MAX:
        return _invalid(domain, signed.payload, Reason.MALFORMED)
    try:
        action = _payload_decoder.decode(signed.payload)
    except _DECODE_ERRORS:
        return _invalid(domain, signed.payload, Reason.MALFORMED)
    if action.domain != domain:
        return _invalid(domain, signed.payload, Reason.WRONG_DOMAIN)
    digest = compute_digest(domain, action, signed.payload)
    try:
        signer = recover_address(digest, signed.signature)
    except InvalidSignature:
        return VerifiedAction(digest, int(Reason.BAD_SIGNATURE), None, b"")
    return VerifiedAction(digest, int(_check_kind(action, signer)), action, signer)


def _invalid(domain: bytes, data: bytes, reason: Reason) -> VerifiedAction:
    return VerifiedAction(compute_payload_digest(domain, data), int(reason), None, b"")


def _check_kind(action: Action, signer: bytes) -> Reason:
    """Apply the rules on kinds of operations that need no state."""
    ops = action.ops
    if len(ops) == 1:
        op = ops[0]
        if isinstance(op, WALLET_OPS) and signer != action.account:
            return Reason.NEEDS_WALLET
        if isinstance(op, Grant | Revoke | ApproveBuilder) and action.sub != 0:
            return Reason.MALFORMED
        if isinstance(op, VALIDATOR_OPS) and signer != action.account:
            return Reason.NOT_VALIDATOR
        return Reason.OK
    attests = 0
    for op in ops:
        if isinstance(op, (*WALLET_OPS, Heartbeat, *VOTES)):
            return Reason.MIXED_OPERATIONS
        if isinstance(op, Attest):
            attests += 1
    if attests and attests != len(ops):
        return Reason.MIXED_OPERATIONS
    if attests and signer != action.account:
        return Reason.NOT_VALIDATOR
    return Reason.OK
