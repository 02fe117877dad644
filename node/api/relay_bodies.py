"""Decode what traders without gas send to a relay.

Rule: amounts are decimal digits, addresses and words hex; every length is bounded.
Spec: docs/reference/api.md (Relay). Deviations: none.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.api.bodies import Body, SignatureHex

Digits = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,78}$")]
AddressHex = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{40}$")]
WordHex = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{64}$")]
Seconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 40)]


class ClaimBody(Body, frozen=True, kw_only=True):
    """A withdrawal to bring, with the fee that its receiver signed."""

    index: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    fee: Digits
    deadline_s: Seconds
    signature: SignatureHex


class PermitBody(Body, frozen=True, kw_only=True):
    """The token's own permit for the vault."""

    value: Digits
    deadline_s: Seconds
    v: Annotated[int, msgspec.Meta(ge=27, le=28)]
    r: WordHex
    s: WordHex


class OrderBody(Body, frozen=True, kw_only=True):
    """A deposit to bring, as its owner signed it."""

    chain_id: Annotated[int, msgspec.Meta(ge=1, lt=1 << 62)]
    depositor: AddressHex
    token: AddressHex
    amount: Digits
    fee: Digits
    beneficiary: AddressHex
    nonce: Digits
    deadline_s: Seconds
    signature: SignatureHex
    permit: PermitBody | None = None
