"""Answer the API from the running node.

Rule: a method that is not `async` reads memory only; the past is read from the store in threads.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import trio

from exchange.actions import SignedAction, VerifiedAction
from exchange.ledger import compute_shares
from exchange.limits import DEADLINE_AFTER_NONCE_MS_MAX, NONCE_FUTURE_MS_MAX, NONCE_PAST_MS_MAX
from exchange.reasons import Reason
from node.api import account_views, chain_views, chat_views, settlement_views, views
from node.api.listing_views import Assets, Listings, MarketTerms
from node.api.proof_views import BalanceProof
from node.api.score_views import Validator, ValidatorScore
from node.api.service import Envelope, IpfsAnswer
from node.api.settlement_views import Settlement
from node.blocks.records import decode_roots, merge_receipts
from node.bundling.account_limits import AccountLimits
from node.limits import BALANCE_PROOF_S_MAX
from node.settlement.decision_board import DecisionBoard
from node.settlement.relay_desk import RelayDesk
from node.views.chain_views import make_detail, make_summary, own_certificate, show_protocol
from node.views.committee_views import is_validator, show_committee, show_own_seat
from node.views.fee_service import FeeService
from node.views.ledger_views import (
    make_account,
    make_book,
    make_market,
    make_orders,
    reason_name,
)
from node.views.listing_views import make_assets, make_listings, make_terms
from node.views.market_data import MarketData
from node.views.proof_views import make_balance_proof
from node.views.receipts import make_receipt
from node.views.score_views import make_score
from node.views.vault_views import show_left, show_vault
from primitives.cid import DAG_CBOR, Cid
from primitives.errors import InvalidMessage, TransientError
from storage import gateway
from storage.chain_reader import ChainReader

if TYPE_CHECKING:
    from node.api.hub import Hub
    from node.node import Node

SEALED_WAIT_MS_MAX = 60_000  # how long an opening is kept for its commit to become final
SEALED_WAITING_MAX = 10_000


class Service(FeeService):
    """`node.api.service.NodeService` over a `Node`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sealed_waiting = 0
        self._account_limits = AccountLimits(node.config.api.account_ops_per_s)
        self._relay = RelayDesk(node, self.withdrawal_proof)
        self._market_data = MarketData(
            node.ledger,
            read=node.readers.run,
            wait_written=node.wait_written,
        )

    @property
    def hub(self) -> Hub:
        """Where the daemon publishes what has changed."""
        return self._node.hub

    # The node

    def status(self) -> views.Status:
        """Return one screenful."""
        node = self._node
        last = node.feed.last
        samples = sorted(node.final_blocks.finality_ms)
        peers = node.network.peers()
        core = node.replica.core
        return views.Status(
            version=node.version,
            network=node.file.name,
            network_id=node.file.network_id,
            genesis=node.file.genesis_hash,
            pid=os.getpid(),
            started_ms=node.started_ms,
            now_ms=node.clock.now_ms(),
            ready=node.is_ready,
            problems=tuple(
                views.Problem(code=c.code, message=c.message, fix=c.fix)
                for c in node.problems.conditions()
            ),
            epoch=core.config.epoch,
            view=node.replica.view,
            height=node.replica.notarized_height,
            final=node.replica.tip.height,
            executed=node.ledger.height,
            state_root=node.ledger.roots.state,
            block_hash=node.replica.tip.hash,
            block_cid=str(Cid.decode(last.cid)) if last is not None else node.restored_cid,
            block_time_ms=node.replica.tip.time_ms,
            finality_ms=samples[len(samples) // 2] if samples else 0,
            peers=sum(peer.connected for peer in peers),
            peers_in=sum(peer.receiving for peer in peers),
            peers_out=sum(peer.sending for peer in peers),
            validator=show_own_seat(node),
            mempool_actions=len(node.bundles.mempool),
            actions=node.feed.actions,
            trades=node.ledger.tape.fills,
            verified_signatures=node.verifier.verified_total,
            chat_messages=node.chat.messages,
            checkpoints=self._checkpoint_count(),
            evm=all(monitor.is_online for monitor in node.monitors),
            protocol=show_protocol(node.ledger.state.protocol),
        )

    def _checkpoint_count(self) -> int:
        statuses = [monitor.status for monitor in self._node.monitors]
        return max((s.checkpoints for s in statuses if s is not None), default=0)

    def peers(self) -> tuple[views.Peer, ...]:
        """Return every other validator as the network sees it."""
        return tuple(
            views.Peer(
                peer_id=peer.peer_id,
                address=peer.address,
                multiaddr="",
                direction="out" if peer.sending else "in" if peer.receiving else "none",
                connected=peer.connected,
                banned=peer.blocked,
                latency_ms=None,
                queue=peer.queued,
            )
            for peer in self._node.network.peers()
        )

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
        self._node.update_metrics()
        self._node.metrics.checkpoints.set(self._checkpoint_count())
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

        def read(reader: ChainReader) -> tuple[settlement_views.Withdrawal, ...]:
            rows = reader.account_withdrawals(address, before=before, limit=limit)
            return tuple(
                settlement_views.Withdrawal(
                    index=leaf.index,
                    chain_id=leaf.chain_id,
                    vault=leaf.vault,
                    token=leaf.token,
                    amount=leaf.amount,
                    to=leaf.to,
                    height=row.height,
                )
                for row in rows
                for leaf in (row.withdrawal,)
            )

        return await self._node.readers.run(read)

    async def action(self, action_id: bytes) -> account_views.ActionReceipt | None:
        """Return where an action is."""
        node = self._node
        rows = await node.readers.run(ChainReader.receipts_of, action_id)
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
        signed = [SignedAction(payload, signature) for payload, signature in envelopes]
        verified = await self._node.verifier.verify(signed)
        return [self._admit(v, s) for v, s in zip(verified, signed, strict=True)]

    def _admit(self, action: VerifiedAction, signed: SignedAction) -> account_views.SubmitResult:
        node = self._node
        reason = action.error or self._refusal(action)
        if reason:
            node.metrics.actions_rejected.inc()
            return account_views.SubmitResult(
                id=action.id,
                accepted=False,
                code=reason_name(reason),
                error=REFUSALS.get(reason, "the action cannot be executed"),
            )
        if not self._account_limits.take(action, node.clock.now_ms()):
            return account_views.SubmitResult(
                id=action.id,
                accepted=False,
                code="account_too_fast",
                error="this account sends more operations than this node takes of one",
            )
        if not node.bundles.submit(action.id, signed):
            return account_views.SubmitResult(
                id=action.id,
                accepted=False,
                code="node_busy",
                error="this node holds as many waiting actions as it may; try again",
            )
        node.metrics.actions_accepted.inc()
        return account_views.SubmitResult(id=action.id, accepted=True)

    def _refusal(self, action: VerifiedAction) -> int:
        """Refuse what execution would certainly refuse, from the state as it is now."""
        state, now_ms = self._node.ledger.state, self._node.clock.now_ms()
        if not now_ms - NONCE_PAST_MS_MAX <= action.nonce_ms <= now_ms + NONCE_FUTURE_MS_MAX:
            return int(Reason.NONCE_OUT_OF_WINDOW)
        if action.deadline_ms > action.nonce_ms + DEADLINE_AFTER_NONCE_MS_MAX:
            return int(Reason.DEADLINE_TOO_FAR)
        if action.deadline_ms < now_ms:
            return int(Reason.DEADLINE_PASSED)
        account = state.by_address.get(action.account)
        if account is None:
            return 0 if is_validator(self._node, action.signer) else int(Reason.UNKNOWN_ACCOUNT)
        if action.signer != action.account:
            key = state.keys.get(action.signer)
            if key is None or key.account != account.number:
                return int(Reason.UNKNOWN_KEY)
            if key.revoked:
                return int(Reason.KEY_REVOKED)
            if key.expiry_ms <= now_ms:
                return int(Reason.KEY_EXPIRED)
        if is_nonce_used(state.nonces.get(action.signer, []), action.nonce_ms):
            return int(Reason.NONCE_USED)
        return 0

    async def submit_sealed(
        self, commit: Envelope, opening: Envelope
    ) -> account_views.SubmitResult:
        """Send the commit now, the opening when the commit has been executed."""
        if self._sealed_waiting >= SEALED_WAITING_MAX:
            raise TransientError("this node holds as many openings as it may")
        results = await self.submit((commit,))
        if results[0].accepted:
            self._sealed_waiting += 1
            self._node.nursery.start_soon(self._open_later, results[0].id, opening)
        return results[0]

    async def _open_later(self, commit_id: bytes, opening: Envelope) -> None:
        try:
            with trio.move_on_after(SEALED_WAIT_MS_MAX / 1_000):
                while True:
                    receipt = await self.action(commit_id)
                    if receipt is not None and receipt.state == "executed":
                        await self.submit((opening,))
                        return
                    await trio.sleep(0.05)
        finally:
            self._sealed_waiting -= 1

    # Chain

    async def blocks(
        self, from_height: int | None, limit: int
    ) -> tuple[chain_views.BlockSummary, ...]:
        """Return final blocks downwards."""
        before = None if from_height is None else from_height + 1

        def read(reader: ChainReader) -> list[Any]:
            return list(reader.blocks(before=before, limit=limit))

        book = self._node.book
        return tuple(make_summary(row, book) for row in await self._node.readers.run(read))

    async def block(self, reference: int | bytes) -> chain_views.BlockDetail | None:
        """Return one final block."""

        def read(reader: ChainReader) -> chain_views.BlockDetail | None:
            row = (
                reader.block(reference)
                if isinstance(reference, int)
                else reader.block_by_hash(reference)
            )
            if row is None:
                return None
            parent = reader.block(row.summary.height - 1)
            bundles = [reader.bundle(digest) for digest in row.bundles]
            certificate = own_certificate(row)
            height = row.summary.height
            while certificate is None and height < row.summary.height + 64:
                height += 1
                later = reader.block(height)
                if later is None:
                    break
                certificate = own_certificate(later)
            return make_detail(
                row,
                self._node.book,
                parent.summary.cid if parent is not None else b"",
                [bundle for bundle in bundles if bundle is not None],
                certificate,
            )

        return await self._node.readers.run(read)

    async def ipfs(self, cid: str, form: str, headers: Sequence[tuple[str, str]]) -> IpfsAnswer:
        """Answer for `/ipfs/{cid}`."""
        answer = await gateway.respond(self._node.blocks, cid, form=form, headers=headers)
        return IpfsAnswer(status=answer.status, headers=answer.headers, body=answer.body)

    # Settlement

    async def settlement(self) -> Settlement:
        """Return what the EVM side has accepted."""
        node = self._node
        state = node.ledger.state
        newest = max(
            (m.status for m in node.monitors if m.status is not None),
            key=lambda status: status.executed_height,
            default=None,
        )
        settled = {(*m.place, token): fees for m in node.monitors for token, fees in m.fees.items()}
        fees, ledger_fees = [], []
        for asset in state.assets:
            total = state.fees[asset.id]
            validators, company, development = compute_shares(total)
            ledger_fees.append(
                settlement_views.FeeSplit(
                    asset=asset.id,
                    symbol=asset.name,
                    total=total,
                    validators=validators,
                    company=company,
                    development=development,
                )
            )
            on_chain = settled.get((asset.chain_id, asset.vault, asset.token))
            fees.append(
                settlement_views.FeeSplit(
                    asset=asset.id,
                    symbol=asset.name,
                    total=on_chain.total if on_chain else 0,
                    validators=on_chain.validators if on_chain else 0,
                    company=on_chain.company if on_chain else 0,
                    development=on_chain.development if on_chain else 0,
                )
            )
        return Settlement(
            checkpoints=newest.checkpoints if newest else 0,
            height=newest.executed_height if newest else 0,
            state_root=newest.state_root if newest else bytes(32),
            fees=tuple(fees),
            ledger_fees=tuple(ledger_fees),
            vaults=tuple(
                show_vault(monitor, state.vaults.get(monitor.place)) for monitor in node.monitors
            ),
            left=show_left(state),
            withdrawals=state.withdrawals.size,
            recent=tuple(self._recent_checkpoints()),
        )

    def _recent_checkpoints(self) -> list[settlement_views.Checkpoint]:
        rows = [
            settlement_views.Checkpoint(
                height=accepted.executed_height,
                state_root=accepted.state_root,
                cid=str(Cid(DAG_CBOR, accepted.snapshot_digest))
                if any(accepted.snapshot_digest)
                else "",
                state="accepted",
                tx=accepted.transaction_hash,
                gas=0,
                time_ms=0,
            )
            for monitor in self._node.monitors
            for accepted in monitor.accepted
        ]
        rows.sort(key=lambda row: -row.height)
        return rows

    async def withdrawal_proof(self, index: int) -> settlement_views.WithdrawalProof | None:
        """Return a proof against the newest checkpoint of the withdrawal's vault."""
        node = self._node
        stored = await node.readers.run(ChainReader.withdrawal, index)
        if stored is None:
            return None
        leaf = stored.withdrawal
        place = (leaf.chain_id, leaf.vault)  # one address may be a vault on several chains
        found = (m for m in node.monitors if m.place == place)
        status = next((m.status for m in found), None)
        if status is None or not status.executed_height:
            return None
        executed = await node.readers.run(ChainReader.executed, status.executed_height)
        if executed is None:
            return None
        roots = decode_roots(executed.roots)
        if index >= roots.withdrawals:
            return None
        words = roots.words
        return settlement_views.WithdrawalProof(
            index=index,
            chain_id=leaf.chain_id,
            vault=leaf.vault,
            token=leaf.token,
            amount=leaf.amount,
            to=leaf.to,
            height=status.executed_height,
            count=roots.withdrawals,
            proof=tuple(node.ledger.state.withdrawals.proof_at(index, roots.withdrawals)),
            roots=(
                words.height.to_bytes(32, "big"),
                words.accounts,
                words.withdrawals,
                words.deposits,
                words.fills,
                words.effects,
                words.rest,
            ),
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


REFUSALS: dict[int, str] = {
    int(Reason.MALFORMED): "the bytes are not an action (docs/spec/actions.md)",
    int(Reason.WRONG_DOMAIN): "the action is signed for another network",
    int(Reason.BAD_SIGNATURE): "the signature fits no key",
    int(Reason.MIXED_OPERATIONS): "a wallet operation must be the only one in its action",
    int(Reason.NEEDS_WALLET): "this operation needs the account's own key",
    int(Reason.UNKNOWN_ACCOUNT): "the account has no deposit yet",
    int(Reason.UNKNOWN_KEY): "the signing key is not a session key of the account",
    int(Reason.KEY_EXPIRED): "the session key has expired",
    int(Reason.KEY_REVOKED): "the session key was revoked",
    int(Reason.NONCE_USED): "the nonce was used before",
    int(Reason.NONCE_OUT_OF_WINDOW): "the nonce is not a time of these days; check your clock",
    int(Reason.DEADLINE_PASSED): "the deadline has passed",
    int(Reason.DEADLINE_TOO_FAR): "the deadline is more than a day after the nonce",
}


def is_nonce_used(window: list[int], nonce_ms: int) -> bool:
    """Tell whether a key's ascending window holds a nonce."""
    place = bisect_left(window, nonce_ms)
    return place < len(window) and window[place] == nonce_ms
