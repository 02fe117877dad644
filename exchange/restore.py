"""Rebuild the state from a snapshot's chunks.

Rule: chunks come from strangers: every one is decoded by type, every reference is checked, and a
snapshot whose parts contradict its head is refused with InvalidMessage. The caller compares the
rebuilt state root with a certified one before it uses the state.

Spec: docs/spec/exchange.md#snapshots
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from exchange.accounts import Account, SessionKey, Trader
from exchange.allowance import HOUR_MS
from exchange.batch import (
    WAITING,
    Batch,
    CancelRequest,
    Commitment,
    Entry,
    Group,
    Replacement,
    Ticket,
)
from exchange.genesis import ExchangeGenesis, MarketConfig
from exchange.limits import ASSETS_MAX, BUILDER_FEE_PPM_MAX, MARKETS_MAX, PRICE_SLOTS
from exchange.market import AUCTION, Market
from exchange.operations import IOC
from exchange.order_book import Order, make_order
from exchange.outcome import Receipt
from exchange.plans import Bracket, Plan
from exchange.price_window import PriceSlot, PriceWindow
from exchange.restore_vaults import load_vaults
from exchange.roots import compute_account_leaf, compute_entry_leaf
from exchange.settlement import compute_hold, enlist
from exchange.snapshot import ACCOUNTS, HEAD, ORDERS, REST, WITHDRAWALS
from exchange.snapshot_records import (
    VERSION,
    AccountRecord,
    BatchRecord,
    BracketRecord,
    CommitRecord,
    HeadRecord,
    ListingsRecord,
    MarketRecord,
    OrderRecord,
    PlanRecord,
    ReplaceRecord,
    RestRecord,
    TicketRecord,
    TrailRecord,
    TriggeredRecord,
    VolumeRecord,
    WindowRecord,
)
from exchange.state import State
from exchange.triggers import Trail, Trigger, Triggered
from exchange.volume import DAY_MS, DAYS, Volume, apply_tier
from primitives.errors import InvalidMessage
from primitives.keccak import keccak256

EARLIER: Final = -1
"""Height of tickets from before the snapshot: their status always comes as a resolution."""
T = TypeVar("T")


def restore(genesis: ExchangeGenesis, chunks: Sequence[bytes]) -> State:
    """Rebuild the state. Raises InvalidMessage on anything that no honest node would have
    written.
    """
    try:
        return _restore(genesis, chunks)
    except (KeyError, IndexError, AssertionError, OverflowError) as error:
        raise InvalidMessage(f"inconsistent snapshot: {error!r}") from error


def _restore(genesis: ExchangeGenesis, chunks: Sequence[bytes]) -> State:
    if not chunks:
        raise InvalidMessage("a snapshot has at least a head")
    pairs = [_decode(chunk, tuple[int, msgspec.Raw]) for chunk in chunks]
    kinds = [kind for kind, _ in pairs]
    if kinds != sorted(kinds) or kinds.count(HEAD) != 1 or kinds[-1] > ORDERS:
        raise InvalidMessage("snapshot chunks are out of order")
    head = _decode(bytes(pairs[0][1]), HeadRecord)
    accounts: list[AccountRecord] = []
    orders: dict[int, list[OrderRecord]] = {}
    leaf_parts: list[bytes] = []
    rest_parts: list[bytes] = []
    for kind, content in pairs[1:]:
        if kind == ACCOUNTS:
            accounts += _decode(bytes(content), list[AccountRecord])
        elif kind == WITHDRAWALS:
            leaf_parts.append(_decode(bytes(content), bytes))
        elif kind == REST:
            rest_parts.append(_decode(bytes(content), bytes))
        else:
            market, groups = _decode(bytes(content), tuple[int, list[list[OrderRecord]]])
            for group in groups:
                orders.setdefault(market, []).extend(group)
    leaves = b"".join(leaf_parts)
    rest = b"".join(rest_parts)
    sizes = (len(accounts), len(leaves), len(rest))
    if head.version != VERSION or sizes != (head.accounts, 32 * head.withdrawals, head.rest_bytes):
        raise InvalidMessage("the snapshot's parts contradict its head")
    state = State(genesis)
    if head.height and state.is_checkpoint(head.height) and keccak256(rest) != head.rest_word:
        raise InvalidMessage("the rest dump does not match its word")
    state.fills_word = head.fills_word
    state.effects_word = head.effects_word
    state.rest_word = head.rest_word
    record = _decode(rest, RestRecord)
    _load_listings(state, record)
    if any(not 0 <= market < len(state.markets) for market in orders):
        raise InvalidMessage("orders of an unknown market")
    _load_accounts(state, accounts)
    state.withdrawals.extend([leaves[i : i + 32] for i in range(0, len(leaves), 32)])
    _load_rest(state, record, orders)
    if state.height != head.height:
        raise InvalidMessage("head and rest name different heights")
    state.log.clear()
    return state


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidMessage(f"snapshot: {error}") from error


def _load_listings(state: State, rest: RestRecord) -> None:
    """Add what was listed since genesis, and give markets the terms that they have by now."""
    if len(rest.assets) > ASSETS_MAX or len(rest.markets) > MARKETS_MAX:
        raise InvalidMessage("more assets or markets than there can be")
    if rest.assets[: len(state.assets)] != tuple(asset.terms for asset in state.assets):
        raise InvalidMessage("the snapshot is of a network with other assets")
    if len(rest.markets) < len(state.markets):
        raise InvalidMessage("the snapshot lacks markets of genesis")
    for terms in rest.assets[len(state.assets) :]:
        state.add_asset(terms)
    for number, stored in enumerate(rest.markets):
        if number == len(state.markets):
            state.add_market(stored.terms)
        elif _name_market(stored.terms) != _name_market(state.markets[number].terms):
            raise InvalidMessage("the snapshot is of a network with other markets")
        else:
            state.renew_market(number, stored.terms)


def _name_market(terms: MarketConfig) -> tuple[str, int, int]:
    return terms.name, terms.base, terms.quote


def _load_listings_votes(state: State, record: ListingsRecord) -> None:
    listings = state.listings
    listings.round = record.round
    listings.words = dict(record.words)
    listings.decided = list(record.decided)


def _load_accounts(state: State, records: list[AccountRecord]) -> None:
    """Open accounts in order of number and rebuild their tree."""
    leaves: dict[int, bytes] = {}
    for number, record in enumerate(records):
        account = state.open_account(record.owner)
        if account.number != number:
            raise InvalidMessage("two accounts have one owner")
        for position, entry in enumerate(record.entries):
            if entry.asset >= len(state.assets):
                raise InvalidMessage("a balance of an unknown asset")
            balance = account.open_balance(entry.sub, entry.asset)
            if balance.position != position:
                raise InvalidMessage("an account has two balances of one asset")
            balance.free = int.from_bytes(entry.free, "big")
            balance.held = int.from_bytes(entry.held, "big")
            account.leaves[position] = compute_entry_leaf(balance)
        if account.entries:
            leaves[number] = compute_account_leaf(account)
    state.accounts_tree.update(leaves)


def _load_rest(state: State, rest: RestRecord, orders: dict[int, list[OrderRecord]]) -> None:
    state.height = rest.height
    state.time_ms = rest.time_ms
    state.next_order = rest.next_order
    for kept, stored in (
        (state.fees, rest.fees),
        (state.fees_shared, rest.fees_shared),
        (state.deposited, rest.deposited),
        (state.withdrawn, rest.withdrawn),
    ):
        if len(stored) != len(kept):
            raise InvalidMessage("the snapshot has another number of assets")
        kept[:] = [int.from_bytes(amount, "big") for amount in stored]
    load_vaults(state, rest.vaults, rest.retired)
    state.notes = rest.notes
    state.participation = rest.participation
    protocol, stored_protocol = state.protocol, rest.protocol
    protocol.version = stored_protocol.version
    protocol.next_version = stored_protocol.next_version
    protocol.next_height = stored_protocol.next_height
    protocol.round = stored_protocol.round
    for hot_key, version, height in stored_protocol.votes:
        protocol.votes[hot_key] = (version, height)
    _load_listings_votes(state, rest.listings)
    _load_keys(state, rest)
    for signer, window in rest.nonces:
        state.nonces[signer] = list(window)
    _load_records(state, rest)
    for number, time_ms in rest.switches:
        if not 0 <= number < len(state.accounts) * 128 or time_ms < 1:
            raise InvalidMessage("a cancel-after time of an unknown account")
        state.switches.put(number, time_ms)
    for market, stored_market in zip(state.markets, rest.markets, strict=True):
        if stored_market.hold_bps < market.taker_bps:
            raise InvalidMessage("buys that hold less than their fee")
        market.hold_bps = stored_market.hold_bps
        _load_book(state, market, orders.get(market.id, []), stored_market)
        _load_market(state, market, stored_market)


def _load_records(state: State, rest: RestRecord) -> None:
    """Load what accounts forfeited, traded and sent lately."""
    for account_number, count, time_ms in rest.forfeits:
        state.accounts[account_number].forfeit_count = count
        state.accounts[account_number].forfeit_ms = time_ms
    for saved in rest.volumes:
        _load_volume(state, saved)
    for account_number, builder, ppm in rest.approvals:
        if not 0 < builder < len(state.accounts) or not 0 < ppm <= BUILDER_FEE_PPM_MAX:
            raise InvalidMessage("an approval of an unknown builder")
        state.accounts[account_number].builders[builder] = ppm
    for account_number, used in rest.operations:
        if used < 1:
            raise InvalidMessage("an account's operations are not counted")
        state.accounts[account_number].operations_hour = state.time_ms // HOUR_MS
        state.accounts[account_number].operations_used = used


def _load_volume(state: State, record: VolumeRecord) -> None:
    account = state.accounts[record.account]
    volume = Volume(record.day)
    volume.today = int.from_bytes(record.today, "big")
    volume.days = [(day, int.from_bytes(units, "big")) for day, units in record.days]
    days = [day for day, _ in volume.days]
    if (
        account.volume is not None
        or days != sorted(set(days))
        or any(not record.day - DAYS <= day < record.day for day in days)
        or record.day > state.time_ms // DAY_MS
    ):
        raise InvalidMessage("an account's volume is out of order")
    volume.past = sum([units for _, units in volume.days])
    apply_tier(volume, state.genesis.volume.tiers)
    account.volume = volume


def _load_book(
    state: State, market: Market, orders: list[OrderRecord], record: MarketRecord
) -> None:
    """Rest the orders, each at its own place, and compare the root."""
    book = market.book
    for stored in orders:
        if not book.next_place <= stored.place < record.next_place or stored.size < 1:
            raise InvalidMessage("resting orders out of place")
        book.next_place = stored.place
        order = _load_order(state, market, stored)
        if order.tif == IOC:
            order.watched = True
            market.auction_only[order.id] = order
        book.rest(order)
    book.next_place = record.next_place
    book.bids.take_touched()
    book.asks.take_touched()
    if market.tree.update(book) != record.book_root:
        raise InvalidMessage("the resting orders do not match their root")


def _load_market(state: State, market: Market, record: MarketRecord) -> None:
    market.last_price = record.last_price
    market.opens_height = record.opens_height
    change = market.change
    change.words = dict(record.change.words)
    change.terms = record.change.terms
    change.height = record.change.height
    change.is_sweeping = record.change.is_sweeping
    change.reopen = record.change.reopen
    market.status = record.status
    market.cause = record.cause
    market.reopens_ms = record.reopens_ms
    market.collecting = record.status == AUCTION or market.only_auctions
    market.uncrossing = record.uncrossing
    market.auction_price = record.auction_price
    market.round = record.round
    market.votes = dict(record.votes)
    for stored in record.triggers:
        order = _load_order(state, market, stored.order)
        market.triggers.add(
            Trigger(
                order,
                stored.action_id,
                stored.above,
                stored.above_price,
                stored.below,
                stored.below_price,
                None if stored.trail is None else _load_trail(order.side, stored.trail),
            )
        )
    for batch in record.batches:
        market.batches.append(_load_batch(state, market, batch))
    for item in record.triggered:
        market.triggered.append(_load_triggered(state, market, item))
    for saved in record.plans:
        _load_plan(state, market, saved)
    for pair in record.brackets:
        _load_bracket(market, pair)
    market.traded = record.traded
    _load_window(market.window, record.window)
    for order_id, time_ms in record.expiries:
        if order_id not in market.book.orders or time_ms < 1:
            raise InvalidMessage("an expiry of an unknown order")
        market.book.orders[order_id].watched = True
        market.expiries.put(order_id, time_ms)


def _load_window(window: PriceWindow, record: WindowRecord) -> None:
    window.before = record.before
    window.last_ms = record.last_ms
    for number, low, high, close in record.slots:
        if len(window.slots) > PRICE_SLOTS or not 1 <= low <= close <= high:
            raise InvalidMessage("prices of a market out of range")
        if window.slots and number <= window.slots[-1].number:
            raise InvalidMessage("prices of a market out of order")
        window.slots.append(PriceSlot(number, low, high, close))


def _load_bracket(market: Market, record: BracketRecord) -> None:
    bracket = Bracket(
        market.book.orders[record.entry],
        record.action_id,
        record.above,
        record.above_price,
        record.below,
        record.below_price,
        record.tif,
    )
    market.plans.add_bracket(bracket)
    if record.exit in market.triggers.by_id:
        market.plans.link_exit(bracket, record.exit)
    bracket.exit_id = record.exit


def _load_plan(state: State, market: Market, record: PlanRecord) -> None:
    order = _load_order(state, market, record.order)
    plan = Plan(
        order, record.action_id, record.visible, record.slots, record.interval_ms, record.bps
    )
    plan.next_ms = record.next_ms
    plan.seen = record.seen
    plan.cushion = record.cushion
    market.plans.add(plan)
    if record.part:
        market.plans.link(plan, market.book.orders[record.part])


def _load_trail(side: int, record: TrailRecord) -> Trail:
    return Trail(side, record.distance, record.in_bps, record.activation, record.best)


def _load_triggered(state: State, market: Market, record: TriggeredRecord) -> Triggered:
    return Triggered(_load_order(state, market, record.order), record.action_id, record.entry)


def _open_trader(state: State, market: Market, account_number: int, sub: int) -> Trader:
    account = state.accounts[account_number]
    trader = account.get_trader(sub, market.id)
    if trader is None:
        quote = account.get_balance(sub, market.quote)
        base = account.get_balance(sub, market.base)
        if quote is None or base is None:
            raise InvalidMessage("a trader without balances")
        trader = account.add_trader(sub, market.id, quote, base)
    return trader


def _load_keys(state: State, rest: RestRecord) -> None:
    for key in rest.keys:
        if not state.next_key <= key.number < rest.next_key or key.key in state.keys:
            raise InvalidMessage("session keys stand in order of their numbers, each once")
        state.next_key = key.number + 1
        state.keys[key.key] = SessionKey(
            key.number,
            key.account,
            key.expiry_ms,
            key.actions,
            key.markets,
            int.from_bytes(key.notional_cap, "big"),
            key.cancel_on_revoke,
            int.from_bytes(key.total_cap, "big"),
            key.orders_cap,
        )
        state.keys[key.key].revoked = key.revoked
        state.keys[key.key].notional_used = int.from_bytes(key.notional_used, "big")
        state.keys[key.key].orders_used = key.orders_used
        state.accounts[key.account].granted.append(key.key)
    state.next_key = rest.next_key


def _load_order(state: State, market: Market, record: OrderRecord) -> Order:
    trader = _open_trader(state, market, record.account, record.sub)
    order = make_order(
        record.id,
        trader,
        record.side,
        record.price,
        record.size,
        record.tif,
        record.stp,
        record.client_id,
        record.grant,
    )
    order.total = record.total
    order.builder, order.builder_ppm = _load_builder(state, record.builder, record.builder_ppm)
    order.held = compute_hold(market, order, order.price, order.size)
    enlist(market, order)
    return order


def _load_builder(state: State, number: int, ppm: int) -> tuple[Account | None, int]:
    if number == 0 and ppm == 0:
        return None, 0
    if number < 1:
        raise InvalidMessage("a fee for no builder")
    return state.accounts[number], ppm


def _load_ticket(record: TicketRecord) -> Ticket:
    return Receipt(record.action_id, -1, [], []), EARLIER, record.op


def _load_batch(state: State, market: Market, record: BatchRecord) -> Batch:
    batch = Batch(record.height, record.block_hash)
    batch.next_hash = record.next_hash
    batch.open_blocks = record.open_blocks
    batch.first_open_ms = record.first_open_ms
    batch.first_opener = record.first_opener
    batch.two_openers = record.two_openers
    for cancel in record.cancels:
        trader = _open_trader(state, market, cancel.account, cancel.sub)
        ticket = None if cancel.ticket is None else _load_ticket(cancel.ticket)
        batch.cancels.append(
            CancelRequest(
                trader, cancel.order_id, cancel.before, cancel.grant, cancel.reason, ticket
            )
        )
    for stored_group in record.groups:
        group = Group(stored_group.action_id)
        batch.groups.append(group)
        for waiting in stored_group.entries:
            ticket = _load_ticket(TicketRecord(stored_group.action_id, waiting.op))
            if waiting.replace is not None:
                group.entries.append(_load_replace(state, market, waiting.replace, ticket))
            elif waiting.order is not None:
                group.entries.append(Entry(_load_order(state, market, waiting.order), ticket))
    for commit in record.commits:
        commitment = _load_commit(state, market, record.height, commit)
        batch.commits.append(commitment)
        batch.unopened += commitment.state == WAITING
    for item in record.triggered:
        batch.triggered.append(_load_triggered(state, market, item))
    return batch


def _load_replace(state: State, market: Market, record: ReplaceRecord, ticket: Ticket) -> Entry:
    order = market.book.orders.get(record.order_id)
    if order is None:  # it ended after the replacement was admitted
        trader = _open_trader(state, market, record.account, record.sub)
        order = make_order(record.order_id, trader, record.side, record.price, 0, 0, 0, 0, 0)
    extra = int.from_bytes(record.extra, "big")
    entry = Replacement(order, ticket, record.price, record.size, extra)
    entry.filled = record.filled
    return entry


def _load_commit(state: State, market: Market, height: int, record: CommitRecord) -> Commitment:
    trader = _open_trader(state, market, record.account, record.sub)
    ticket = _load_ticket(record.ticket)
    commit = Commitment(height, trader, record.commit_hash, record.nonce_ms, ticket)
    commit.quote_tier = int.from_bytes(record.quote_tier, "big")
    commit.base_tier = int.from_bytes(record.base_tier, "big")
    commit.quote_bond = int.from_bytes(record.quote_bond, "big")
    commit.base_bond = int.from_bytes(record.base_bond, "big")
    commit.state = record.state
    commit.reason = record.reason
    commit.orders = record.orders
    commit.first_order = record.first_order
    commit.salt = record.salt
    commit.grant = record.grant
    commit.builder, commit.builder_ppm = _load_builder(state, record.builder, record.builder_ppm)
    if record.open_ticket is not None:
        commit.open_ticket = _load_ticket(record.open_ticket)
    market.commits[(trader.number, record.commit_hash)] = commit
    trader.account.commits += 1
    return commit
