"""Publish what each executed block changed to the API's listeners, and keep the running figures.

Rule: everything told here is derived from the outcome of execution, in the order of heights.
Spec: docs/reference/api.md (Subscriptions). Deviations: none.
"""

from __future__ import annotations

import logging
from typing import Final

from consensus.certificate import Certificate
from exchange.outcome import Outcome, Receipt
from node.api import account_views, chain_views, views
from node.api.hub import Hub
from node.api.limits import BOOK_PUSH_LEVELS
from node.blocks.executor import Execution
from node.committee.epoch_book import EpochBook
from node.metrics import Metrics
from node.replica.ledger import Ledger
from node.replica.order_count import OrderCount
from node.views.ledger_views import make_account_updates, make_book, make_trades
from node.views.market_feed import publish_events, publish_market_data, publish_tickers
from node.views.receipts import PendingReceipts, make_receipt
from primitives.cid import Cid
from storage.records import FinalRecord

log = logging.getLogger("omnibazaar.chain")

OLD_BLOCK_MS: Final = 10_000  # a block that became final elsewhere this long ago is caught up
OLD_BLOCKS_PER_LINE: Final = 500


class Feed:
    """Listeners, counters and the newest certificates."""

    def __init__(
        self,
        hub: Hub,
        ledger: Ledger,
        metrics: Metrics,
        book: EpochBook,
        *,
        actions: int,
    ) -> None:
        self._hub = hub
        self._ledger = ledger
        self._metrics = metrics
        self._receipts = PendingReceipts()
        self._orders = OrderCount()
        self.actions = actions
        self._book = book
        self.proposed: dict[bytes, tuple[int, int]] = {}  # proposer → (blocks, last height)
        self.voted: dict[bytes, int] = {}  # member → votes seen in certificates
        self.certificates = 0
        self.last: FinalRecord | None = None

    def on_executed(self, execution: Execution, record: FinalRecord) -> None:
        """Count and publish one executed block."""
        outcome = execution.outcome
        first_trade = execution.tape.first_fill
        self._count(execution, record)
        self._publish_markets(outcome, first_trade)
        publish_market_data(self._hub, self._ledger, outcome)
        publish_tickers(self._hub, self._ledger, outcome)
        publish_events(self._hub, self._ledger, outcome)
        self._publish_accounts(outcome, first_trade)
        if self._hub.is_wanted("blocks"):
            self._hub.publish("blocks", (make_block_event(record, len(outcome.fills), self._book),))
        self._tell(execution, record)

    def _tell(self, execution: Execution, record: FinalRecord) -> None:
        outcome, behind_ms = execution.outcome, execution.final.final_ms - record.time_ms
        is_old = behind_ms > OLD_BLOCK_MS
        figures = {
            "view": record.view,
            "actions": len(outcome.receipts),
            "fills": len(outcome.fills),
            "final_ms": record.finality_ms,
        }
        if is_old:
            figures["behind_s"] = behind_ms // 1_000
        is_quiet = is_old and outcome.height % OLD_BLOCKS_PER_LINE
        level = logging.DEBUG if is_quiet else logging.INFO
        log.log(level, "height %d", outcome.height, extra=figures)

    def _count(self, execution: Execution, record: FinalRecord) -> None:
        outcome = execution.outcome
        self.last = record
        self.actions += len(outcome.receipts)
        proposer = self._book.committee(record.epoch).address(record.proposer)
        blocks, _ = self.proposed.get(proposer, (0, 0))
        self.proposed[proposer] = (blocks + 1, record.height)
        if execution.final.certificate is not None:
            self._count_votes(execution.final.certificate)
        metrics = self._metrics
        metrics.blocks.inc()
        metrics.actions.inc(len(outcome.receipts))
        metrics.fills.inc(len(outcome.fills))
        accepted, rejected = self._orders.apply(execution.actions, outcome)
        metrics.orders_accepted.inc(accepted)
        metrics.orders_rejected.inc(rejected)
        metrics.executed_height.set(outcome.height)
        if record.finality_ms:
            metrics.finality.observe(record.finality_ms / 1_000)

    def _count_votes(self, certificate: Certificate) -> None:
        self.certificates += 1
        committee = self._book.committee(certificate.epoch)
        for signer in map(committee.address, certificate.signers):
            self.voted[signer] = self.voted.get(signer, 0) + 1

    def _publish_markets(self, outcome: Outcome, first_trade: int) -> None:
        for market in outcome.levels:
            if self._hub.is_wanted("book", market):
                book = make_book(self._ledger.state, market, BOOK_PUSH_LEVELS)
                self._hub.publish("book", book, market)
        if not outcome.fills:
            return
        by_market: dict[int, list[views.Trade]] = {}
        for trade in make_trades(outcome.fills, first_trade, outcome):
            by_market.setdefault(trade.market, []).append(trade)
        for market, trades in by_market.items():
            if self._hub.is_wanted("trades", market):
                self._hub.publish("trades", tuple(trades), market)

    def _publish_accounts(self, outcome: Outcome, first_trade: int) -> None:
        changed = self._receipts.apply(outcome)
        wanted = {key for key in self._hub.wanted_keys("account") if isinstance(key, bytes)}
        if not wanted:
            return
        state = self._ledger.state
        receipts: dict[bytes, list[account_views.ActionReceipt]] = {}
        for receipt in changed:
            owner = state.accounts[receipt.account].owner if receipt.account >= 0 else b""
            if owner in wanted:
                receipts.setdefault(owner, []).append(_show(receipt, outcome))
        updates = make_account_updates(state, outcome, first_trade, wanted)
        for owner in updates.keys() | receipts.keys():
            update = updates.get(owner) or _empty(owner, outcome)
            own = tuple(receipts.get(owner, ()))
            self._hub.publish("account", _with_receipts(update, own), owner)


def _show(receipt: Receipt, outcome: Outcome) -> account_views.ActionReceipt:
    return make_receipt(
        receipt.action_id, receipt.statuses, receipt.orders, outcome.height, outcome.time_ms
    )


def _empty(owner: bytes, outcome: Outcome) -> account_views.AccountUpdate:
    return account_views.AccountUpdate(
        address=owner,
        height=outcome.height,
        time_ms=outcome.time_ms,
        orders=(),
        fills=(),
        balances=(),
    )


def _with_receipts(
    update: account_views.AccountUpdate, receipts: tuple[account_views.ActionReceipt, ...]
) -> account_views.AccountUpdate:
    return account_views.AccountUpdate(
        address=update.address,
        height=update.height,
        time_ms=update.time_ms,
        orders=update.orders,
        fills=update.fills,
        balances=update.balances,
        receipts=receipts,
    )


def make_block_event(record: FinalRecord, fills: int, book: EpochBook) -> chain_views.BlockSummary:
    """Show a block that has just been executed."""
    return chain_views.BlockSummary(
        height=record.height,
        view=record.view,
        epoch=record.epoch,
        hash=record.block_hash,
        cid=str(Cid.decode(record.cid)),
        time_ms=record.time_ms,
        proposer=record.proposer,
        proposer_address=book.address(record.epoch, record.proposer),
        bundles=len(record.bundles),
        actions=record.actions,
        trades=fills,
        finality_ms=record.finality_ms,
        signers=record.signers,
        executed_height=record.executed_height,
    )
