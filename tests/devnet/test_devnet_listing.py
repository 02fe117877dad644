"""A token and a market are listed on a running devnet as the how-to says, traded, and delisted.

Rule: words are given with the commands of the page, money moves through the SDK and the contracts.
Spec: docs/how-to/list-a-market.md; docs/spec/markets.md. Deviations: the token is a test token that
anybody may mint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from client.keys import Credentials
from client.node_client import open_node
from client.trader import open_trader
from contracts.artifact import load_artifact
from contracts.evm_web3 import connect
from devnet.funding import open_wallet
from devnet.plan import WETH
from exchange.actions import BUY, IOC, SELL
from node.cli.root import root
from primitives.address import parse_address, to_checksum
from primitives.secp256k1 import PrivateKey
from tests.devnet import deciding
from tests.devnet.commands import REPOSITORY
from tests.devnet.local_devnet import PATIENCE_S, LocalDevnet
from tests.devnet.test_devnet_two_chains import make_home, type_cli

pytestmark = pytest.mark.processes
PAGE = (REPOSITORY / "docs" / "how-to" / "list-a-market.md").read_text("utf-8")
FILES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
VOTERS = ("v0", "v1", "v2")
ALICE, BOB = PrivateKey(b"\x0a" * 32), PrivateKey(b"\x0b" * 32)
OPENING_BLOCKS = 20
LINK, LINKS, WETHS = 4, 10**18, 10**18


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--traders", "0")
    return devnet


def run(devnet: LocalDevnet, name: str, *arguments: str) -> str:
    """Run a command of the page as the operator of a node."""
    place = str(devnet.folder.data(name).root)
    done = CliRunner().invoke(root, ["-y", "-d", place, *arguments])
    assert done.exit_code == 0, f"{arguments}: {done.output} {done.exception!r}"
    return done.output


def agree(devnet: LocalDevnet, terms: dict[str, Any], *options: str) -> None:
    """Propose a file and let two others say the same."""
    file = devnet.root / "terms.json"
    file.write_text(json.dumps(terms))
    run(devnet, "v0", "market", "propose", str(file), *options)
    for name in VOTERS[1:]:
        shown = devnet.until(lambda name=name: proposals(devnet, name), "a proposal is seen")
        run(devnet, name, "market", "vote", shown[0]["id"][:12])


def proposals(devnet: LocalDevnet, name: str) -> Any:
    return json.loads(run(devnet, name, "market", "proposals", "--json"))["proposals"]


def market_of(devnet: LocalDevnet, name: str, market: str) -> dict[str, Any]:
    """A listed market as a node shows it; empty when it does not."""
    rows = (devnet.ask(name, "/v1/markets") or {"markets": []})["markets"]
    return next((row for row in rows if row["name"] == market), {})


def wait_market(devnet: LocalDevnet, market: str = "LINK-WETH", **fields: object) -> None:
    devnet.until(
        lambda: all(
            fields.items() <= market_of(devnet, name, market).items() for name in devnet.names
        ),
        f"every node shows {fields}",
    )


def deploy_token(devnet: LocalDevnet) -> bytes:
    record = devnet.record
    web3 = connect(record.rpc, record.chain_id)
    artifact = load_artifact("TestToken")
    contract: Any = web3.eth.contract(abi=list(artifact.abi), bytecode=artifact.bytecode)
    wallet = open_wallet(record, devnet.plan.deployer)
    data = contract.constructor("Link", "LINK", 18).data_in_transaction
    return parse_address(wallet._send(None, data, 3_000_000)["contractAddress"])


def test_a_token_is_listed_on_the_ledger_then_in_the_vault(devnet: LocalDevnet) -> None:
    deployment = devnet.plan.deployment
    token = to_checksum(deploy_token(devnet))
    terms = {**FILES[0], "vault": to_checksum(deployment.vault), "token": token}
    agree(devnet, {**terms, "chain_id": devnet.record.chain_id})
    devnet.until(
        lambda: all(
            len(devnet.read(name, "/v1/assets")["assets"]) == LINK + 1 for name in devnet.names
        ),
        "every node knows the asset",
    )
    made = json.loads(run(devnet, "v0", "decision", "propose", "list", token, "--json"))
    for name in VOTERS[1:]:
        place = (devnet.folder.data(name).root, devnet.url(name))
        words = ("decision", "approve", made["id"])
        deciding.approve(devnet, partial(type_cli, *place, *words))
    for key in (ALICE, BOB):
        devnet.command("fund", to_checksum(key.address))
    home = make_home(devnet, devnet.root, ALICE)
    submit = ("decision", "submit", made["id"], "--rpc", devnet.record.rpc)
    password = ("--password-file", str(home / "password"))
    brought = deciding.bring(devnet, partial(type_cli, home, devnet.url("v0"), *submit, *password))
    assert brought["state"] == "done"
    alice = open_wallet(devnet.record, ALICE)
    alice.mint(parse_address(token), ALICE.address, 5 * LINKS)
    alice.deposit(deployment.vault, parse_address(token), 5 * LINKS)
    bob = open_wallet(devnet.record, BOB)
    bob.deposit(deployment.vault, deployment.tokens[WETH].address, WETHS)


async def test_a_market_opens_and_is_traded_on_every_node(devnet: LocalDevnet) -> None:
    terms = {**FILES[1], "name": "LINK-WETH", "base": "LINK", "quote": "WETH"}
    terms |= {"lot": 10**15, "tick": 10**9, "reference_price": 5_000}
    agree(devnet, terms, "--opening-blocks", str(OPENING_BLOCKS))
    wait_market(devnet, mode="fair")
    async with (
        open_node(devnet.url("v1")) as one,
        open_node(devnet.url("v3")) as two,
        open_trader(one, Credentials.of_wallet(ALICE)) as seller,
        open_trader(two, Credentials.of_wallet(BOB)) as buyer,
    ):
        await seller.wait_until(lambda t: LINK in t.balances, timeout_s=PATIENCE_S)
        await buyer.wait_until(lambda t: WETH in t.balances, timeout_s=PATIENCE_S)
        order = await seller.place("LINK-WETH", SELL, 5_000, 300, timeout_s=PATIENCE_S)
        wait_market(devnet, phase="OPEN", best_ask=5_000)
        await buyer.place("LINK-WETH", BUY, 5_000, 100, tif=IOC, timeout_s=PATIENCE_S)
        await buyer.wait_until(lambda t: LINK in t.balances, timeout_s=PATIENCE_S)
        assert buyer.balances[LINK].free == 100 * 10**15
        assert order in seller.orders
    wait_market(devnet, trades=1, last_price=5_000)
    for name in devnet.names:
        events = devnet.read(name, "/v1/markets/LINK-WETH/events")["events"]
        told = [(e["kind"], e["phase"], e["height"] - events[-1]["height"]) for e in events]
        assert told == [("phase", "OPEN", OPENING_BLOCKS), ("listed", "", 0)]
        rooms = devnet.read(name, "/v1/chat/rooms")["rooms"]
        assert "LINK-WETH" in {room["name"] for room in rooms}
        candles = devnet.read(name, "/v1/markets/LINK-WETH/candles?interval=1d")["candles"]
        assert [int(candle[5]) for candle in candles] == [100]
        assert devnet.read(name, "/v1/markets/LINK-WETH/l3")["asks"]


async def test_a_market_in_mode_auction_trades_at_one_price(devnet: LocalDevnet) -> None:
    terms = {**FILES[1], "name": "LINK-CALL", "base": "LINK", "quote": "WETH", "mode": "auction"}
    terms |= {"lot": 10**15, "tick": 10**9, "reference_price": 5_000, "auction_interval_ms": 2_000}
    async with (
        open_node(devnet.url("v1")) as one,
        open_node(devnet.url("v3")) as two,
        open_trader(one, Credentials.of_wallet(ALICE)) as seller,
        open_trader(two, Credentials.of_wallet(BOB)) as buyer,
    ):
        known = len(one.markets)
        await trio.to_thread.run_sync(lambda: agree(devnet, terms, "--opening-blocks", "4"))
        with trio.fail_after(PATIENCE_S):
            while len(one.markets) == known or one.markets[-1].phase != "OPEN":
                await one.markets_changed.wait()
        had = buyer.balances[LINK].free
        await seller.place("LINK-CALL", SELL, 4_990, 30, timeout_s=PATIENCE_S)
        await buyer.place("LINK-CALL", BUY, 5_010, 50, timeout_s=PATIENCE_S)
        await buyer.wait_until(lambda t: t.balances[LINK].free > had, timeout_s=PATIENCE_S)
        assert buyer.balances[LINK].free == had + 30 * 10**15
    wait_market(devnet, "LINK-CALL", mode="auction", phase="OPEN", trades=1, last_price=5_000)
    for name in devnet.names:
        events = devnet.read(name, "/v1/markets/LINK-CALL/events")["events"]
        assert [(e["number"], e["kind"]) for e in events if e["kind"] == "listed"] == [
            (1, "listed")
        ]
        held = [e for e in events if e["kind"] == "auction" and e["price"]]
        assert [(e["price"], e["size"], e["surplus"]) for e in held] == [(5_000, 30, 20)]


def test_a_restarted_node_still_has_it_and_fees_fall(devnet: LocalDevnet) -> None:
    devnet.kill("v3")
    terms = json.loads(run(devnet, "v0", "market", "terms", "LINK-WETH"))
    agree(devnet, {**terms, "taker_bps": 12})
    devnet.start("v3")
    wait_market(devnet, taker_fee_ppm=1_200, trades=1, orders=1, phase="OPEN")


async def test_delisted_its_orders_end_and_funds_are_free(devnet: LocalDevnet) -> None:
    for name in VOTERS:
        run(devnet, name, "market", "vote", "LINK-WETH", "delisted", "--sure")
    wait_market(devnet, phase="DELISTED", orders=0, trades=1)
    async with (
        open_node(devnet.url("v3")) as node,
        open_trader(node, Credentials.of_wallet(ALICE)) as seller,
    ):
        await seller.wait_until(lambda t: LINK in t.balances, timeout_s=PATIENCE_S)
        assert (seller.balances[LINK].free, seller.balances[LINK].held) == (4_870 * 10**15, 0)
