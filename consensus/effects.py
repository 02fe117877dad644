"""Say what a replica wants done, in the order in which it must be done.

Rule: records first, then Sync, then everything that others can see; an own vote leaves only after
the Sync behind its record.
Spec: docs/spec/consensus.md (Persistence). Deviations: one Sync covers all votes of one event.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final as Constant
from typing import TypeAlias

from consensus.block import Block
from consensus.certificate import Certificate
from consensus.evidence import Evidence
from consensus.messages import Message
from consensus.timers import Timer
from primitives.errors import PeerError

ALL: Constant = -1  # every other member of the committee
RANDOM: Constant = -2  # one other member, chosen by the node


class Lane(enum.Enum):
    """How urgent a message is; a slower lane never delays a faster one."""

    VOTE = "vote"  # votes, certificates, proposals, requests
    BULK = "bulk"  # single blocks somebody waits for
    BACKGROUND = "background"  # ranges of old blocks, standstill repeats


@dataclass(frozen=True, slots=True)
class Journal:
    """Append one record to the journal."""

    record: bytes


@dataclass(frozen=True, slots=True)
class Protect:
    """Add one record to the guard's database in the transaction that the next Sync commits."""

    record: bytes


@dataclass(frozen=True, slots=True)
class Sync:
    """Make the journal durable, then commit the guard; go on only when both are done.

    In this order the guard never knows a vote that a healthy journal has lost.
    """


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to a member's index, to ALL or to one RANDOM member."""

    to: int
    message: Message
    lane: Lane = Lane.VOTE


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call on_timer at the deadline; a later SetTimer of the same timer replaces this one."""

    timer: Timer
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class Final:
    """Store and execute a final block; the certificate is None when a descendant's proves it.

    A boundary block always comes with its proof: its own finalization, or that of the last of the
    seal blocks on it. Seal blocks are stored with it as part of the proof and never executed.
    """

    block: Block
    certificate: Certificate | None
    seals: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class ServeRange:
    """Answer a member with a Range message from the block store, in the background lane."""

    to: int
    from_height: int


@dataclass(frozen=True, slots=True)
class Accuse:
    """Keep and report a conviction; it is also put into blocks."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Blame:
    """A peer broke a rule of the protocol: lower its score, maybe disconnect it."""

    peer: int
    error: PeerError


Effect: TypeAlias = Journal | Protect | Sync | Send | SetTimer | Final | ServeRange | Accuse | Blame


def arrange(
    records: Sequence[Journal | Protect], must_sync: bool, rest: Sequence[Effect]
) -> tuple[Effect, ...]:
    """Put an event's effects in their safe order."""
    barrier: tuple[Effect, ...] = (Sync(),) if must_sync else ()
    return (*records, *barrier, *rest)
