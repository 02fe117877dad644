"""State what an account earned, traded, paid and moved within a time, to the atom.

Rule: a statement is made of the account's numbered events and of nothing else; the entries of an
asset add up to the difference of its balances exactly, and what no event explains (transfers
between accounts, bonds and fees of sealed orders) is an entry of its own.
Spec: docs/how-to/account-statement.md; docs/spec/market-data.md#account-events. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from client.errors import RequestRefused
from client.history import walk_events
from client.market_views import AccountEvent
from client.rest import RestClient
from client.views import Asset, Fill, Market

KINDS: Final = (
    "deposit",
    "withdrawal",
    "trade",
    "fee",
    "fee share",
    "reward",
    "builder fee",
    "paid to builder",
    "other",
)
INCOME: Final = {"fees": "fee share", "rewards": "reward", "orders": "builder fee"}
Place = tuple[int, int]
"""(sub-account, asset)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change of one balance."""

    time_ms: int
    height: int
    kind: str
    sub: int
    asset: int
    amount: int  # atoms; negative: the account paid
    balance: int  # atoms, free and held, after the entry
    market: str = ""
    side: str = ""
    price: int = 0  # ticks
    size: int = 0  # lots
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Entries of a time, oldest first, with the balances before and after."""

    account: bytes
    from_ms: int
    to_ms: int  # the first millisecond that is not part of it
    height: int  # of the newest event that was looked at
    is_whole: bool  # False: the node has forgotten events from before or within the time
    assets: tuple[Asset, ...]
    opening: dict[Place, int]
    closing: dict[Place, int]
    entries: tuple[Entry, ...]

    def sums(self) -> dict[tuple[int, str], int]:
        """Return the sum of each kind by asset, atoms."""
        found: dict[tuple[int, str], int] = {}
        for entry in self.entries:
            place = entry.asset, entry.kind
            found[place] = found.get(place, 0) + entry.amount
        return found


@dataclass(slots=True)
class _Ledger:
    """Balances while the events go by."""

    markets: dict[int, Market]
    is_whole: bool
    totals: dict[Place, int] = field(default_factory=dict)

    def fold(self, block: Sequence[AccountEvent]) -> list[Entry]:
        """Take one block's events; return what they did."""
        flows = [flow for event in block for flow in self._flows(event)]
        after = {(b.sub, b.asset): b.free + b.held for e in block if (b := e.balance) is not None}
        explained: dict[Place, int] = {}
        for flow in flows:
            place = flow.sub, flow.asset
            explained[place] = explained.get(place, 0) + flow.amount
        for place, total in after.items():
            known = self.totals.get(place)
            if known is None:
                known = 0 if self.is_whole else total - explained.get(place, 0)
                self.totals[place] = known
            rest = total - known - explained.get(place, 0)
            if rest:
                flows.append(_entry(block[-1], "other", place[0], place[1], rest))
        return [self._book(flow) for flow in flows]

    def _book(self, flow: Entry) -> Entry:
        place = flow.sub, flow.asset
        self.totals[place] = total = self.totals.get(place, 0) + flow.amount
        return replace(flow, balance=total)

    def _flows(self, event: AccountEvent) -> list[Entry]:
        if (fill := event.fill) is not None:
            return self._trade(event, fill)
        if (deposit := event.deposit) is not None:
            text = f"deposit {deposit.id} of chain {deposit.chain_id}"
            return [_entry(event, "deposit", 0, deposit.asset, deposit.amount, reference=text)]
        if (out := event.withdrawal) is not None:
            text = f"withdrawal {out.index}"
            return [_entry(event, "withdrawal", out.sub, out.asset, -out.amount, reference=text)]
        if (income := event.income) is not None:
            kind = INCOME[income.source]
            return [_entry(event, kind, 0, income.asset, income.amount)]
        return []

    def _trade(self, event: AccountEvent, fill: Fill) -> list[Entry]:
        market = self.markets[fill.market]
        base, quote = fill.size * market.lot, fill.price * fill.size * market.tick
        if fill.side == "sell":
            base = -base
        else:
            quote = -quote
        terms: dict[str, str | int] = {
            "market": market.name,
            "side": fill.side,
            "price": fill.price,
            "size": fill.size,
            "reference": f"trade {fill.trade}",
        }
        found = [
            _entry(event, "trade", fill.sub, market.base.id, base, **terms),
            _entry(event, "trade", fill.sub, market.quote.id, quote, **terms),
        ]
        if fill.fee:
            found.append(_entry(event, "fee", fill.sub, market.quote.id, -fill.fee, **terms))
        if fill.builder_fee:
            paid = -fill.builder_fee
            found.append(_entry(event, "paid to builder", fill.sub, market.quote.id, paid, **terms))
        return found


def _entry(
    event: AccountEvent, kind: str, sub: int, asset: int, amount: int, **terms: str | int
) -> Entry:
    return Entry(
        time_ms=event.time_ms,
        height=event.height,
        kind=kind,
        sub=sub,
        asset=asset,
        amount=int(amount),
        balance=0,
        **terms,  # type: ignore[arg-type]
    )


def make_statement(
    account: bytes,
    events: Iterable[AccountEvent],
    markets: Iterable[Market],
    *,
    from_ms: int,
    to_ms: int,
    is_whole: bool = True,
) -> Statement:
    """Fold events without a gap into a statement; `is_whole` if they begin with the first one.

    Without the first one an asset's opening balance is what its first event in sight implies.
    """
    by_id = {market.id: market for market in markets}
    ledger = _Ledger(by_id, is_whole)
    opening: dict[Place, int] = {}
    entries: list[Entry] = []
    height, seen = 0, is_whole
    for block in _blocks(events):
        time_ms = block[0].time_ms
        if time_ms >= to_ms:
            break
        new = ledger.fold(block)
        height = block[0].height
        if time_ms < from_ms:
            opening, seen = dict(ledger.totals), True
        else:
            entries += new
    closing = dict(ledger.totals)
    for place, total in closing.items():
        moved = sum(one.amount for one in entries if (one.sub, one.asset) == place)
        opening[place] = total - moved
    assets = {one.id: one for m in by_id.values() for one in (m.base, m.quote)}
    return Statement(
        account=account,
        from_ms=from_ms,
        to_ms=to_ms,
        height=height,
        is_whole=seen,
        assets=tuple(assets[number] for number in sorted(assets)),
        opening=opening,
        closing=closing,
        entries=tuple(entries),
    )


def _blocks(events: Iterable[AccountEvent]) -> Iterable[list[AccountEvent]]:
    block: list[AccountEvent] = []
    for event in events:
        if block and event.height != block[0].height:
            yield block
            block = []
        block.append(event)
    if block:
        yield block


async def read_statement(
    rest: RestClient, account: bytes, *, from_ms: int, to_ms: int
) -> Statement:
    """Ask a node for an account's events and make a statement. Raises RequestRefused."""
    newest = (await rest.account_state(account)).seq
    oldest = await _find_oldest(rest, account, newest)
    events = [event async for event in walk_events(rest, account, oldest) if event.seq <= newest]
    return make_statement(
        account,
        events,
        await rest.markets(),
        from_ms=from_ms,
        to_ms=to_ms,
        is_whole=oldest == 0,
    )


async def _find_oldest(rest: RestClient, account: bytes, newest: int) -> int:
    """Return the least number above which the node has all events."""
    low, high = 0, newest
    while low < high:
        middle = 0 if low == 0 and high == newest else (low + high) // 2
        if await _has_after(rest, account, middle):
            high = middle
        else:
            low = middle + 1
    return low


async def _has_after(rest: RestClient, account: bytes, after: int) -> bool:
    try:
        page = await rest.account_events(account, after, 1)
    except RequestRefused as error:
        if error.code == "pruned":
            return False
        raise
    return bool(page.events) and page.events[0].seq == after + 1
