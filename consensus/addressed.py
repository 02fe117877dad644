"""Name peers by address in what the supervisor of epochs wants done.

Rule: an index means a member of one epoch only; whoever acts across epochs sees addresses.
Spec: docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from consensus.committee import Committee
from consensus.effects import (
    ALL,
    RANDOM,
    Accuse,
    Blame,
    Effect,
    Final,
    Journal,
    Lane,
    Protect,
    Send,
    ServeRange,
    SetTimer,
    Sync,
)
from consensus.epoch import Epoch
from consensus.messages import Message
from primitives.errors import PeerError


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send a message to all these addresses, or to one of them that the node chooses."""

    to: tuple[bytes, ...]
    message: Message
    lane: Lane
    is_for_one: bool = False


@dataclass(frozen=True, slots=True)
class Serve:
    """Answer a peer with a Range from the block store, in the background lane.

    A range stays within one epoch; one that reaches the border ends with the seals of its proof.
    """

    to: bytes
    from_height: int


@dataclass(frozen=True, slots=True)
class Report:
    """A peer broke a rule of the protocol: lower its score, maybe disconnect it."""

    peer: bytes
    error: PeerError


@dataclass(frozen=True, slots=True)
class BeginEpoch:
    """Store the epoch with the final blocks, not later than the next Final; update connections."""

    epoch: Epoch


Action: TypeAlias = (
    Journal | Protect | Sync | Deliver | SetTimer | Final | Serve | Accuse | Report | BeginEpoch
)


def address_effects(
    effects: Iterable[Effect], committee: Committee, me: bytes, guests: Mapping[int, bytes]
) -> Iterator[Action]:
    """Turn the indices of one epoch's replica into addresses."""
    others: tuple[bytes, ...] | None = None  # found once, and not for the many votes that are heard
    for effect in effects:
        if isinstance(effect, Send):
            if effect.to not in (ALL, RANDOM):
                to: tuple[bytes, ...] = (find_address(effect.to, committee, guests),)
            else:
                if others is None:
                    others = tuple(one.address for one in committee.members if one.address != me)
                to = others
            if to:
                yield Deliver(to, effect.message, effect.lane, effect.to == RANDOM)
        elif isinstance(effect, ServeRange):
            yield Serve(find_address(effect.to, committee, guests), effect.from_height)
        elif isinstance(effect, Blame):
            yield Report(find_address(effect.peer, committee, guests), effect.error)
        else:
            yield effect


def find_address(index: int, committee: Committee, guests: Mapping[int, bytes]) -> bytes:
    """Return the address behind an index of this epoch."""
    return committee.address(index) if index < len(committee) else guests[index]
