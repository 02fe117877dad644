"""What one block brought to one market and still waits for clearing: cancels, orders, sealed
commits.

Rule: this file holds the waiting batch and decides when its opening window is closed; it clears
nothing.
Spec: docs/spec/exchange.md#sealed-batches
Deviations: the window also lasts at least `open_window_ms` (ADR 0020).
"""

from __future__ import annotations

from exchange.accounts import Account, Trader
from exchange.operations import Place
from exchange.order_book import Order
from exchange.outcome import Receipt
from exchange.reasons import Reason
from exchange.triggers import Triggered
from primitives.keccak import keccak256

PENDING = int(Reason.PENDING)
WAITING = 0
SHOWN = 1
VOID = 2


Ticket = tuple[Receipt, int, int]
"""Where the status of a pending operation goes: (receipt, height of its block, operation index).

A plain tuple, for one is made per operation.
"""


class CancelRequest:
    """Cancel what an action named. `order_id` 0: every order of the trader below `before`."""

    __slots__ = ("before", "grant", "order_id", "reason", "ticket", "trader")

    def __init__(
        self,
        trader: Trader,
        order_id: int,
        before: int,
        grant: int,
        reason: int,
        ticket: Ticket | None,
    ) -> None:
        self.trader: Trader = trader
        self.order_id: int = order_id
        self.before: int = before
        self.grant: int = grant
        """Only orders placed by this session key; -1 for all."""
        self.reason: int = reason
        self.ticket: Ticket | None = ticket
        """None for the cancels that a revocation brings."""


class Entry:
    """A new order with its funds held."""

    __slots__ = ("order", "ticket")

    def __init__(self, order: Order, ticket: Ticket) -> None:
        self.order: Order = order
        self.ticket: Ticket = ticket


class Replacement(Entry):
    """A new price and size for `order`, with the funds held that it needs beyond the old ones."""

    __slots__ = ("extra", "filled", "price", "size")

    def __init__(self, order: Order, ticket: Ticket, price: int, size: int, extra: int) -> None:
        super().__init__(order, ticket)
        self.price: int = price
        self.size: int = size
        """Lots that should be left, as seen at admission."""
        self.filled: int = order.total - order.size
        """Lots that the order had traded at admission."""
        self.extra: int = extra
        """Atoms held beyond what the order holds."""


class Group:
    """The entries of one action: they are ranked together and keep their order."""

    __slots__ = ("action_id", "entries", "first", "rank", "rank_hash")

    def __init__(self, action_id: bytes, first: Group | None = None) -> None:
        self.action_id: bytes = action_id
        self.entries: list[Entry] = []
        self.first: Group | None = first
        """The action's group in the market that it named first; it keeps their common rank."""
        self.rank_hash: bytes = b""
        self.rank: bytes = b""

    def get_rank(self, rank_hash: bytes) -> bytes:
        """Return the action's rank under a hash, computed once for all its markets."""
        keeper = self.first or self
        if keeper.rank_hash != rank_hash:
            keeper.rank_hash = rank_hash
            keeper.rank = keccak256(self.action_id + rank_hash)
        return keeper.rank


class Commitment:
    """One sealed commit and, once it is shown, its orders."""

    __slots__ = (
        "account",
        "base_bond",
        "base_tier",
        "batch",
        "builder",
        "builder_ppm",
        "commit_hash",
        "first_order",
        "grant",
        "nonce_ms",
        "open_ticket",
        "orders",
        "quote_bond",
        "quote_tier",
        "reason",
        "salt",
        "state",
        "ticket",
        "trader",
    )

    def __init__(
        self, batch: int, trader: Trader, commit_hash: bytes, nonce_ms: int, ticket: Ticket
    ) -> None:
        self.batch: int = batch
        self.trader: Trader = trader
        self.account: Account = trader.account
        self.commit_hash: bytes = commit_hash
        self.nonce_ms: int = nonce_ms
        self.ticket: Ticket = ticket
        self.quote_tier: int = 0
        self.base_tier: int = 0
        self.quote_bond: int = 0
        self.base_bond: int = 0
        self.state: int = WAITING
        self.reason: int = int(Reason.NOT_OPENED)
        """Why it is void, should it be."""
        self.orders: tuple[Place, ...] = ()
        self.first_order: int = 0
        self.salt: bytes = b""
        self.grant: int = 0
        self.builder: Account | None = None
        """Of the orders, and its fee; as in `Order`."""
        self.builder_ppm: int = 0
        self.open_ticket: Ticket | None = None


class Batch:
    """All that block `height` brought to a market."""

    __slots__ = (
        "block_hash",
        "cancels",
        "commits",
        "first_open_ms",
        "first_opener",
        "groups",
        "height",
        "next_hash",
        "open_blocks",
        "triggered",
        "two_openers",
        "unopened",
    )

    def __init__(self, height: int, block_hash: bytes) -> None:
        self.height: int = height
        self.block_hash: bytes = block_hash
        self.next_hash: bytes = b""
        """Hash of block height+1, once it is executed."""
        self.cancels: list[CancelRequest] = []
        self.groups: list[Group] = []
        self.commits: list[Commitment] = []
        self.triggered: list[Triggered] = []
        """Orders whose price was reached before this block."""
        self.unopened: int = 0
        self.open_blocks: int = 0
        self.first_open_ms: int = 0
        self.first_opener: int = 0
        self.two_openers: bool = False

    def note_block(
        self, executed_height: int, time_ms: int, proposer: int, validators: int
    ) -> None:
        """Count an opening block: one that states an executed height proving this batch final.

        Where there is only one validator, it counts as two proposers.
        """
        if executed_height < self.height:
            return
        if self.open_blocks == 0:
            self.first_open_ms = time_ms
            self.first_opener = proposer
            self.two_openers = validators == 1
        elif proposer != self.first_opener:
            self.two_openers = True
        self.open_blocks += 1

    def is_ready(self, time_ms: int, open_window_ms: int) -> bool:
        """Tell whether the batch may clear: nothing sealed, everything shown, or the window
        closed.
        """
        if not self.commits:
            return True
        if not self.next_hash:
            return False
        if self.unopened == 0:
            return True
        waited = time_ms - self.first_open_ms >= open_window_ms
        return self.open_blocks >= 2 and self.two_openers and waited

    def get_rank_hash(self) -> bytes:
        """Return the hash that ranks: of the next block, or of this one if it clears in this very
        block.
        """
        return self.next_hash or self.block_hash
