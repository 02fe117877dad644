"""The bot of docs/how-to/write-a-bot.md does what the page says, and goes on where it stopped.

Rule: the program is taken from the page as it stands, but for the name of the market.
Spec: docs/how-to/write-a-bot.md. Deviations: none.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from client.errors import ClientError, UnknownMarket
from client.keys import Credentials
from client.node_client import open_node
from client.trader import open_trader
from exchange.actions import BUY, SELL
from tests.client.exchange_node import ExchangeNode, make_key, node

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "write-a-bot.md"
ALICE, BOB = make_key("alice"), make_key("bob")


def load_bot() -> dict[str, Any]:
    text = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)[0]
    names: dict[str, Any] = {"__name__": "bot"}
    exec(compile(text.replace("XOM-USDX", "M0-USDX"), "bot.py", "exec"), names)
    return names


async def until(condition: Any) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.02)


async def test_the_documented_bot_quotes_and_tells_each_fill_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    service = ExchangeNode()
    service.fund(ALICE, BOB)
    told: list[str] = []

    def has_told(text: str) -> bool:
        told.append(capsys.readouterr().out)
        return text in "".join(told)

    async with (
        node(service) as url,
        open_node(url) as client,
        open_trader(client, Credentials.of_wallet(BOB)) as bob,
    ):
        await bob.place(0, BUY, 950, 500)
        await bob.place(0, SELL, 1_050, 500)
        for taken in (5, 7):  # killed and started again between
            bot = load_bot()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bot["main"], url, ALICE.secret.hex())
                await until(lambda: len(service.orders(ALICE.address)) == 2)
                await bob.sell_sealed(0, 990, taken)
                await until(partial(has_told, f"buy {taken} lots at 997 ticks"))
                nursery.cancel_scope.cancel()
        assert "".join(told).count("buy 5 lots") == 1
        assert "".join(told).count("begins with") == 1


async def test_what_nobody_could_follow_is_refused_with_a_reason() -> None:
    service = ExchangeNode()
    async with node(service) as url, open_node(url) as client:
        with pytest.raises(UnknownMarket, match=r"there are M0-USDX, M1-USDX$"):
            await client.resolve_market("M9-USDX")
        for channel in ("account", "events"):
            with pytest.raises(ClientError, match="parse_address"):
                client.subscribe(channel, "0x" + ALICE.address.hex())


async def test_a_rooms_name_is_never_a_path() -> None:
    service = ExchangeNode()
    async with node(service) as url, open_node(url) as client:
        page = await client.rest.chat_messages("lobby?limit=1&x#y", limit=5)
        assert page.messages == ()
