"""Execute one final block: the only way the exchange's state changes.

Rule: a pure function of state and block. First the actions in block order (account operations at
once, trading operations admitted with their funds held), then every market's batches, then what
belongs to checkpoint heights, then the roots. Every action gets a receipt with a status for each
operation.

Spec: docs/spec/exchange.md#execution
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, Final

from exchange.accounts import Account, Balance
from exchange.actions import VerifiedAction
from exchange.admission import (
    Context,
    admit_cancel,
    admit_cancel_all,
    admit_cancel_client,
    admit_place,
    admit_replace,
)
from exchange.allowance import count_action
from exchange.attestation import close_windows, process_attestation
from exchange.authority import check_key, check_time, prune_nonces, spend_nonce
from exchange.brackets import admit_bracket
from exchange.builders import admit_builder, process_approval
from exchange.conditional import (
    admit_cancel_after,
    admit_replace_trigger,
    admit_trailing,
    admit_trigger,
    admit_until,
    begin_block,
    collect_reached,
)
from exchange.conservation import verify_conservation
from exchange.freezing import begin_freezes, process_doubt, process_settled
from exchange.governance import process_market_vote
from exchange.ledger import process_transfer, process_withdrawal, share_fees, share_rewards
from exchange.limits import BALANCE_TREE_DEPTH
from exchange.listing import begin_listings, process_listing_vote
from exchange.migration import move_vaults, process_move_vote
from exchange.operations import (
    VOTES,
    ApproveBuilder,
    Attest,
    Cancel,
    CancelAfter,
    CancelAll,
    CancelClient,
    Commit,
    Doubt,
    Grant,
    Heartbeat,
    ListAsset,
    ListMarket,
    MoveVault,
    Open,
    Place,
    PlaceBracket,
    PlaceIceberg,
    PlaceSchedule,
    PlaceTrailing,
    PlaceTrigger,
    PlaceUntil,
    Replace,
    ReplaceTrigger,
    Revoke,
    SetMarket,
    SetProtocol,
    SetTerms,
    Settled,
    Transfer,
    UseBuilder,
    Withdraw,
)
from exchange.order_book import BUY, SELL
from exchange.outcome import BalanceChange, LevelChange, Notes, Outcome, Receipt, StorageNote
from exchange.phases import advance_market
from exchange.plan_admission import admit_iceberg, admit_schedule
from exchange.protocol import process_protocol_vote
from exchange.reasons import REJECTED, Reason
from exchange.roots import (
    compute_roots,
    compute_state_root,
    hash_fee_rows,
    list_fee_rows,
    update_accounts,
    update_running_words,
)
from exchange.sealing import admit_commit, admit_open
from exchange.session_keys import forget_keys, process_grant, process_revoke
from exchange.slicing import advance_plans
from exchange.snapshot import renew_rest_word
from exchange.state import ZERO32, State
from exchange.sweeping import sweep_markets
from exchange.terms import begin_changes, finish_changes, process_terms_vote
from exchange.volume import DAY_MS, prune_volumes

OK = int(Reason.OK)
UNKNOWN_ACCOUNT = int(Reason.UNKNOWN_ACCOUNT)
ATOMIC_FAILED = int(Reason.ATOMIC_FAILED)
KEY_LACKS_ACTION = int(Reason.KEY_LACKS_ACTION)
NOT_VALIDATOR = int(Reason.NOT_VALIDATOR)
NO_ACCOUNT: Final = -1

Member = tuple[bytes, int, bytes]
"""(validator's hot address, weight, payout address)."""


class BlockInput:
    """A final block as the exchange sees it."""

    __slots__ = (
        "actions",
        "block_hash",
        "committee",
        "executed_height",
        "height",
        "is_seal",
        "participation_digest",
        "pay",
        "proposer",
        "registered",
        "time_ms",
    )

    def __init__(
        self,
        *,
        height: int,
        time_ms: int,
        block_hash: bytes,
        proposer: int,
        executed_height: int,
        is_seal: bool,
        committee: tuple[Member, ...],
        actions: tuple[VerifiedAction, ...],
        pay: tuple[Member, ...] | None = None,
        participation_digest: bytes = ZERO32,
        registered: Container[bytes] = (),
    ) -> None:
        self.height: int = height
        self.time_ms: int = time_ms
        self.block_hash: bytes = block_hash
        self.proposer: int = proposer
        """Committee index of the proposer."""
        self.executed_height: int = executed_height
        """As the block's header states it: proof of what was final when the block was proposed."""
        self.is_seal: bool = is_seal
        self.committee: tuple[Member, ...] = committee
        self.actions: tuple[VerifiedAction, ...] = actions
        """In block order, bad ones included."""
        self.pay: tuple[Member, ...] = committee if pay is None else pay
        """Who shares the fees, by weight × score; the committee where scores are not kept."""
        self.participation_digest: bytes = participation_digest
        """Of the participation state that this block's facts lead to; zero where there is none."""
        self.registered: Container[bytes] = registered
        """Hot keys of all registered validators: those who may send a heartbeat."""


def execute(state: State, block: BlockInput) -> Outcome:
    """Execute the block after the state's height and return all that it did."""
    assert block.height == state.height + 1, "blocks are executed in order, once"
    assert block.time_ms >= state.time_ms, "block time never goes back"
    assert len(block.block_hash) == 32
    assert len(block.participation_digest) == 32
    log = state.log
    log.clear()
    log.height = state.height = block.height
    state.time_ms = block.time_ms
    log.day = block.time_ms // DAY_MS
    state.participation = block.participation_digest
    state.protocol.begin(block.height)
    begin_listings(state)
    begin_changes(state)
    begin_freezes(state, block.committee)
    _note_block(state, block)
    begin_block(state, block.block_hash)
    for action in block.actions:
        log.receipts.append(_process_action(state, block, action))
    for market in state.markets:
        if market.batches or market.collecting:
            fills = len(log.fills)
            advance_market(state, market)
            if market.triggers.by_id and len(log.fills) > fills:
                collect_reached(market)
            if market.plans.by_id:
                market.traded += sum([fill.size for fill in log.fills[fills:]])
        if market.plans.ended or market.plans.orphans:
            advance_plans(state, market)
    sweep_markets(state)
    finish_changes(state)
    is_checkpoint = state.is_checkpoint(block.height)
    if is_checkpoint:
        share_fees(state, block.pay)
        share_rewards(state, block.pay)
        move_vaults(state)
        prune_nonces(state)
        forget_keys(state)
        prune_volumes(state.accounts, log.day)
        verify_conservation(state)
    close_windows(state)
    state.notes = Notes(
        tuple(log.registry), tuple(log.windows), tuple(log.heartbeats), tuple(log.storage)
    )
    changes = _collect_balances(state)
    update_accounts(state)
    update_running_words(state)
    if is_checkpoint:
        renew_rest_word(state)
    return _make_outcome(state, changes, is_checkpoint)


def _note_block(state: State, block: BlockInput) -> None:
    """Tell waiting batches the hash that ranks them and count opening blocks."""
    for market in state.markets:
        for batch in market.batches:
            if batch.height == block.height - 1:
                batch.next_hash = block.block_hash
            if batch.commits and not block.is_seal:
                batch.note_block(
                    block.executed_height, block.time_ms, block.proposer, len(block.committee)
                )


def _process_action(state: State, block: BlockInput, action: VerifiedAction) -> Receipt:
    ops = action.ops
    if action.error:
        return _refuse(action, NO_ACCOUNT, action.error)
    if isinstance(ops[0], Attest):
        return _process_attestations(state, block, action)
    if isinstance(ops[0], Heartbeat):
        return _process_heartbeat(state, block, action)
    if isinstance(ops[0], VOTES):
        return _process_vote(state, block, action, ops[0])
    account = state.by_address.get(action.account)
    if account is None:
        return _refuse(action, NO_ACCOUNT, UNKNOWN_ACCOUNT)
    number = account.number
    key = None
    if action.signer != action.account:
        key = state.keys.get(action.signer)
        reason = check_key(state, account, key)
        if reason:
            return _refuse(action, number, reason)
    reason = check_time(state, action) or spend_nonce(state, action)
    if not reason:
        reason = count_action(state, account, action)
    if reason:
        return _refuse(action, number, reason)
    receipt = Receipt(action.id, number, [OK] * len(ops), [0] * len(ops))
    context = Context(state, block.block_hash, action, account, key, receipt)
    _process_ops(context, receipt.statuses)
    return receipt


def _refuse(action: VerifiedAction, number: int, reason: int) -> Receipt:
    count = len(action.ops) or 1
    return Receipt(action.id, number, [reason] * count, [0] * count)


def _process_ops(context: Context, statuses: list[int]) -> None:
    """Admit the operations of one action, all or nothing if it is atomic."""
    key = context.key
    for index, op in enumerate(context.action.ops):
        kind = type(op)
        if key is not None and not key.actions >> _TAGS[kind] & 1:
            status = KEY_LACKS_ACTION
        elif context.builder_reason and kind in _BUILDERS_OPS:
            status = context.builder_reason
        else:
            status = _HANDLERS[kind](context, op, index)
        statuses[index] = status
        if status >= REJECTED and context.undo is not None:
            _undo_all(context, statuses, index)
            return


def _undo_all(context: Context, statuses: list[int], failed: int) -> None:
    """Take back what an atomic action did before its operation `failed` was refused."""
    assert context.undo is not None
    for undo in reversed(context.undo):
        undo()
    for index in range(len(statuses)):
        context.receipt.orders[index] = 0
        if index != failed:
            statuses[index] = ATOMIC_FAILED


def _process_attestations(state: State, block: BlockInput, action: VerifiedAction) -> Receipt:
    """Attestations need no account: their signer must be in the committee."""
    known = state.by_address.get(action.account)
    number = NO_ACCOUNT if known is None else known.number
    if all(action.signer != member[0] for member in block.committee):
        return _refuse(action, number, NOT_VALIDATOR)
    reason = check_time(state, action) or spend_nonce(state, action)
    if reason:
        return _refuse(action, number, reason)
    statuses = [
        process_attestation(state, block.committee, action.signer, op)
        for op in action.ops
        if isinstance(op, Attest)
    ]
    return Receipt(action.id, number, statuses, [0] * len(statuses))


def _process_heartbeat(state: State, block: BlockInput, action: VerifiedAction) -> Receipt:
    """A sign of life by any registered validator, with a seat or without."""
    known = state.by_address.get(action.account)
    number = NO_ACCOUNT if known is None else known.number
    if action.signer not in block.registered:
        return _refuse(action, number, NOT_VALIDATOR)
    reason = check_time(state, action) or spend_nonce(state, action)
    if reason:
        return _refuse(action, number, reason)
    if action.signer not in state.log.heartbeats:
        state.log.heartbeats.append(action.signer)
        _note_storage(state, action)
    return Receipt(action.id, number, [OK], [0])


def _note_storage(state: State, action: VerifiedAction) -> None:
    op = action.ops[0]
    assert isinstance(op, Heartbeat)
    if op.commitment != ZERO32 or op.answer != ZERO32:
        note = StorageNote(action.signer, op.part, op.commitment, op.answer)
        state.log.storage.append(note)


def _process_vote(
    state: State,
    block: BlockInput,
    action: VerifiedAction,
    op: SetMarket | SetProtocol | ListAsset | ListMarket | SetTerms | MoveVault | Settled | Doubt,
) -> Receipt:
    """A committee member's word on a market, the rules or a vault; it needs no account."""
    known = state.by_address.get(action.account)
    number = NO_ACCOUNT if known is None else known.number
    if all(action.signer != member[0] for member in block.committee):
        return _refuse(action, number, NOT_VALIDATOR)
    reason = check_time(state, action) or spend_nonce(state, action)
    if reason:
        return _refuse(action, number, reason)
    if isinstance(op, SetMarket):
        status = process_market_vote(state, block.committee, action.signer, op)
    elif isinstance(op, SetTerms):
        status = process_terms_vote(state, block.committee, action.signer, op)
    elif isinstance(op, ListAsset | ListMarket):
        status = process_listing_vote(state, block.committee, action.signer, op)
    elif isinstance(op, MoveVault):
        status = process_move_vote(state, block.committee, action.signer, op)
    elif isinstance(op, Settled):
        status = process_settled(state, block.committee, action.signer, op)
    elif isinstance(op, Doubt):
        status = process_doubt(state, block.committee, action.signer, op)
    else:
        status = process_protocol_vote(
            state.protocol, block.height, block.committee, action.signer, op
        )
    return Receipt(action.id, number, [status], [0])


def _process_wallet_op(context: Context, op: Any, index: int) -> int:
    """Carry out the one wallet operation of an action; the signature check saw to the signer."""
    assert context.key is None
    account: Account = context.account
    state = context.state
    if isinstance(op, Grant):
        return process_grant(context, op)
    if isinstance(op, Revoke):
        return process_revoke(context, op)
    if isinstance(op, ApproveBuilder):
        return process_approval(context, op)
    if isinstance(op, Transfer):
        return process_transfer(state, account.owner, context.sub, op)
    assert isinstance(op, Withdraw)
    return process_withdrawal(state, account.owner, context.sub, op, context.action.id)


_HANDLERS: Final[dict[type, Callable[[Context, Any, int], int]]] = {
    Place: admit_place,
    Cancel: admit_cancel,
    CancelClient: admit_cancel_client,
    CancelAll: admit_cancel_all,
    Replace: admit_replace,
    Commit: admit_commit,
    Open: admit_open,
    Grant: _process_wallet_op,
    Revoke: _process_wallet_op,
    Withdraw: _process_wallet_op,
    Transfer: _process_wallet_op,
    PlaceTrigger: admit_trigger,
    PlaceUntil: admit_until,
    CancelAfter: admit_cancel_after,
    PlaceTrailing: admit_trailing,
    ReplaceTrigger: admit_replace_trigger,
    PlaceIceberg: admit_iceberg,
    PlaceSchedule: admit_schedule,
    PlaceBracket: admit_bracket,
    ApproveBuilder: _process_wallet_op,
    UseBuilder: admit_builder,
}
_TAGS: Final[dict[type, int]] = {
    Place: 1,
    Cancel: 2,
    CancelClient: 3,
    CancelAll: 4,
    Replace: 5,
    Commit: 6,
    Open: 7,
    PlaceTrigger: 8,
    PlaceUntil: 9,
    CancelAfter: 10,
    PlaceTrailing: 11,
    ReplaceTrigger: 12,
    PlaceIceberg: 13,
    PlaceSchedule: 14,
    PlaceBracket: 15,
    UseBuilder: 16,
}
"""Bits of a session key's allowed operations; wallet operations never come with a session key."""


_BUILDERS_OPS: Final = frozenset(
    (
        Place,
        Open,
        PlaceTrigger,
        PlaceUntil,
        PlaceTrailing,
        PlaceIceberg,
        PlaceSchedule,
        PlaceBracket,
    )
)
"""What names the builder that stands before it in the action."""


def _collect_balances(state: State) -> tuple[BalanceChange, ...]:
    """List the balances that changed, in order of account and entry."""
    touched = state.log.touched
    touched.sort(key=_get_entry_place)
    return tuple(
        [
            BalanceChange(b.account.number, b.account.owner, b.sub, b.asset, b.free, b.held)
            for b in touched
        ]
    )


def _get_entry_place(balance: Balance) -> int:
    return balance.account.number << BALANCE_TREE_DEPTH | balance.position


def _collect_levels(state: State) -> dict[int, tuple[LevelChange, ...]]:
    """List the levels that changed and forget that they did."""
    found: dict[int, tuple[LevelChange, ...]] = {}
    for market in state.markets:
        book = market.book
        bids = book.bids
        asks = book.asks
        if bids.touched or asks.touched:
            changes = [LevelChange(BUY, key, size) for key, size in bids.take_touched()]
            changes += [LevelChange(SELL, -key, size) for key, size in asks.take_touched()]
            found[market.id] = tuple(changes)
    return found


def _make_outcome(state: State, changes: tuple[BalanceChange, ...], is_checkpoint: bool) -> Outcome:
    log = state.log
    roots = compute_roots(state)
    fee_rows = list_fee_rows(state)
    return Outcome(
        height=state.height,
        time_ms=state.time_ms,
        state_root=compute_state_root(roots),
        fees_root=hash_fee_rows(fee_rows),
        roots=roots,
        receipts=tuple(log.receipts),
        resolutions=tuple(log.resolutions),
        fills=tuple(log.fills),
        orders=tuple(log.orders),
        commits=tuple(log.commits),
        batches=tuple(log.batches),
        levels=_collect_levels(state),
        balances=changes,
        deposits=tuple(log.deposits),
        withdrawals=tuple(log.withdrawals),
        shares=tuple(log.shares),
        notes=state.notes,
        market_changes=tuple(log.market_changes),
        listings=tuple(log.listings),
        auctions=tuple(log.auctions),
        withdrawal_count=state.withdrawals.size,
        fee_totals=tuple(state.fees),
        fee_rows=fee_rows,
        moves=tuple(log.moves),
        freezes=tuple(log.freezes),
        is_checkpoint=is_checkpoint,
    )
