"""Answer the API from the running node.

Rule: a method that is not `async` reads memory only; the past is read from the store in threads.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from exchange.actions import SignedAction
from node.api import account_views, chain_views, chat_views, settlement_views, views
from node.api.listing_views import Assets, Listings, MarketTerms
from node.api.proof_views import BalanceProof
from node.api.score_views import Validator, ValidatorScore
from node.api.service import Envelope, IpfsAnswer
from node.api.settlement_views import Settlement
from node.blocks.records import merge_receipts
from node.gauges import update_gauges
from node.limits import BALANCE_PROOF_S_MAX
from node.settlement.decision_board import DecisionBoard
from node.settlement.relay_desk import RelayDesk
from node.views.block_pages import read_block, read_page
from node.views.committee_views import show_committee
from node.views.fee_service import FeeService
from node.views.ledger_views import (
    make_account,
    make_book,
    make_market,
    make_orders,
)
from node.views.listing_views import make_assets, make_listings, make_terms
from node.views.market_data import MarketData
from node.views.proof_views import make_balance_proof
from node.views.receipts import make_receipt
from node.views.score_views import make_score
from node.views.settlement_views import show_settlement
from node.views.status import show_peers, show_status
from node.views.withdrawal_views import prove_withdrawal, read_withdrawals
from primitives.errors import InvalidMessage
from storage import gateway
from storage.chain_reader import ChainReader

if TYPE_CHECKING:
    from node.api.hub import Hub
    from node.node import Node


class Service(FeeService):
    """`node.api.service.NodeService` over a `Node`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._relay = RelayDesk(node, self.withdrawal_proof)
        self._market_data = MarketData(
            node.ledger,
            read=node.stores.readers.run,
            wait_written=node.wait_written,
        )

    @property
    def hub(self) -> Hub:
        """Where the daemon publishes what has changed."""
        return self._node.hub

    # The node

    def status(self) -> views.Status:
        """Return one screenful."""
        return show_status(self._node)

    def peers(self) -> tuple[views.Peer, ...]:
        """Return every other validator as the network sees it."""
        return show_peers(self._node)

    def validators(self) -> tuple[Validator, ...]:
        """Return the committee in office."""
        return show_committee(self._node)

    def score(self, address: bytes) -> ValidatorScore | None:
        """Return a validator's score, found by hot key or owner."""
        keeper = self._node.ledger.scorekeeper
        found = None if keeper is None else keeper.find(address)
        return None if keeper is None or found is None else make_score(keeper.participation, found)

    def metrics(self) -> bytes:
        """Return the Prometheus text."""
        update_gauges(self._node)
        return self._node.metrics.render()

    # Markets

    def markets(self) -> tuple[views.Market, ...]:
        """Return all markets with their figures."""
        node = self._node
        state = node.ledger.state
        return tuple(
            make_market(state, market, node.ledger.tape.get_stats(market))
            for market in range(len(state.markets))
        )

    def assets(self) -> Assets:
        """Return all assets."""
        return make_assets(self._node.ledger.state)

    def terms(self, market: int) -> MarketTerms:
        """Return all terms of a market."""
        return make_terms(self._node.ledger.state, market)

    def listings(self) -> Listings:
        """Return what validators want listed or changed."""
        members = self._node.committee.members
        return make_listings(self._node.ledger.state, {m.address: m.weight for m in members})

    def book(self, market: int, depth: int) -> views.Book:
        """Return the best levels."""
        return make_book(self._node.ledger.state, market, depth)

    @property
    def market_data(self) -> MarketData:
        """Whole books, figures, history and account events."""
        return self._market_data

    # Accounts and actions

    def account(self, address: bytes) -> account_views.Account | None:
        """Return an account."""
        return make_account(self._node.ledger.state, address)

    def orders(self, address: bytes) -> tuple[account_views.Order, ...]:
        """Return an account's live orders."""
        return make_orders(self._node.ledger.state, address)

    async def withdrawals(
        self, address: bytes, limit: int, before: int | None
    ) -> tuple[settlement_views.Withdrawal, ...]:
        """Return the withdrawals an account has made, newest first."""
        return await self._node.stores.readers.run(read_withdrawals, address, limit, before)

    async def action(self, action_id: bytes) -> account_views.ActionReceipt | None:
        """Return where an action is."""
        node = self._node
        rows = await node.stores.readers.run(ChainReader.receipts_of, action_id)
        merged = merge_receipts(rows)
        if merged is not None:
            row, body = merged
            statuses, orders = list(body.statuses), list(body.orders)
            return make_receipt(action_id, statuses, orders, row.height, row.time_ms)
        if node.bundles.mempool.contains(action_id) or node.watch.knows(action_id):
            return account_views.ActionReceipt(
                id=action_id, state="pending", height=None, time_ms=None, statuses=()
            )
        return None

    async def submit(self, envelopes: Sequence[Envelope]) -> Sequence[account_views.SubmitResult]:
        """Verify each action and queue it."""
        return await self._node.admission.submit([SignedAction(*one) for one in envelopes])

    async def submit_sealed(
        self, commit: Envelope, opening: Envelope
    ) -> account_views.SubmitResult:
        """Send the commit now, the opening when the commit has been executed."""
        return await self._node.openings.submit(SignedAction(*commit), SignedAction(*opening))

    # Chain

    async def blocks(
        self, from_height: int | None, limit: int
    ) -> tuple[chain_views.BlockSummary, ...]:
        """Return final blocks downwards."""
        return await self._node.stores.readers.run(read_page, self._node.book, from_height, limit)

    async def block(self, reference: int | bytes) -> chain_views.BlockDetail | None:
        """Return one final block."""
        return await self._node.stores.readers.run(read_block, self._node.book, reference)

    async def ipfs(self, cid: str, form: str, headers: Sequence[tuple[str, str]]) -> IpfsAnswer:
        """Answer for `/ipfs/{cid}`."""
        answer = await gateway.respond(self._node.stores.blocks, cid, form=form, headers=headers)
        return IpfsAnswer(status=answer.status, headers=answer.headers, body=answer.body)

    # Settlement

    async def settlement(self) -> Settlement:
        """Return what the EVM side has accepted."""
        return show_settlement(self._node.monitors, self._node.ledger.state)

    async def withdrawal_proof(self, index: int) -> settlement_views.WithdrawalProof | None:
        """Return a proof against the newest checkpoint of the withdrawal's vault."""
        node = self._node
        return await prove_withdrawal(
            index, readers=node.stores.readers, monitors=node.monitors, ledger=node.ledger
        )

    async def balance_proof(self, owner: bytes, sub: int, asset: int) -> BalanceProof | None:
        """Return a balance proven by a final header; waits for one."""
        with trio.move_on_after(BALANCE_PROOF_S_MAX):
            found = await self._node.balance_proofs.prove(owner, sub, asset)
            return None if found is None else make_balance_proof(found)
        return None

    @property
    def decisions(self) -> DecisionBoard:
        """What the committee decides about vaults."""
        return DecisionBoard(self._node.decisions)

    @property
    def relay(self) -> RelayDesk:
        """What this node brings for traders without gas."""
        return self._relay

    # Chat

    async def chat_rooms(self) -> tuple[chat_views.ChatRoom, ...]:
        """Return the public rooms."""
        return self._node.chat.rooms()

    async def chat_messages(self, room: str, limit: int, cursor: str | None) -> chat_views.ChatPage:
        """Return a page of a room."""
        return self._node.chat.messages_of(room, limit, cursor)

    async def chat_post(self, room: str, envelope: Envelope) -> chat_views.ChatReceipt:
        """Take a message for a room from its author."""
        return self._node.chat.post(envelope, room)

    async def direct_messages(
        self, address: bytes, limit: int, after_ms: int
    ) -> tuple[chat_views.DirectMessage, ...]:
        """Return sealed messages to an address."""
        return self._node.chat.inbox(address, limit, after_ms)

    async def direct_post(self, envelope: Envelope) -> chat_views.ChatReceipt:
        """Take a sealed message."""
        return self._node.chat.post(envelope, None)

    async def prekeys(self, address: bytes) -> tuple[chat_views.Prekey, ...]:
        """Return the bundle under which an owner can be written to."""
        return self._node.chat.prekeys(address)

    async def prekey_post(self, envelope: Envelope) -> chat_views.ChatReceipt:
        """Take a prekey bundle."""
        return self._node.chat.post(envelope, None)

    # Operator

    async def add_peer(self, multiaddr: str) -> None:
        """Dial a peer and keep it."""
        address, _, peer_id = multiaddr.partition("/p2p/")
        if not peer_id or not address:
            raise InvalidMessage("a multiaddr ends with /p2p/ and the peer id")
        await self._node.network.connect(peer_id, (address,))

    async def ban_peer(self, reference: str, banned: bool) -> None:
        """Refuse, or accept again, a peer named by peer id or validator address."""
        peer_id = reference
        for peer in self._node.network.peers():
            if reference.lower() == "0x" + peer.address.hex():
                peer_id = peer.peer_id
        if banned:
            self._node.network.ban(peer_id, "banned by the operator")
        else:
            self._node.network.forgive(peer_id)

    async def isolate(self, addresses: Sequence[bytes]) -> None:
        """Exchange nothing with these validators until told otherwise (a devnet's partition)."""
        self._node.network.set_blocked(addresses)

    def request_stop(self) -> None:
        """Begin a clean stop."""
        self._node.request_stop()
