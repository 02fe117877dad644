"""Turn the state into chunks of bytes.

Rule: a snapshot is a pure function of the state: equal states give equal bytes on every node. The
rest word is the keccak of the dump made here, renewed at checkpoint heights.

Spec: docs/spec/exchange.md#snapshots
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from exchange.accounts import Account, SessionKey
from exchange.allowance import HOUR_MS
from exchange.batch import Batch, CancelRequest, Commitment, Entry, Replacement, Ticket
from exchange.book_tree import make_order_record
from exchange.limits import GROUPS_PER_PAGE, SNAPSHOT_CHUNK_BYTES
from exchange.market import Market
from exchange.plans import Bracket, Plan
from exchange.price_window import PriceWindow
from exchange.proposals import Listings, TermsChange
from exchange.protocol import Protocol
from exchange.snapshot_records import (
    VERSION,
    AccountRecord,
    AppliedRecord,
    BatchRecord,
    BracketRecord,
    CancelRecord,
    ChangeRecord,
    CommitRecord,
    EntryRecord,
    GroupRecord,
    HeadRecord,
    KeyRecord,
    ListingsRecord,
    MarketRecord,
    OpenWindowRecord,
    PlanRecord,
    ProtocolRecord,
    ReplaceRecord,
    RestRecord,
    RetiredRecord,
    TicketRecord,
    TrailRecord,
    TriggeredRecord,
    TriggerRecord,
    VaultRecord,
    VolumeRecord,
    WaitingRecord,
    WindowRecord,
)
from exchange.state import State
from exchange.triggers import Trail, Trigger, Triggered
from exchange.vaults import Retired, Vault
from exchange.volume import Volume
from primitives.keccak import keccak256

HEAD: Final = 0
ACCOUNTS: Final = 1
WITHDRAWALS: Final = 2
REST: Final = 3
ORDERS: Final = 4

_encoder: Final = msgspec.msgpack.Encoder()


def snapshot(state: State) -> tuple[bytes, ...]:
    """Encode the state; chunks are at most a little over `SNAPSHOT_CHUNK_BYTES`.

    Each chunk is a MessagePack pair [kind, content]: one head, then accounts, withdrawal leaves,
    rest, resting orders.
    """
    rest = state.rest_dump[1] if state.rest_dump[0] == state.height else dump_rest(state)
    head = HeadRecord(
        VERSION,
        state.height,
        len(state.accounts),
        state.withdrawals.size,
        len(rest),
        state.fills_word,
        state.effects_word,
        state.rest_word,
    )
    chunks = [_encoder.encode((HEAD, head))]
    chunks += [_encoder.encode((ACCOUNTS, part)) for part in _pack_accounts(state.accounts)]
    leaves = b"".join([state.withdrawals.leaf(i) for i in range(state.withdrawals.size)])
    chunks += [_encoder.encode((WITHDRAWALS, part)) for part in _cut(leaves)]
    chunks += [_encoder.encode((REST, part)) for part in _cut(rest)]
    for market in state.markets:
        chunks += [_encoder.encode((ORDERS, part)) for part in _pack_orders(market)]
    return tuple(chunks)


def renew_rest_word(state: State) -> None:
    """Hash everything that is in no tree."""
    rest = dump_rest(state)
    state.rest_dump = (state.height, rest)
    state.rest_word = keccak256(rest)


def dump_rest(state: State) -> bytes:
    """Encode everything that is in no tree, in canonical order."""
    record = RestRecord(
        VERSION,
        state.height,
        state.time_ms,
        state.next_order,
        tuple(asset.terms for asset in state.assets),
        tuple(map(_encode_atoms, state.fees)),
        tuple(map(_encode_atoms, state.fees_shared)),
        tuple(map(_encode_atoms, state.deposited)),
        tuple(map(_encode_atoms, state.withdrawn)),
        tuple(
            _dump_vault(chain_id, address, vault)
            for (chain_id, address), vault in state.vaults.items()
        ),
        tuple(map(_dump_retired, state.retired)),
        state.notes,
        state.participation,
        _dump_protocol(state.protocol),
        _dump_listings(state.listings),
        state.next_key,
        tuple(_dump_key(address, key) for address, key in state.keys.items()),
        tuple((signer, tuple(state.nonces[signer])) for signer in sorted(state.nonces)),
        tuple((a.number, a.forfeit_count, a.forfeit_ms) for a in state.accounts if a.forfeit_count),
        tuple(_dump_volume(a.number, a.volume) for a in state.accounts if a.volume is not None),
        tuple(
            (account.number, *approval)
            for account in state.accounts
            if account.builders
            for approval in sorted(account.builders.items())
        ),
        _dump_operations(state),
        state.switches.list_all(),
        tuple(_dump_market(market) for market in state.markets),
    )
    return _encoder.encode(record)


def _dump_vault(chain_id: int, address: bytes, vault: Vault) -> VaultRecord:
    before = vault.before
    return VaultRecord(
        chain_id,
        address,
        vault.credited,
        vault.window,
        vault.last_hash,
        tuple(sorted(vault.votes.items())),
        vault.registry_changes,
        tuple(
            OpenWindowRecord(content, one.window, one.height, tuple(sorted(one.attesters)))
            for content, one in vault.open_windows.items()
        ),
        None
        if before is None
        else AppliedRecord(before.previous, before.credited, before.changes, before.end_hash),
        tuple(sorted(vault.doubts)),
        vault.settled_height,
        vault.settled_ms,
        tuple(sorted(vault.settled_votes.items())),
        vault.frozen,
        vault.next_vault,
        vault.move_at_ms,
        vault.moved_to,
        vault.move_round,
        tuple((key, *vault.move_votes[key]) for key in sorted(vault.move_votes)),
    )


def _dump_retired(one: Retired) -> RetiredRecord:
    return RetiredRecord(
        one.asset,
        one.chain_id,
        one.vault,
        one.token,
        one.height,
        _encode_atoms(one.fees),
        _encode_atoms(one.owed),
    )


def _encode_atoms(amount: int) -> bytes:
    return amount.to_bytes(32, "big")


def _cut(data: bytes) -> list[bytes]:
    size = SNAPSHOT_CHUNK_BYTES
    return [data[i : i + size] for i in range(0, len(data), size)]


def _pack_accounts(accounts: list[Account]) -> Iterator[list[msgspec.Raw]]:
    """Encode accounts in order of number and group them into chunks."""
    part: list[msgspec.Raw] = []
    size = 0
    for account in accounts:
        entries = tuple(
            EntryRecord(b.sub, b.asset, _encode_atoms(b.free), _encode_atoms(b.held))
            for b in account.entries
        )
        raw = _encoder.encode(AccountRecord(account.owner, entries))
        part.append(msgspec.Raw(raw))
        size += len(raw)
        if size >= SNAPSHOT_CHUNK_BYTES:
            yield part
            part = []
            size = 0
    if part:
        yield part


def _pack_orders(market: Market) -> Iterator[tuple[int, list[msgspec.Raw]]]:
    """Group the records of resting orders into chunks that end where a page does.

    So the chunks of old orders stay the same from one snapshot to the next.
    """
    part: list[msgspec.Raw] = []
    size = 0
    page = 0
    for number, data in market.tree.iterate_groups():
        if number // GROUPS_PER_PAGE != page:
            page = number // GROUPS_PER_PAGE
            if 2 * size >= SNAPSHOT_CHUNK_BYTES:
                yield market.id, part
                part = []
                size = 0
        part.append(msgspec.Raw(data))
        size += len(data)
    if part:
        yield market.id, part


def _dump_protocol(protocol: Protocol) -> ProtocolRecord:
    return ProtocolRecord(
        protocol.version,
        protocol.next_version,
        protocol.next_height,
        protocol.round,
        tuple((key, *protocol.votes[key]) for key in sorted(protocol.votes)),
    )


def _dump_listings(listings: Listings) -> ListingsRecord:
    return ListingsRecord(
        listings.round,
        tuple(sorted(listings.words.items(), key=_get_voter)),
        tuple(listings.decided),
    )


def _dump_change(change: TermsChange) -> ChangeRecord:
    return ChangeRecord(
        tuple(sorted(change.words.items(), key=_get_voter)),
        change.terms,
        change.height,
        change.is_sweeping,
        change.reopen,
    )


def _get_voter(item: tuple[bytes, object]) -> bytes:
    return item[0]


def _dump_key(address: bytes, key: SessionKey) -> KeyRecord:
    return KeyRecord(
        key.number,
        address,
        key.account,
        key.expiry_ms,
        key.actions,
        key.markets,
        _encode_atoms(key.notional_cap),
        key.cancel_on_revoke,
        key.revoked,
        _encode_atoms(key.total_cap),
        key.orders_cap,
        _encode_atoms(key.notional_used),
        key.orders_used,
    )


def _dump_operations(state: State) -> tuple[tuple[int, int], ...]:
    hour = state.time_ms // HOUR_MS
    return tuple(
        (account.number, account.operations_used)
        for account in state.accounts
        if account.operations_used and account.operations_hour == hour
    )


def _dump_volume(number: int, volume: Volume) -> VolumeRecord:
    return VolumeRecord(
        number,
        volume.day,
        _encode_atoms(volume.today),
        tuple((day, _encode_atoms(units)) for day, units in volume.days),
    )


def _dump_market(market: Market) -> MarketRecord:
    return MarketRecord(
        market.terms,
        market.hold_bps,
        market.opens_height,
        _dump_change(market.change),
        market.last_price,
        market.book.next_place,
        market.tree.update(market.book),
        tuple(_dump_batch(batch) for batch in market.batches),
        market.status,
        market.round,
        tuple(sorted(market.votes.items())),
        tuple(_dump_trigger(t) for _, t in sorted(market.triggers.by_id.items())),
        _dump_triggered(market.triggered),
        market.expiries.list_all(),
        tuple(_dump_plan(plan) for _, plan in sorted(market.plans.by_id.items())),
        tuple(_dump_bracket(one) for _, one in sorted(market.plans.brackets.items())),
        market.traded,
        _dump_window(market.window),
        market.cause,
        market.reopens_ms,
        market.uncrossing,
        market.auction_price,
    )


def _dump_window(window: PriceWindow) -> WindowRecord:
    slots = tuple((s.number, s.low, s.high, s.close) for s in window.slots)
    return WindowRecord(window.before, window.last_ms, slots)


def _dump_batch(batch: Batch) -> BatchRecord:
    return BatchRecord(
        batch.height,
        batch.block_hash,
        batch.next_hash,
        batch.open_blocks,
        batch.first_open_ms,
        batch.first_opener,
        batch.two_openers,
        tuple(_dump_cancel(request) for request in batch.cancels),
        tuple(
            GroupRecord(group.action_id, tuple(_dump_entry(entry) for entry in group.entries))
            for group in batch.groups
        ),
        tuple(_dump_commit(commit) for commit in batch.commits),
        _dump_triggered(batch.triggered),
    )


def _dump_bracket(bracket: Bracket) -> BracketRecord:
    return BracketRecord(
        bracket.action_id,
        bracket.entry.id,
        bracket.above,
        bracket.above_price,
        bracket.below,
        bracket.below_price,
        bracket.tif,
        bracket.exit_id,
    )


def _dump_plan(plan: Plan) -> PlanRecord:
    return PlanRecord(
        plan.action_id,
        make_order_record(plan.order),
        plan.visible,
        plan.slots,
        plan.interval_ms,
        plan.bps,
        plan.next_ms,
        plan.seen,
        plan.cushion,
        0 if plan.part is None else plan.part.id,
    )


def _dump_trigger(trigger: Trigger) -> TriggerRecord:
    trail = trigger.trail
    return TriggerRecord(
        trigger.action_id,
        make_order_record(trigger.order),
        trigger.above,
        trigger.above_price,
        trigger.below,
        trigger.below_price,
        None if trail is None else _dump_trail(trail),
    )


def _dump_trail(trail: Trail) -> TrailRecord:
    return TrailRecord(trail.distance, trail.in_bps, trail.activation, trail.best)


def _dump_triggered(orders: list[Triggered]) -> tuple[TriggeredRecord, ...]:
    """Encode reached orders but those that were cancelled since."""
    return tuple(
        TriggeredRecord(item.action_id, make_order_record(item.order), item.entry)
        for item in orders
        if item.order.size
    )


def _dump_cancel(request: CancelRequest) -> CancelRecord:
    return CancelRecord(
        request.trader.number,
        request.trader.sub,
        request.order_id,
        request.before,
        request.grant,
        request.reason,
        None if request.ticket is None else _dump_ticket(request.ticket),
    )


def _dump_entry(entry: Entry) -> WaitingRecord:
    order = entry.order
    if not isinstance(entry, Replacement):
        return WaitingRecord(entry.ticket[2], make_order_record(order), None)
    replace = ReplaceRecord(
        order.id,
        order.trader.number,
        order.trader.sub,
        order.side,
        entry.price,
        entry.size,
        entry.filled,
        _encode_atoms(entry.extra),
    )
    return WaitingRecord(entry.ticket[2], None, replace)


def _dump_commit(commit: Commitment) -> CommitRecord:
    return CommitRecord(
        commit.account.number,
        commit.trader.sub,
        commit.commit_hash,
        commit.nonce_ms,
        _dump_ticket(commit.ticket),
        _encode_atoms(commit.quote_tier),
        _encode_atoms(commit.base_tier),
        _encode_atoms(commit.quote_bond),
        _encode_atoms(commit.base_bond),
        commit.state,
        commit.reason,
        commit.orders,
        commit.first_order,
        commit.salt,
        commit.grant,
        0 if commit.builder is None else commit.builder.number,
        commit.builder_ppm,
        None if commit.open_ticket is None else _dump_ticket(commit.open_ticket),
    )


def _dump_ticket(ticket: Ticket) -> TicketRecord:
    return TicketRecord(ticket[0].action_id, ticket[2])
