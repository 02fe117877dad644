"""What the naive exchange keeps: orders, commits and batches as plain records.

Rule: written from the spec; nothing here is computed, and nothing is an index.
Spec: docs/spec/exchange.md, docs/spec/orders.md
Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from exchange.actions import Place

BUY, SELL = 0, 1
GTC, IOC, FOK, POST_ONLY = range(4)
NEWEST, OLDEST, BOTH, DECREMENT = range(4)
OPEN, ONLY_POST, CANCEL_ONLY, DELISTED, AUCTION = range(5)
QUEUED, ON_BOOK, WAITS, REACHED, WHOLE = "queued", "on book", "waits", "reached", "whole"


@dataclass(eq=False)
class Live:
    """An order that lives, wherever it stands; size 0 means that it is gone."""

    id: int
    owner: str
    sub: int
    side: int
    price: int
    size: int
    tif: int
    stp: int = NEWEST
    client: int = 0
    action: bytes = b""
    """Ranks it among what is reached."""
    where: str = QUEUED
    place: int = 0
    """Order of arrival on the book."""
    traded: int = 0
    expiry: int = 0
    legs: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Above, its limit, below, its limit."""
    trail: tuple[int, bool, int] | None = None
    """Distance, whether in basis points, activation."""
    prices: list[int] = field(default_factory=list)
    """Last trades since a trailing stop follows; empty while it does not."""
    visible: int = 0
    slots: int = 0
    interval: int = 0
    share: int = 0
    due: int = 0
    others: int = 0
    """Lots that others traded since the slot before."""
    cushion: int = 0
    part: Live | None = None
    returned: int = 0
    exits: tuple[int, int, int, int] | None = None
    exit_tif: int = GTC
    exit: Live | None = None
    entry: Live | None = None
    """Of an exit that was reached: the entry whose rest is to be cancelled."""


@dataclass(eq=False)
class Sealed:
    """A commit, and its orders once they are shown."""

    owner: str
    sub: int
    hash: bytes
    nonce: int
    tier: tuple[int, int]
    bond: tuple[int, int]
    """Quote, base."""
    orders: tuple[Place, ...] = ()
    salt: bytes = b""
    first: int = 0
    action: bytes = b""
    """Of the opening."""
    is_open: bool = False
    is_void: bool = False


@dataclass(eq=False)
class Request:
    """A cancel that waits: of one order, or of all of a sub-account below a number."""

    order: int
    owner: str
    sub: int
    before: int
    reason: int


@dataclass(eq=False)
class Change:
    """A replacement that waits."""

    order: Live
    price: int
    size: int
    traded: int
    extra: int


@dataclass(eq=False)
class Waiting:
    """All that one block brought."""

    height: int
    hash: bytes
    next_hash: bytes = b""
    cancels: list[Request] = field(default_factory=list)
    groups: list[tuple[bytes, list[Live | Change]]] = field(default_factory=list)
    commits: list[Sealed] = field(default_factory=list)
    reached: list[Live] = field(default_factory=list)
    openers: list[tuple[int, int]] = field(default_factory=list)
    """(time, proposer) of its opening blocks."""
