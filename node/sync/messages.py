"""Define what a node that catches up asks of a peer, and what it is answered.

Rule: one request, one answer, MessagePack arrays led by their tag; every size is bounded before
anything is believed, and nothing in an answer is believed before its proof was checked.
Spec: docs/spec/state-sync.md (Messages). Deviations: none.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

import msgspec

from consensus.block import BlockBody
from consensus.certificate import Certificate
from consensus.epoch import Address, Weight
from consensus.header import HEADER_BYTES
from consensus.limits import CHECKPOINT_LAG, COMMITTEE_MAX
from consensus.vote import Counter
from node.limits import HEADERS_PER_CHECKPOINT_MAX, SYNC_ANSWER_BYTES_MAX, SYNC_HEADERS_MAX
from primitives import codec
from primitives.errors import InvalidMessage

PROOF_HEADERS_MAX: Final = CHECKPOINT_LAG + HEADERS_PER_CHECKPOINT_MAX

Words = Annotated[bytes, msgspec.Meta(min_length=HEADER_BYTES, max_length=HEADER_BYTES)]
Members = Annotated[
    tuple[tuple[Address, Weight], ...], msgspec.Meta(min_length=1, max_length=COMMITTEE_MAX)
]


class Item(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Root of all messages."""


class GetOffer(Item, frozen=True, tag=1):
    """Ask where a peer is and which snapshot it can give."""


class GetBorder(Item, frozen=True, tag=2):
    """Ask how an epoch ended."""

    number: Counter


class GetHeaders(Item, frozen=True, tag=3):
    """Ask for headers of final blocks upwards from a height."""

    first: Counter
    count: Annotated[int, msgspec.Meta(ge=1, le=SYNC_HEADERS_MAX)]


class GetBase(Item, frozen=True, tag=4):
    """Ask for the final block under a snapshot."""

    height: Counter


Request: TypeAlias = GetOffer | GetBorder | GetHeaders | GetBase


class Checkpoint(Item, frozen=True, tag=10):
    """Headers from a checkpoint height to a certified block at least `CHECKPOINT_LAG` above it."""

    headers: Annotated[
        tuple[Words, ...],
        msgspec.Meta(min_length=CHECKPOINT_LAG + 1, max_length=PROOF_HEADERS_MAX),
    ]
    certificate: Certificate
    members: Members  # of the certificate's epoch


class Offer(Item, frozen=True, tag=11):
    """Where a peer is. A claim, but for the checkpoint, which proves itself."""

    final_height: Counter
    oldest_height: Counter  # of the blocks it can give; 0 when it has none
    checkpoint: Checkpoint | None


class Border(Item, frozen=True, tag=12):
    """The certified header of an epoch's boundary block or of a seal on it, and its signers."""

    headers: Annotated[tuple[Words, ...], msgspec.Meta(min_length=1, max_length=1)]
    certificate: Certificate
    members: Members


class Headers(Item, frozen=True, tag=13):
    """Headers one after the other."""

    words: Annotated[bytes, msgspec.Meta(max_length=SYNC_HEADERS_MAX * HEADER_BYTES)]


class Base(Item, frozen=True, tag=14):
    """A final block."""

    block: BlockBody


class Nothing(Item, frozen=True, tag=15):
    """The peer has not got what was asked for."""


class Plan(Item, frozen=True, tag=16):
    """What was decided and proven, on disk until the state is adopted."""

    checkpoint: Checkpoint
    base: Base
    anchor: bytes  # header of the block the epoch starts from; empty = genesis
    borders: tuple[Border, ...]


Answer: TypeAlias = Offer | Border | Headers | Base | Nothing
_REQUEST: Any = Request
_ANSWER: Any = Answer


def decode_request(data: bytes) -> Request:
    """Decode a peer's request. Raises PeerError."""
    request: Request = codec.decode(data, _REQUEST, max_bytes=256)
    return request


def decode_answer(data: bytes) -> Answer:
    """Decode a peer's answer. Raises PeerError."""
    answer: Answer = codec.decode(data, _ANSWER, max_bytes=SYNC_ANSWER_BYTES_MAX)
    return answer


def encode(item: Item) -> bytes:
    """Return the bytes of a message."""
    return codec.encode(item)


def decode_plan(data: bytes) -> Plan:
    """Read the plan of an earlier run. Raises InvalidMessage when it is another version's."""
    plan: Plan = codec.decode(data, Plan, max_bytes=1 << 30)
    if plan.anchor and len(plan.anchor) != HEADER_BYTES:
        raise InvalidMessage("an anchor is a header")
    return plan
