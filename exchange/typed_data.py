"""EIP-712 typed data of the operations that only a wallet may sign.

Rule: what a wallet shows its owner and what the ledger does are the same fields; the type strings
are written once, here, and the JSON for `eth_signTypedData_v4` is made from them.
Spec: docs/spec/actions.md#wallet-operations
Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.operations import (
    Action,
    ApproveBuilder,
    Grant,
    Op,
    Revoke,
    Transfer,
    Withdraw,
    decode_amount,
)
from primitives.keccak import keccak256

GRANT_TYPE: Final = (
    "Grant(address account,address key,uint64 expiry,uint32 actions,uint32[] markets,"
    "uint128 notionalCap,bool cancelOnRevoke,uint128 notionalTotal,uint32 ordersCap,"
    "uint64 nonce,uint64 deadline)"
)
REVOKE_TYPE: Final = "Revoke(address account,address key,uint64 nonce,uint64 deadline)"
WITHDRAW_TYPE: Final = (
    "Withdraw(address account,uint8 sub,uint32 asset,uint128 amount,address to,"
    "uint64 nonce,uint64 deadline)"
)
TRANSFER_TYPE: Final = (
    "Transfer(address account,uint8 sub,uint32 asset,uint128 amount,address to,uint8 toSub,"
    "uint64 nonce,uint64 deadline)"
)
APPROVE_BUILDER_TYPE: Final = (
    "ApproveBuilder(address account,address builder,uint32 maxFeePpm,uint64 nonce,uint64 deadline)"
)
_TYPES: Final[dict[type[Op], str]] = {
    Grant: GRANT_TYPE,
    Revoke: REVOKE_TYPE,
    Withdraw: WITHDRAW_TYPE,
    Transfer: TRANSFER_TYPE,
    ApproveBuilder: APPROVE_BUILDER_TYPE,
}
_TYPE_HASHES: Final = {kind: keccak256(text.encode()) for kind, text in _TYPES.items()}
_DOMAIN_FIELDS: Final = (("string", "name"), ("string", "version"), ("bytes32", "salt"))

Value = int | bytes | bool | tuple[int, ...]


def compute_wallet_digest(domain: bytes, action: Action, op: Op) -> bytes:
    """Compute the EIP-712 digest of an action that carries the one wallet operation `op`."""
    values = _get_values(action, op)
    words = [_TYPE_HASHES[type(op)], *(_encode_word(value) for value in values)]
    return keccak256(b"\x19\x01" + domain + keccak256(b"".join(words)))


def encode_typed_data(network_id: bytes, action: Action) -> dict[str, object]:
    """Make the JSON that `eth_signTypedData_v4` takes for a wallet action.

    Raises ValueError if the action is none: exactly one of `WALLET_OPS`.
    """
    op = action.ops[0]
    if len(action.ops) != 1 or type(op) not in _TYPES:
        raise ValueError("only a wallet operation, alone in its action, has typed data")
    name, fields = _parse_type(_TYPES[type(op)])
    return {
        "types": {
            "EIP712Domain": [{"name": n, "type": t} for t, n in _DOMAIN_FIELDS],
            name: [{"name": n, "type": t} for t, n in fields],
        },
        "primaryType": name,
        "domain": {"name": "OmniBazaar", "version": "1", "salt": "0x" + network_id.hex()},
        "message": {
            field: _encode_json(value)
            for (_, field), value in zip(fields, _get_values(action, op), strict=True)
        },
    }


def _get_values(action: Action, op: Op) -> tuple[Value, ...]:
    """List the values of `op` in the order of its type string."""
    tail = (action.nonce_ms, action.deadline_ms)
    account = action.account
    if isinstance(op, Grant):
        cap = decode_amount(op.notional_cap)
        total = decode_amount(op.notional_total)
        scope = (op.actions, op.markets, cap, op.cancel_on_revoke, total, op.orders_cap)
        return (account, op.key, op.expiry_ms, *scope, *tail)
    if isinstance(op, ApproveBuilder):
        return (account, op.builder, op.max_fee_ppm, *tail)
    if isinstance(op, Revoke):
        return (account, op.key, *tail)
    if isinstance(op, Withdraw):
        return (account, action.sub, op.asset, decode_amount(op.amount), op.to, *tail)
    assert isinstance(op, Transfer), "only wallet operations have typed data"
    amount = decode_amount(op.amount)
    return (account, action.sub, op.asset, amount, op.to, op.to_sub, *tail)


def _encode_word(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value.rjust(32, b"\0")
    if isinstance(value, tuple):
        return keccak256(b"".join(item.to_bytes(32, "big") for item in value))
    return int(value).to_bytes(32, "big")


def _encode_json(value: Value) -> object:
    """Numbers go as decimal strings: JavaScript cannot hold 128 bits."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return str(value)


def _parse_type(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Split `Name(type field,...)` into its name and (type, field) pairs."""
    name, _, inner = text[:-1].partition("(")
    fields = [field.split(" ") for field in inner.split(",")]
    return name, [(kind, field) for kind, field in fields]
