"""Be the demo traders: ordinary API clients with keys of their own.

    python -m devnet.traders --folder .devnet

Rule: a trader knows only its keys, the vault and the API of one node; whatever is refused is
counted and
trading goes on.
Spec: docs/reference/devnet.md (Traders). Deviations: none.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from client.errors import ActionRejected, ClientError, ConnectionLost
from client.keys import Credentials
from client.node_client import open_node
from client.trader import Trader, open_trader
from contracts.chain.accounts import account_key
from devnet.folders import Folder, Record
from devnet.funding import REPLAY_ATOMS, TRADER_ATOMS, fund_and_deposit, give_xom
from devnet.plan import FIRST_TRADER, MARKETS, XOM, DevnetPlan, derive_key
from devnet.ports import PortBlock
from devnet.recorded import ACCOUNTS as REPLAY_ACCOUNTS
from devnet.recorded import Recorded, ReplayBook, read_recording
from devnet.start import plan_of
from devnet.synthetic import SyntheticFlow
from exchange.actions import IOC, POST_ONLY, AnyOp, CancelAll, CancelClient, Place
from primitives.secp256k1 import PrivateKey

log = logging.getLogger("omnibazaar.traders")

QUOTE_S = 1.5  # mean pause between two rounds of quotes in a market
TAKE_S = 0.8  # mean pause between two sealed orders of one trader
CREDIT_S_MAX = 60.0
RECONNECT_S = 2.0
NODE_POLL_S = 0.2  # while a node is still starting
GRANT_MS = 7 * 86_400_000
REPLAY_MARKET = 2  # the recorded prices drive WBTC-USDX
SEED_BATCH = 40  # orders per action while the opening book is laid out
TAKERS_MAX = 32  # sealed orders under way at the same time in a replay


@dataclass(slots=True)
class Tally:
    """What the traders did."""

    counts: Counter[str] = field(default_factory=Counter)

    async def report(self) -> None:
        """Say so in the log now and then."""
        while True:
            await trio.sleep(10)
            log.info("%s", ", ".join(f"{k} {v}" for k, v in sorted(self.counts.items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One trader's keys and node."""

    index: int
    wallet: PrivateKey
    session: PrivateKey
    url: str


async def run_person(person: Person, seed: int, tally: Tally) -> None:
    """Trade for ever, reconnecting when the node goes away."""
    flow = SyntheticFlow(seed, person.index)
    while True:
        try:
            async with open_session(person) as trader, trio.open_nursery() as nursery:
                for market in made_markets(person.index):
                    nursery.start_soon(quote, trader, flow, market, tally)
                nursery.start_soon(take, trader, flow, taken_markets(person.index), tally)
        except* (ConnectionLost, ClientError) as group:
            log.info("trader %d: %s", person.index, group.exceptions[0])
            await trio.sleep(RECONNECT_S)


def made_markets(trader: int) -> tuple[int, ...]:
    """Return the markets a trader quotes in: every other one."""
    return tuple(m for m in range(len(MARKETS)) if (m + trader) % 2 == 0)


def taken_markets(trader: int) -> tuple[int, ...]:
    """Return the markets a trader takes in: the ones it does not quote in."""
    return tuple(m for m in range(len(MARKETS)) if (m + trader) % 2 == 1)


@asynccontextmanager
async def open_session(person: Person) -> AsyncIterator[Trader]:
    """Wait for the deposits, grant the session key if need be, and trade with it."""
    async with (
        open_node(person.url) as node,
        open_trader(node, Credentials.of_wallet(person.wallet)) as owner,
    ):
        await wait_credit(owner)
        await ensure_grant(owner, person.session)
    credentials = Credentials.of_session(person.wallet.address, person.session)
    async with open_node(person.url) as node, open_trader(node, credentials) as trader:
        yield trader


async def wait_credit(owner: Trader) -> None:
    """Wait until the deposits are on the ledger."""
    await owner.wait_until(lambda t: len(t.balances) >= len(TRADER_ATOMS), timeout_s=CREDIT_S_MAX)


async def ensure_grant(owner: Trader, session: PrivateKey) -> None:
    """Let the session key trade, unless it may already."""
    account = await owner.client.rest.account(owner.account)
    if account is not None and any(grant.key == session.address for grant in account.grants):
        return
    await owner.grant(session.address, lifetime_ms=GRANT_MS)


async def quote(trader: Trader, flow: SyntheticFlow, market: int, tally: Tally) -> None:
    """Replace the quotes of one market again and again."""
    while True:
        last = (await trader.client.rest.markets())[market].last_price
        ops: list[AnyOp] = [CancelAll(market)]
        ops += [
            Place(market, q.side, q.price, q.size, POST_ONLY)
            for q in flow.next_quotes(market, last)
        ]
        await attempt(trader, tally, "quotes", *ops)
        await trio.sleep(flow.pause_s(QUOTE_S))


async def take(trader: Trader, flow: SyntheticFlow, markets: Sequence[int], tally: Tally) -> None:
    """Send sealed orders, one after the other."""
    while True:
        await trio.sleep(flow.pause_s(TAKE_S))
        market = flow.choose_market(markets)
        last = (await trader.client.rest.markets())[market].last_price
        wish = flow.next_take(market, last)
        try:
            taken = await trader.take(wish.market, wish.side, wish.price, wish.size, tif=IOC)
        except ClientError as error:
            tally.counts[_name(error)] += 1
            continue
        tally.counts["sealed filled" if taken.filled else "sealed unfilled"] += 1


async def attempt(trader: Trader, tally: Tally, what: str, *ops: AnyOp) -> None:
    """Send one action and count what became of its operations."""
    try:
        receipt = await trader.execute(*ops)
    except ClientError as error:
        tally.counts[_name(error)] += 1
        return
    for status in receipt.statuses:
        tally.counts[f"{what} {status.code}"] += 1


def _name(error: ClientError) -> str:
    return error.code if isinstance(error, ActionRejected) else type(error).__name__


# Replay


class Replayer:
    """Drives one market with a recording, in its own time divided by `speed`."""

    def __init__(self, traders: list[Trader], tally: Tally, speed: float) -> None:
        self._traders = traders
        self._tally = tally
        self._speed = speed
        self._book = ReplayBook()
        self._takers = trio.CapacityLimiter(TAKERS_MAX)

    async def run(self, folder: Path) -> None:
        """Play the recording once."""
        seeds: list[Recorded] = []
        started, first_ms = 0.0, 0
        async with trio.open_nursery() as nursery:
            for event in read_recording(folder):
                if event.kind == "SEED":
                    seeds.append(event)
                    continue
                if not first_ms:
                    await self._lay_out(seeds)
                    started, first_ms = trio.current_time(), event.time_ms
                due = started + (event.time_ms - first_ms) / 1_000 / self._speed
                await trio.sleep_until(due)
                await self._play(event, nursery)
        log.info("the recording has ended")

    async def _lay_out(self, seeds: list[Recorded]) -> None:
        for account in range(len(self._traders)):
            own = [e for e in seeds if e.account % len(self._traders) == account]
            for start in range(0, len(own), SEED_BATCH):
                part = own[start : start + SEED_BATCH]
                for event in part:
                    self._book.rest(event)
                ops = [_place(event) for event in part]
                await attempt(self._traders[account], self._tally, "seed", *ops)

    async def _play(self, event: Recorded, nursery: trio.Nursery) -> None:
        trader = self._traders[event.account % len(self._traders)]
        if event.kind in ("CANCEL", "AMEND", "REDUCE"):
            resting = self._book.remove(event.order_id)
            if resting is None:
                return
            cancel = CancelClient(REPLAY_MARKET, event.order_id)
            nursery.start_soon(attempt, trader, self._tally, "cancel", cancel)
            if event.kind == "CANCEL":
                return
            if event.kind == "REDUCE":
                if resting.size <= event.size:
                    return
                event = _smaller(resting, event)
        if event.kind == "IOC" or self._book.is_crossing(event):
            nursery.start_soon(self._take, trader, event)
            return
        self._book.rest(event)
        nursery.start_soon(attempt, trader, self._tally, "order", _place(event))

    async def _take(self, trader: Trader, event: Recorded) -> None:
        async with self._takers:
            try:
                taken = await trader.take(
                    REPLAY_MARKET, event.side, event.price, event.size, tif=IOC
                )
            except ClientError as error:
                self._tally.counts[_name(error)] += 1
                return
            self._tally.counts["sealed filled" if taken.filled else "sealed unfilled"] += 1


def _place(event: Recorded) -> Place:
    return Place(
        REPLAY_MARKET, event.side, event.price, event.size, POST_ONLY, client_id=event.order_id
    )


def _smaller(resting: Recorded, reduction: Recorded) -> Recorded:
    return Recorded(
        time_ms=reduction.time_ms,
        kind="LIMIT",
        order_id=resting.order_id,
        account=resting.account,
        side=resting.side,
        price=resting.price,
        size=resting.size - reduction.size,
    )


async def run_replay(people: list[Person], record: Record, tally: Tally) -> None:
    """Open one trader per account and play the recording."""
    async with trio.open_nursery() as nursery:
        traders: list[Trader] = []
        ready = trio.Event()
        for person in people:
            nursery.start_soon(_hold_open, person, traders, ready, len(people))
        await ready.wait()
        await Replayer(traders, tally, float(record.speed)).run(Path(record.replay))
        nursery.cancel_scope.cancel()


async def _hold_open(person: Person, traders: list[Trader], ready: trio.Event, wanted: int) -> None:
    async with open_session(person) as trader:
        traders.append(trader)
        if len(traders) == wanted:
            ready.set()
        await trio.sleep_forever()


# Start


def make_people(record: Record, count: int) -> list[Person]:
    """Return the traders, spread over the nodes."""
    ports = PortBlock(base=record.port_base)
    return [
        Person(
            index=index,
            wallet=account_key(record.seed, FIRST_TRADER + index),
            session=derive_key(record.seed, "session", index),
            url=f"http://127.0.0.1:{ports.api(index % record.validators)}",
        )
        for index in range(count)
    ]


async def main(folder: Folder) -> None:
    """Fund whoever is not, then trade."""
    record = folder.load()
    plan = plan_of(record)
    synthetic = make_people(record, max(2, record.traders)) if not record.replay else []
    people = synthetic or make_people(record, max(REPLAY_ACCOUNTS, record.traders))
    tally = Tally()
    await fund(folder, plan, people)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tally.report)
        if record.replay:
            await run_replay(people, record, tally)
        for person in synthetic:
            nursery.start_soon(run_person, person, record.seed, tally)


async def fund(folder: Folder, plan: DevnetPlan, people: list[Person]) -> None:
    """Deposit for those whom the ledger does not know yet."""
    strangers = [person for person in people if not await is_known(person)]
    if not strangers:
        return
    record = folder.load()
    addresses = [person.wallet.address for person in strangers]
    await trio.to_thread.run_sync(
        give_xom, record, plan, addresses, TRADER_ATOMS[XOM], folder.outbox
    )
    async with trio.open_nursery() as nursery:
        for person in strangers:
            nursery.start_soon(
                trio.to_thread.run_sync,
                fund_and_deposit,
                record,
                plan,
                person.wallet,
                REPLAY_ATOMS if record.replay else TRADER_ATOMS,
            )
    log.info("deposited for %d traders", len(strangers))


async def is_known(person: Person) -> bool:
    """Tell whether the ledger knows a trader, as soon as the trader's node answers."""
    while True:
        try:
            async with open_node(person.url) as node:
                return await node.rest.account(person.wallet.address) is not None
        except ConnectionLost:
            await trio.sleep(NODE_POLL_S)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m devnet.traders")
    parser.add_argument("--folder", type=Path, required=True)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    trio.run(main, Folder(parser.parse_args().folder))
