"""A validator's word on a market is signed by its key, for the round that the node shows.

Spec: docs/spec/markets.md; docs/reference/cli.md. Deviations: the node's answers are written here.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from exchange.actions import SignedAction, verify
from exchange.genesis import AssetConfig, MarketConfig
from exchange.operations import AnyOp, ListAsset, ListMarket, SetMarket, SetTerms
from node.cli import http, voting
from node.cli.market import describe_safety, find_market, market
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
    "tick": 10**14,
    "lot": 10**14,
    "base": {"symbol": "WETH", "decimals": 18},
    "quote": {"symbol": "XOM", "decimals": 18},
}


TERMS = {"name": "WETH-XOM", "base": 2, "quote": 1, "tick": 5, "lot": 7}
PROPOSAL = {
    "id": "0x" + "3f" * 32,
    "kind": "market",
    "market": None,
    "round": 4,
    "height": 90,
    "opening_blocks": 30,
    "terms": {**TERMS, "name": "NEW"},
    "voters": ["0x" + "11" * 20],
    "weight": 1,
}
ASSET = {
    "name": "LINK",
    "decimals": 18,
    "chain_id": 31337,
    "vault": "0x" + "51" * 20,
    "token": "0x" + "52" * 20,
}


@pytest.fixture
def receipt() -> dict[str, Any]:
    """What the node says of an action that it took."""
    return {"state": "executed", "statuses": [{"code": "ok"}]}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, receipt: dict[str, Any]) -> list[dict[str, Any]]:
    """What was posted to the node."""
    posted: list[dict[str, Any]] = []

    answers: dict[str, dict[str, Any]] = {
        "/v1/markets": {"markets": [ROW]},
        "/v1/markets/WETH-XOM/terms": {"market": 3, "round": 6, "terms": TERMS},
        "/v1/assets": {"assets": [{"id": 1, "symbol": "XOM"}, {"id": 2, "symbol": "WETH"}]},
        "/v1/actions/0x00": receipt,
        "/v1/listings": {"round": 4, "weight": 4, "proposals": [PROPOSAL], "decided": []},
    }

    def get(url: str, path: str) -> dict[str, Any]:
        return answers.get(path, {"network_id": "0x" + NETWORK.hex()})

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
        find_domain=lambda url: network_domain(NETWORK),
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


def test_a_word_that_had_no_effect_is_an_error(
    sent: list[dict[str, Any]], receipt: dict[str, Any]
) -> None:
    receipt["statuses"] = [{"code": "bad_move"}]
    with pytest.raises(ConfigError, match="the ledger refused it: bad_move"):
        run("vote", "weth-xom", "open")
    assert len(sent) == 1
    for code in ("counted", "no_change"):
        receipt["statuses"] = [{"code": code}]
        assert run("vote", "weth-xom", "open")[0] == 0


def test_a_word_without_a_final_block_is_told(
    sent: list[dict[str, Any]], receipt: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt["state"] = "pending"
    monkeypatch.setattr(voting, "EXECUTED_S", 0.1)
    code, output = run("vote", "weth-xom", "open", "--json")
    assert code == 0
    assert "no final block holds it" in output
    assert '"executed": false' in output


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


def said(sent: list[dict[str, Any]]) -> AnyOp:
    (action,) = sent[-1]["actions"]
    signed = SignedAction(
        payload=bytes.fromhex(action["payload"][2:]),
        signature=bytes.fromhex(action["signature"][2:]),
    )
    verified = verify(signed, network_domain(NETWORK))
    assert (verified.error, verified.signer) == (0, KEY.address)
    return verified.ops[0]


def propose(folder: Path, terms: object, *options: str) -> tuple[int, str]:
    file = folder / "terms.json"
    file.write_text(json.dumps(terms))
    return run("propose", str(file), *options)


def test_a_file_proposes_an_asset_a_market_or_new_terms(
    sent: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert propose(tmp_path, ASSET)[0] == 0
    assert said(sent) == ListAsset(4, 0, AssetConfig(**ASSET))  # type: ignore[arg-type]
    new = {**TERMS, "name": "NEW", "base": "WETH", "quote": "XOM"}
    assert propose(tmp_path, new, "--height", "80", "--opening-blocks", "9")[0] == 0
    wanted = MarketConfig(**{**TERMS, "name": "NEW"})  # type: ignore[arg-type]
    assert said(sent) == ListMarket(4, 80, 9, wanted)
    assert propose(tmp_path, {**TERMS, "tick": 6})[1].startswith("proposed: new terms WETH-XOM")
    changed = MarketConfig(**{**TERMS, "tick": 6})  # type: ignore[arg-type]
    assert said(sent) == SetTerms(3, 6, 0, changed)


def test_terms_and_proposals_are_shown(sent: list[dict[str, Any]]) -> None:
    assert json.loads(run("terms", "WETH-XOM")[1]) == TERMS
    output = run("proposals")[1]
    assert output.split()[:6] == ["0x3f3f3f3f", "list", "market", "NEW", "25.0", "%"]
    assert json.loads(run("proposals", "--json")[1])["round"] == 4


def test_a_proposal_is_agreed_to_by_its_id(sent: list[dict[str, Any]]) -> None:
    code, output = run("vote", "0x3f3f3f")
    assert (code, output) == (0, "said: list market NEW\n")
    assert said(sent) == ListMarket(4, 90, 30, MarketConfig(**PROPOSAL["terms"]))  # type: ignore[arg-type]


def test_what_is_no_proposal_and_what_are_no_terms_is_said(
    sent: list[dict[str, Any]], tmp_path: Path
) -> None:
    for reference in ("0x4f4f4f", "0x3f", "NEW"):
        with pytest.raises(ConfigError, match="no proposal"):
            run("vote", reference)
    for terms in ([], {**ASSET, "decimals": 99}, {**TERMS, "base": "BTC"}, {**TERMS, "x": 1}):
        with pytest.raises(ConfigError):
            propose(tmp_path, terms)
    assert sent == []


def test_bands_and_auctions_are_said_below_their_market() -> None:
    halted = {
        **ROW, "phase": "AUCTION", "phase_cause": "breaker", "auction_ms": 1_700_000_000_000,
        "auction_price": 990, "auction_size": 7, "band_low": 900, "band_high": 1_100,
    }  # fmt: skip
    assert describe_safety(ROW) == []
    assert describe_safety(halted) == [
        "band: sells from 900 XOM up, buys from 1100 XOM down",
        "auction at 22:13:20 UTC: 0.0007 at 990 (the breaker tripped)",
    ]
    periodic = {**halted, "mode": "auction", "phase": "OPEN", "auction_price": None}
    assert describe_safety({**periodic, "auction_ms": 0})[1] == "auction soon: no trade"
