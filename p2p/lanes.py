"""Name the lanes between two validators and what each may carry.

Rule: small urgent messages and bodies never share a stream, so that a vote never waits for a
bundle.
Spec: docs/spec/p2p.md §3 (Lanes).
Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from p2p import limits


class Lane(IntEnum):
    """One persistent stream in each direction."""

    VOTE = 0
    BULK = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRules:
    """What one lane carries and how much of it may wait."""

    protocol: str
    message_bytes_max: int
    queue_frames_max: int
    queue_bytes_max: int
    inbox_bytes_max: int


LANES: dict[Lane, LaneRules] = {
    Lane.VOTE: LaneRules(
        protocol="/omnibazaar/vote/1",
        message_bytes_max=limits.VOTE_MESSAGE_BYTES_MAX,
        queue_frames_max=limits.VOTE_QUEUE_FRAMES_MAX,
        queue_bytes_max=limits.VOTE_QUEUE_BYTES_MAX,
        inbox_bytes_max=limits.INBOX_VOTE_BYTES_MAX,
    ),
    Lane.BULK: LaneRules(
        protocol="/omnibazaar/bulk/1",
        message_bytes_max=limits.BULK_MESSAGE_BYTES_MAX,
        queue_frames_max=limits.BULK_QUEUE_FRAMES_MAX,
        queue_bytes_max=limits.BULK_QUEUE_BYTES_MAX,
        inbox_bytes_max=limits.INBOX_BULK_BYTES_MAX,
    ),
}


class Inbound(NamedTuple):
    """One message of a validator that has proven its key on this lane."""

    sender: bytes
    lane: Lane
    data: bytes
