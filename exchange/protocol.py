"""Change the rules of the network at a height that a quorum of the committee has set.

Rule: more than two thirds of the committee's weight must name the same version and height in the
same round; the version is the next one, the height far enough ahead for everybody to read about it.
What was decided is called off in the same way. Every rule that differs between versions asks
`State.protocol.version` of the block in execution.
Spec: docs/spec/upgrades.md
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.limits import PROTOCOL_NOTICE_HEIGHTS
from exchange.operations import SetProtocol
from exchange.reasons import Reason

FIRST: Final = 1
NEWEST: Final = 1
"""The newest version that this program can execute."""

OK: Final = int(Reason.OK)
COUNTED: Final = int(Reason.COUNTED)
NOT_VALIDATOR: Final = int(Reason.NOT_VALIDATOR)
NOT_THIS_ROUND: Final = int(Reason.NOT_THIS_ROUND)
NO_CHANGE: Final = int(Reason.NO_CHANGE)
BAD_PROTOCOL: Final = int(Reason.BAD_PROTOCOL)


class Protocol:
    """The version in force, the one that was decided, and the words in the open round."""

    __slots__ = ("next_height", "next_version", "round", "version", "votes")

    def __init__(self) -> None:
        self.version: int = FIRST
        self.next_version: int = 0
        """What begins at `next_height`; 0 = nothing was decided."""
        self.next_height: int = 0
        self.round: int = 0
        self.votes: dict[bytes, tuple[int, int]] = {}
        """(version, height) that each validator wants, by hot key, in this round."""

    def version_at(self, height: int) -> int:
        """Return the version under which a coming height is executed, as decided so far."""
        return self.next_version if 0 < self.next_height <= height else self.version

    def begin(self, height: int) -> None:
        """Change the version if a block is the first under the next one."""
        if 0 < self.next_height <= height:
            self.version = self.next_version
            self._close_round(0, 0)

    def decide(self, version: int, height: int) -> None:
        """Take over what a quorum wants; the present version means that nothing will change."""
        if version == self.version:
            self._close_round(0, 0)
        else:
            self._close_round(version, height)

    def _close_round(self, next_version: int, next_height: int) -> None:
        self.next_version, self.next_height = next_version, next_height
        self.round += 1
        self.votes.clear()


def process_protocol_vote(
    protocol: Protocol,
    height: int,
    committee: Sequence[tuple[bytes, int, bytes]],
    validator: bytes,
    op: SetProtocol,
) -> int:
    """Count a validator's word in the block of a height; act once enough weight agrees.

    A newer word of the same validator in the same round takes the place of its older one. Returns
    OK if it was decided now, COUNTED if it waits for others, or why it was refused.
    """
    weights = {member[0]: member[1] for member in committee}
    if validator not in weights:
        return NOT_VALIDATOR
    if op.round != protocol.round:
        return NOT_THIS_ROUND
    wanted = (op.version, op.height)
    if op.version == protocol.version:
        if op.height:
            return BAD_PROTOCOL
        if not protocol.next_version:
            protocol.votes.pop(validator, None)  # there is nothing to call off
            return NO_CHANGE
    elif op.version != protocol.version + 1 or op.height < height + PROTOCOL_NOTICE_HEIGHTS:
        return BAD_PROTOCOL
    elif wanted == (protocol.next_version, protocol.next_height):
        protocol.votes.pop(validator, None)
        return NO_CHANGE
    protocol.votes[validator] = wanted
    agreeing = sum(weights.get(v, 0) for v, word in protocol.votes.items() if word == wanted)
    if agreeing * 3 <= sum(weights.values()) * 2:
        return COUNTED
    protocol.decide(op.version, op.height)
    return OK
