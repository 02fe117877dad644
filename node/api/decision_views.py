"""Show what the committee decides about vaults, and take an operator's wish.

Rule: a decision is shown with everything that is signed, and with the signatures themselves.
Spec: docs/reference/api.md (Decisions). Deviations: none.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.api.views import Address, Amount, Hex, View


class Signature(View, frozen=True, kw_only=True):
    """One seat's."""

    seat: int
    address: Address
    signature: Hex


class DecisionSeat(View, frozen=True, kw_only=True):
    """One member of the committee that decides, in its order."""

    address: Address
    weight: int


class DecisionView(View, frozen=True, kw_only=True):
    """One open decision."""

    id: Hex  # its name, the same in every epoch
    approved_here: bool  # by this node's operator: the node signs it again in every epoch
    chain_id: int
    vault: Address  # that carries it out
    kind: int  # 1 pause, 2 list, 3 announce
    subject: Address
    value: Amount
    epoch: int  # that the signatures are of
    nonce: int
    valid_until_s: int  # EVM time
    weight: int  # of those who have signed
    quorum: int  # that the vault wants
    signatures: tuple[Signature, ...]
    members: tuple[DecisionSeat, ...]


class Decisions(View, frozen=True, kw_only=True):
    """All that are open."""

    decisions: tuple[DecisionView, ...]


AddressHex = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{40}$")]


class ProposeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be decided."""

    chain_id: Annotated[int, msgspec.Meta(ge=1, lt=1 << 62)]
    vault: AddressHex
    kind: Annotated[int, msgspec.Meta(ge=1, le=3)]
    subject: AddressHex = "0x" + "00" * 20
    value: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,77}$")] = "0"
    days: Annotated[int, msgspec.Meta(ge=1, le=30)] = 7


class DecisionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which decision."""

    id: Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{64}$")]
