"""Play a node in memory: a random walk in four markets, blocks, chat, settlement.

Rule: it obeys the same Protocol as the real one and derives everything from a seed and its step
count.
Spec: node/api/service.py. Deviations: signatures are not verified; actions are echoed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import trio

from consensus.participation.accumulator import Participation
from consensus.participation.facts import Registration
from consensus.participation.parameters import Rules
from node.api.account_views import (
    Account,
    AccountUpdate,
    ActionReceipt,
    Balance,
    Fill,
    GrantView,
    NonceWindow,
    OpStatus,
    Order,
    SubmitResult,
)
from node.api.chain_views import BlockDetail, BlockSummary, BundleView
from node.api.chat_views import ChatMessage, ChatPage, ChatReceipt, ChatRoom, DirectMessage, Prekey
from node.api.hub import Hub
from node.api.limits import BOOK_PUSH_LEVELS
from node.api.market_views import AccountEvent
from node.api.proof_views import BalanceProof, CommitteeSeat
from node.api.score_views import Validator, ValidatorScore
from node.api.service import Envelope, IpfsAnswer
from node.api.settlement_views import (
    Checkpoint,
    FeeSplit,
    Settlement,
    VaultView,
    Withdrawal,
    WithdrawalProof,
)
from node.api.views import (
    Asset,
    Book,
    Candle,
    Candles,
    Level,
    Market,
    Peer,
    Problem,
    Protocol,
    Side,
    Status,
    Trade,
    TradePage,
    ValidatorSelf,
)
from node.metrics import Metrics
from node.views.score_views import make_score
from primitives.cid import Cid
from primitives.errors import InvalidMessage, TransientError
from primitives.keccak import keccak256
from tests.node.fake_fees import FakeFees
from tests.node.fake_listings import FakeListings
from tests.node.fake_market_data import FakeMarketData
from tests.node.fake_relay import FakeDecisions, FakeRelay

START_MS = 1_795_000_000_000
BLOCK_MS = 120
NETWORK_ID = keccak256(b"fake network")
VAULT = bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")
ALICE = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")
BOB = bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8")
ASSETS = tuple(
    Asset(
        id=number, symbol=symbol, decimals=decimals, chain_id=31337, vault=VAULT,
        token=keccak256(symbol.encode())[:20],
    )
    for number, (symbol, decimals) in enumerate(
        (("USDX", 6), ("XOM", 18), ("WETH", 18), ("WBTC", 8))
    )
)  # fmt: skip
MARKETS = (  # base, quote, tick, lot, price, step
    (1, 0, 1, 10**18, 52_000, 40),
    (2, 0, 100, 10**16, 200_150, 60),
    (3, 0, 10, 10**4, 640_200, 90),
    (2, 1, 10**15, 10**16, 38_400, 30),
)
LINES = (
    "good morning from the lobby",
    "maker fees are credited now, thank you",
    "who runs v2? nice uptime",
    "WETH looks heavy at 2 010",
    "checkpoint is on chain, withdrawal done in one go",
    "anyone bridging XOM today?",
    "sealed orders feel fair, no last look",
)


class FakeMarket:
    """One random walk."""

    def __init__(self, number: int, rng: random.Random) -> None:
        base, quote, tick, lot, price, step = MARKETS[number]
        self.number, self.base, self.quote = number, ASSETS[base], ASSETS[quote]
        self.tick, self.lot, self.price, self.step = tick, lot, price, step
        self.rng = rng
        self.trades: list[Trade] = []
        self.candles: dict[int, list[int]] = {}  # start_ms → o h l c v n

    def walk(self, height: int, time_ms: int, next_id: int) -> list[Trade]:
        """Move the price and make up to three trades."""
        made = []
        for i in range(self.rng.choice((0, 0, 1, 1, 2, 3))):
            self.price = max(100, self.price + self.rng.randint(-self.step, self.step))
            side: Side = self.rng.choice(("buy", "sell"))
            trade = Trade(
                id=next_id + i, market=self.number, height=height, time_ms=time_ms,
                price=self.price, size=self.rng.randint(1, 4_000), taker_side=side,
                sealed=self.rng.random() < 0.6, maker_order=2 * height, taker_order=2 * height + 1,
            )  # fmt: skip
            made.append(trade)
            start = time_ms - time_ms % 1_000
            candle = self.candles.setdefault(start, [trade.price] * 4 + [0, 0])
            candle[1] = max(candle[1], trade.price)
            candle[2] = min(candle[2], trade.price)
            candle[3] = trade.price
            candle[4] += trade.size
            candle[5] += 1
        self.trades += made
        return made

    def book(self, depth: int, height: int, time_ms: int) -> Book:
        """Return levels around the price."""
        rng = random.Random(self.number * 1_000_003 + height)
        gap = max(1, self.step // 10)

        def levels(direction: int) -> tuple[Level, ...]:
            out, price, base = [], self.price, 400
            for i in range(min(depth, 40)):
                price += direction * rng.randint(1, 2) * gap
                if price <= 0:
                    break
                size = int(base * (1 + i * 0.35) * rng.uniform(0.4, 1.6)) + 1
                out.append(Level(price=price, size=size, orders=rng.randint(1, 6)))
            return tuple(out)

        return Book(
            market=self.number, height=height, time_ms=time_ms, bids=levels(-1), asks=levels(1)
        )


def make_participation(owners: list[bytes]) -> Participation:
    """Scores of genesis for validators that are their own owners."""
    members = [
        (
            Registration(
                owner=owner, hot_key=owner, payout=ALICE, network_key=bytes(32), services=7,
                stake=10**21, is_leaving=False,
            ),
            1,
        )
        for owner in owners
    ]  # fmt: skip
    return Participation(Rules(epoch_blocks=600), members)


class FakeService(FakeFees, FakeListings, FakeMarketData):
    """A `NodeService` without a node. `step()` makes one block; `run()` keeps stepping."""

    def __init__(self, *, seed: int = 1, blocks: int = 200, start_ms: int = START_MS) -> None:
        self.rng = random.Random(seed)
        self._hub = Hub()
        self.height = 0
        self.start_ms = start_ms
        self.markets_ = [FakeMarket(number, self.rng) for number in range(len(MARKETS))]
        self.summaries: list[BlockSummary] = []
        self.messages: list[ChatMessage] = []
        self.submitted: list[Envelope] = []
        self.banned: dict[str, bool] = {}
        self.isolated: tuple[bytes, ...] = ()
        self.dialled: list[str] = []
        self.stopped = trio.Event()
        self.metrics_ = Metrics(version="0.1.0", network="fake")
        self.fail_next: Exception | None = None
        self.trade_count = 0
        for _ in range(blocks):
            self.step()

    @property
    def hub(self) -> Hub:
        return self._hub

    @property
    def now_ms(self) -> int:
        return self.start_ms + self.height * BLOCK_MS

    async def run(self, period_s: float = BLOCK_MS / 1_000) -> None:
        """Make blocks for ever."""
        while True:
            self.step()
            await trio.sleep(period_s)

    def step(self) -> None:
        """Make one block and publish what changed."""
        self.height += 1
        height, now = self.height, self.now_ms
        made = 0
        for market in self.markets_:
            trades = market.walk(height, now, self.trade_count + 1)
            self.trade_count += len(trades)
            made += len(trades)
            if trades:
                self._hub.publish("trades", tuple(trades), market.number)
            if self._hub.is_wanted("book", market.number):
                book = market.book(BOOK_PUSH_LEVELS, height, now)
                self._hub.publish("book", book, market.number)
            self._publish_market_data(market.number)
        summary = self._summary(height, made)
        self.summaries.append(summary)
        self._hub.publish("blocks", (summary,))
        if self._hub.is_wanted("account", ALICE):
            self._hub.publish("account", self._update(height), ALICE)
        balance = AccountEvent(
            seq=height, height=height, time_ms=now, type="balance", balance=self._balances()[0]
        )
        self._hub.publish("events", (balance,), ALICE, seq=height)
        if height % 23 == 0:
            self._say("lobby", BOB if height % 2 else ALICE, LINES[height // 23 % len(LINES)])

    # The node

    def status(self) -> Status:
        height = self.height
        return Status(
            version="0.1.0", network="fakenet", network_id=NETWORK_ID,
            genesis=keccak256(b"fake genesis"), pid=4121, started_ms=self.start_ms,
            now_ms=self.now_ms, ready=height > 0, waits_for="" if height else "a first block",
            problems=() if height else (Problem(code="RUN002", message="starting", fix="wait"),),
            epoch=1, view=height + 1, height=height + 1, final=height, executed=max(0, height - 1),
            state_root=keccak256(b"root%d" % height), block_hash=keccak256(b"block%d" % height),
            block_cid=str(Cid.raw(b"block%d" % height)), block_time_ms=self.now_ms,
            finality_ms=84 + height % 9, peers=3, peers_in=1, peers_out=2,
            validator=ValidatorSelf(
                address=ALICE, index=0, weight=1, last_signed_view=height + 1,
                last_signed_ms=self.now_ms, votes_sent=2 * height, proposals=height // 4,
            ),
            mempool_actions=height % 7, actions=height * 31, trades=self.trade_count,
            verified_signatures=height * 31, chat_messages=len(self.messages),
            checkpoints=height // 64, decisions_waiting=0, evm=True,
            protocol=Protocol(version=1, newest=1, round=0, next_version=0, next_height=0),
        )  # fmt: skip

    def peers(self) -> tuple[Peer, ...]:
        return (
            Peer(
                peer_id="12D3KooWFake", name="v1", address=BOB,
                multiaddrs=("/ip4/127.0.0.1/tcp/30303",), direction="both", connected=True,
                banned=self.banned.get("12D3KooWFake", False), queue=0, dropped=0, connects=1,
                bytes_in=123_456, bytes_out=7_654_321, last_error="",
            ),
        )  # fmt: skip

    def validators(self) -> tuple[Validator, ...]:
        return tuple(
            Validator(
                index=index, address=keccak256(b"validator%d" % index)[:20], payout=ALICE,
                weight=1, name=f"v{index}", connected=index != 3 or self.height % 200 > 60,
                is_self=index == 0, proposed=self.height // 4,
                last_proposed_height=self.height - (self.height - index) % 4,
                votes=max(0, 100 - index - (self.height // 40) % 3), votes_possible=100, score=50,
                parts=(100, 98 - index, 90, None, None),
            )
            for index in range(4)
        )  # fmt: skip

    def score(self, address: bytes) -> ValidatorScore | None:
        owners = [one.address for one in self.validators()]
        if address not in owners:
            return None
        state = make_participation(owners)
        return make_score(state, state.register.by_owner[address])

    def metrics(self) -> bytes:
        self.metrics_.final_height.set(self.height)
        return self.metrics_.render()

    # Markets

    def markets(self) -> tuple[Market, ...]:
        return tuple(self._market(market) for market in self.markets_)

    def book(self, market: int, depth: int) -> Book:
        self._maybe_fail()
        return self.markets_[market].book(depth, self.height, self.now_ms)

    @property
    def market_data(self) -> FakeService:
        return self

    async def trades(
        self, market: int, limit: int, cursor: int | None, after: int | None
    ) -> TradePage:
        found = [t for t in self.markets_[market].trades if cursor is None or t.id < cursor]
        page = tuple(reversed(found[-limit:]))
        return TradePage(trades=page, cursor=page[-1].id if len(found) > limit else None)

    async def candles(
        self, market: int, interval_ms: int, limit: int, before_ms: int | None
    ) -> Candles:
        merged: dict[int, list[int]] = {}
        for start, (o, h, low, c, v, n) in sorted(self.markets_[market].candles.items()):
            row = merged.setdefault(start - start % interval_ms, [o, h, low, c, 0, 0])
            row[1], row[2], row[3] = max(row[1], h), min(row[2], low), c
            row[4] += v
            row[5] += n
        rows = list(merged.items())[-limit:]
        candles = tuple(
            Candle(start_ms=s, open=r[0], high=r[1], low=r[2], close=r[3], volume=r[4], trades=r[5])
            for s, r in rows
        )
        return Candles(market=market, interval_ms=interval_ms, candles=candles)

    # Accounts

    def account(self, address: bytes) -> Account | None:
        if address not in (ALICE, BOB):
            return None
        return Account(
            address=address, number=7, height=self.height, balances=self._balances(),
            grants=(
                GrantView(
                    key=BOB, expiry_ms=self.now_ms + 10**9, actions=63, markets=(0, 1),
                    notional_cap=10**24, notional_used=10**20, cancel_on_revoke=True, revoked=False,
                ),
            ),
            nonces=(NonceWindow(key=address, floor_ms=self.now_ms - 1_000, used=3),),
            open_orders=1,
        )  # fmt: skip

    def orders(self, address: bytes) -> tuple[Order, ...]:
        return (self._order(),) if address in (ALICE, BOB) else ()

    async def withdrawals(
        self, address: bytes, limit: int, before: int | None
    ) -> tuple[Withdrawal, ...]:
        made = [
            Withdrawal(
                index=index, chain_id=31337, vault=VAULT, token=ASSETS[0].token,
                amount=10**30 + index, to=ALICE, height=60 + index,
            )
            for index in (2, 1, 0)
        ]  # fmt: skip
        found = [one for one in made if before is None or one.index < before]
        return tuple(found[:limit]) if address == ALICE else ()

    async def action(self, action_id: bytes) -> ActionReceipt | None:
        if action_id[:1] == b"\0":
            return None
        status = OpStatus(index=0, code="ok", order_id=5)
        return ActionReceipt(
            id=action_id, state="executed", height=3, time_ms=self.now_ms, statuses=(status,)
        )

    async def submit(self, envelopes: Sequence[Envelope]) -> Sequence[SubmitResult]:
        self._maybe_fail()
        await trio.lowlevel.checkpoint()
        self.submitted += envelopes
        return [self._result(payload) for payload, _ in envelopes]

    async def submit_sealed(self, commit: Envelope, opening: Envelope) -> SubmitResult:
        return (await self.submit([commit]))[0]

    # Chain

    async def blocks(self, from_height: int | None, limit: int) -> tuple[BlockSummary, ...]:
        top = self.height if from_height is None else min(from_height, self.height)
        return tuple(self.summaries[h - 1] for h in range(top, max(0, top - limit), -1))

    async def block(self, reference: int | bytes) -> BlockDetail | None:
        for summary in self.summaries:
            if reference in (summary.height, summary.hash):
                return self._detail(summary)
        return None

    async def ipfs(self, cid: str, form: str, headers: Sequence[tuple[str, str]]) -> IpfsAnswer:
        wanted = Cid.parse(cid)
        for summary in self.summaries:
            data = b"block%d" % summary.height
            if Cid.raw(data) == wanted:
                kind = "application/vnd.ipld.raw"
                return IpfsAnswer(status=200, headers=(("Content-Type", kind),), body=data)
        return IpfsAnswer(status=404, headers=(("Content-Type", "text/plain"),), body=b"not here")

    # Settlement

    async def settlement(self) -> Settlement:
        count = self.height // 64
        fees = tuple(self._fees(asset, count * 64) for asset in ASSETS)
        ledger = tuple(self._fees(asset, self.height) for asset in ASSETS)
        return Settlement(
            checkpoints=count, height=count * 64, state_root=keccak256(b"root%d" % (count * 64)),
            fees=fees, ledger_fees=ledger,
            vaults=(
                VaultView(chain_id=31337, vault=VAULT, block=self.height // 9, deposits=12,
                          online=True, checkpoints=count, height=count * 64,
                          archive="", frozen=(), settled_height=0, settled_ms=0,
                          announced=bytes(20), next_vault=bytes(20), move_at_ms=0,
                          moved_to=bytes(20), move_round=0),
            ),
            left=(),
            withdrawals=3,
            recent=tuple(self._checkpoint(n) for n in range(count, max(0, count - 8), -1)),
        )  # fmt: skip

    @property
    def decisions(self) -> FakeDecisions:
        return FakeDecisions()

    @property
    def relay(self) -> FakeRelay:
        return FakeRelay()

    async def withdrawal_proof(self, index: int) -> WithdrawalProof | None:
        if index >= 3:
            return None
        return WithdrawalProof(
            index=index, chain_id=31337, vault=VAULT, token=ASSETS[0].token, amount=10**30,
            to=ALICE, height=64, count=3, proof=(bytes(32),) * 32, roots=(bytes(32),) * 7,
        )  # fmt: skip

    async def balance_proof(self, owner: bytes, sub: int, asset: int) -> BalanceProof | None:
        if owner != ALICE or asset > 1:
            return None
        return BalanceProof(
            owner=owner, account=1, sub=sub, asset=asset, entry=0, free=10**30, held=1,
            entry_siblings=(bytes(32),) * 16, account_siblings=(bytes(32),) * 32,
            roots=(bytes(32),) * 7, headers=(bytes(512),), certificate=b"\x90",
            members=(CommitteeSeat(address=ALICE, weight=1),),
        )  # fmt: skip

    # Chat

    async def chat_rooms(self) -> tuple[ChatRoom, ...]:
        last = self.messages[-1].time_ms if self.messages else 0
        lobby = ChatRoom(name="lobby", title="Lobby", messages=len(self.messages), last_ms=last)
        return (lobby, ChatRoom(name="WETH-USDX", title="WETH-USDX", messages=0, last_ms=0))

    async def chat_messages(self, room: str, limit: int, cursor: str | None) -> ChatPage:
        found = [m for m in self.messages if m.room == room]
        return ChatPage(messages=tuple(found[-limit:]), cursor=None)

    async def chat_post(self, room: str, envelope: Envelope) -> ChatReceipt:
        self._maybe_fail()
        payload, _ = envelope
        message = self._say(room, ALICE, payload.decode("utf-8", "replace"))
        return ChatReceipt(id=message.id, stored=True)

    async def direct_messages(
        self, address: bytes, limit: int, after_ms: int
    ) -> tuple[DirectMessage, ...]:
        message = DirectMessage(
            id=bytes(32), sender=BOB, to=address, time_ms=self.now_ms, payload=b"sealed",
            signature=bytes(65),
        )  # fmt: skip
        return (message,)

    async def direct_post(self, envelope: Envelope) -> ChatReceipt:
        return ChatReceipt(id=keccak256(envelope[0]), stored=True)

    async def prekeys(self, address: bytes) -> tuple[Prekey, ...]:
        return (Prekey(owner=address, payload=b"prekey", signature=bytes(65)),)

    async def prekey_post(self, envelope: Envelope) -> ChatReceipt:
        return ChatReceipt(id=keccak256(envelope[0]), stored=True)

    # Operator

    async def add_peer(self, multiaddr: str) -> None:
        if not multiaddr.startswith("/"):
            raise InvalidMessage("a multiaddr begins with /")
        self.dialled.append(multiaddr)

    async def ban_peer(self, reference: str, banned: bool) -> None:
        self.banned[reference] = banned

    async def isolate(self, addresses: Sequence[bytes]) -> None:
        self.isolated = tuple(addresses)

    def request_stop(self) -> None:
        self.stopped.set()

    # Making things up

    def _maybe_fail(self) -> None:
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error

    def _result(self, payload: bytes) -> SubmitResult:
        if payload[:3] == b"bad":
            return SubmitResult(id=b"", accepted=False, code="MALFORMED", error="no action")
        return SubmitResult(id=hashlib.sha256(payload).digest(), accepted=True)

    def _say(self, room: str, author: bytes, text: str) -> ChatMessage:
        message = ChatMessage(
            id=keccak256(b"%d" % len(self.messages) + text.encode()), room=room, author=author,
            time_ms=self.now_ms, lamport=len(self.messages) + 1, text=text, payload=text.encode(),
            signature=bytes(65),
        )  # fmt: skip
        self.messages.append(message)
        self._hub.publish("chat", (message,), room)
        return message

    def _market(self, market: FakeMarket) -> Market:
        prices = [trade.price for trade in market.trades] or [market.price]
        book = market.book(1, self.height, self.now_ms)
        return Market(
            id=market.number, name=f"{market.base.symbol}-{market.quote.symbol}", base=market.base,
            quote=market.quote, tick=market.tick, lot=market.lot,
            mode="fair" if market.number == 3 else "sealed", phase="OPEN", maker_fee_ppm=1_000,
            taker_fee_ppm=2_000, orders=80 + self.height % 17, trades=len(market.trades),
            best_bid=book.bids[0].price, best_ask=book.asks[0].price, last_price=prices[-1],
            last_trade_ms=market.trades[-1].time_ms if market.trades else 0, open_24h=prices[0],
            high_24h=max(prices), low_24h=min(prices),
            volume_24h=sum(trade.size for trade in market.trades), sealed_pending=self.height % 5,
        )  # fmt: skip

    def _summary(self, height: int, trades: int) -> BlockSummary:
        data = b"block%d" % height
        return BlockSummary(
            height=height, view=height, epoch=1, hash=keccak256(data), cid=str(Cid.raw(data)),
            time_ms=self.now_ms, proposer=height % 4, bundles=1 + height % 3,
            actions=self.rng.randint(4, 60), trades=trades, finality_ms=70 + height % 40,
            signers=4 - (height % 37 == 0), executed_height=max(0, height - 1),
        )  # fmt: skip

    def _detail(self, summary: BlockSummary) -> BlockDetail:
        parent = b"block%d" % (summary.height - 1)
        zero = bytes(32)
        return BlockDetail(
            summary=summary, parent_hash=keccak256(parent), parent_view=summary.view - 1,
            parent_cid=str(Cid.raw(parent)), bundles_root=zero, state_root=zero, fees_root=zero,
            attendance_root=zero, evidence_root=zero, committee_hash=zero,
            next_committee_hash=zero, checkpoint_digest=zero,
            bundles=(BundleView(cid=str(Cid.raw(b"bundle")), bytes=812, actions=9),),
            certificate_view=summary.view, certificate_signers=(0, 1, 2),
        )  # fmt: skip

    def _fees(self, asset: Asset, height: int) -> FeeSplit:
        total = height * (asset.id + 1) * 10 ** max(0, asset.decimals - 3) * 7 + height % 100
        company, development = total * 20 // 100, total * 10 // 100
        return FeeSplit(
            asset=asset.id, symbol=asset.symbol, total=total,
            validators=total - company - development, company=company, development=development,
        )  # fmt: skip

    def _checkpoint(self, number: int) -> Checkpoint:
        height = number * 64
        return Checkpoint(
            chain_id=31337, vault=VAULT, height=height, state_root=keccak256(b"root%d" % height),
            cid=str(Cid.raw(b"snapshot%d" % height)), tx=keccak256(b"tx%d" % number),
            evm_block=number,
        )  # fmt: skip

    def _balances(self) -> tuple[Balance, ...]:
        return tuple(
            Balance(sub=0, asset=asset.id, symbol=asset.symbol, free=10**asset.decimals * 1_000,
                    held=10**asset.decimals * asset.id)
            for asset in ASSETS
        )  # fmt: skip

    def _order(self) -> Order:
        return Order(
            id=5, market=1, sub=0, side="buy", price=200_000, size=50, remaining=20, client_id=9,
            placed_height=3, placed_ms=self.now_ms, status="open",
        )  # fmt: skip

    def _update(self, height: int) -> AccountUpdate:
        fill = Fill(
            trade=1, market=1, order=5, side="buy", price=200_000, size=1, fee=12_345, maker=True,
            height=height, time_ms=self.now_ms,
        )  # fmt: skip
        return AccountUpdate(
            address=ALICE, height=height, time_ms=self.now_ms, orders=(self._order(),),
            fills=(fill,), balances=self._balances(),
        )  # fmt: skip


UNAVAILABLE = TransientError("the node is starting")
