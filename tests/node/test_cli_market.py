"""A validator's word on a market is signed by its key, for the round that the node shows.

Spec: docs/spec/markets.md; docs/reference/cli.md. Deviations: the node's answers are written here.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from exchange.actions import SignedAction, verify
from exchange.operations import SetMarket
from node.cli import http
from node.cli.market import find_market, market
from primitives.eip712 import network_domain
from primitives.errors import ConfigError
from primitives.secp256k1 import PrivateKey

KEY = PrivateKey(b"\x07" * 32)
NETWORK = b"\x05" * 32
ROW = {
    "id": 3,
    "name": "WETH-XOM",
    "mode": "sealed",
    "phase": "OPEN",
    "phase_round": 6,
    "maker_fee_ppm": 1_000,
    "taker_fee_ppm": 2_000,
    "orders": 12,
}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was posted to the node."""
    posted: list[dict[str, Any]] = []

    def get(url: str, path: str) -> dict[str, Any]:
        return {"markets": [ROW]} if path == "/v1/markets" else {"network_id": "0x" + NETWORK.hex()}

    def post(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        posted.append(body)
        return {"results": [{"accepted": True, "id": "0x00"}]}

    monkeypatch.setattr(http, "get", get)
    monkeypatch.setattr(http, "post", post)
    return posted


def run(*arguments: str, key: str = "0x01", answer: str = "") -> tuple[int, str]:
    settings = SimpleNamespace(config=SimpleNamespace(validator=SimpleNamespace(key=key)))
    context = SimpleNamespace(
        find_url=lambda: "http://node",
        load_config=lambda: settings,
        load_key=lambda prefix, password_file: KEY,
    )
    done = CliRunner().invoke(market, list(arguments), obj=context, input=answer)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_markets_are_listed_with_phase_and_fees(sent: list[dict[str, Any]]) -> None:
    code, output = run("list")
    assert code == 0
    assert output.splitlines()[1].split() == [
        "WETH-XOM", "sealed", "OPEN", "0.10", "%", "0.20", "%", "12"
    ]  # fmt: skip
    assert json.loads(run("list", "--json")[1]) == [ROW]


def test_a_word_is_for_the_shown_round_and_signed_by_the_validator(
    sent: list[dict[str, Any]],
) -> None:
    code, output = run("vote", "weth-xom", "cancel-only")
    assert (code, output.startswith("said: WETH-XOM cancel-only")) == (0, True)
    (action,) = sent[0]["actions"]
    signed = SignedAction(
        payload=bytes.fromhex(action["payload"][2:]),
        signature=bytes.fromhex(action["signature"][2:]),
    )
    verified = verify(signed, network_domain(NETWORK))
    assert not verified.error
    assert verified.signer == KEY.address
    assert verified.ops == (SetMarket(3, 6, 2),)


def test_delisting_is_asked_about(sent: list[dict[str, Any]]) -> None:
    assert run("vote", "3", "delisted", answer="n\n")[0] == 1
    assert sent == []
    assert run("vote", "3", "delisted", "--sure")[0] == 0
    assert len(sent) == 1


def test_who_has_no_key_and_what_is_no_market_is_said(sent: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match="no validator key"):
        run("vote", "3", "open", key="")
    with pytest.raises(ConfigError, match="no market BTC"):
        run("vote", "BTC", "open")
    assert run("vote", "3", "closed")[0] == 2
    assert find_market([ROW], "3") is ROW
