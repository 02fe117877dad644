"""A trader's commands say and sign exactly what was typed, on the network that was meant.

Rule: the node's answers are real shapes; the trader behind the commands notes what it is asked.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from client.errors import AnchorOutdated
from exchange.actions import GTC, IOC
from node.cli import chat, http, proofs, sessions, trade, trade_account, trade_options, transferring
from node.cli.context import Context
from node.cli.peers import shorten_error
from node.cli.sessions import grant, grants
from node.cli.trade_account import describe_state, fills, orders
from node.cli.trade_parts import iceberg, schedule
from node.cli.trade_waiting import trail, trigger
from node.cli.transferring import transfer
from node.cli.units import parse_span
from node.cli.withdrawing import describe_withdrawal
from primitives.errors import NotRunning, OperatorError, TransientError

ALICE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
BOT = "0x52908400098527886E0F7030069857D2E4169EE7"
USDX = {"id": 0, "symbol": "USDX", "decimals": 6, "chain_id": 1, "vault": "v", "token": "t"}
TERMS: dict[str, Any] = {
    "id": 1,
    "name": "WETH-USDX",
    "tick": "1",
    "lot": "100000000000000",
    "base": {"symbol": "WETH", "decimals": 18},
    "quote": {"symbol": "USDX", "decimals": 6},
}
OF_XOM = TERMS | {"id": 2, "name": "WETH-XOM", "quote": {"symbol": "XOM", "decimals": 18}}
WAITING = {
    "id": 7, "market": 1, "sub": 0, "side": "sell", "price": 190_000, "size": 10,
    "remaining": 10, "status": "waiting", "above": 200_000, "below": 0, "expiry_ms": 0,
    "visible": 0, "slots": 0, "next_slot_ms": 0, "part": 0,
}  # fmt: skip


class Asked:
    """A trader that notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def place_waiting(self, op: Any) -> int:
        self.calls.append(op)
        return 4711

    async def grant(self, key: bytes, **bounds: Any) -> int:
        self.calls.append((key, bounds))
        return 1_795_296_878_736

    async def transfer(self, *what: Any, **where: Any) -> None:
        self.calls.append((*what, where))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    import trio

    found = Asked()
    places = (sessions, trade, trade_options, transferring)
    for place in places:
        monkeypatch.setattr(place, "with_trader", lambda *rest: trio.run(rest[-1], found))
    by_name = {"WETH-USDX": TERMS, "WETH-XOM": OF_XOM}
    for place in (sessions, trade, trade_options):
        monkeypatch.setattr(place, "find_market", lambda _context, name: by_name[name])
    monkeypatch.setattr(sessions, "list_assets", lambda _url: [USDX])
    monkeypatch.setattr(transferring, "find_asset", lambda _url, _name: USDX)
    return found


CONTEXT = SimpleNamespace(
    find_url=lambda: "http://127.0.0.1:1", find_address=lambda key: {"alice": ALICE}[key]
)


def invoke(command: click.Command, *words: str) -> str:
    result = CliRunner().invoke(command, words, obj=CONTEXT)
    assert result.exit_code == 0, result.output
    return result.output


def refuse(command: click.Command, *words: str) -> str:
    result = CliRunner().invoke(command, words, obj=CONTEXT)
    assert result.exit_code == 2, result.output
    return result.output


def test_every_kind_of_order_is_the_one_that_was_typed(asked: Asked) -> None:
    line = ("sell", "0.5", "WETH-USDX")
    assert "order 4711 waits" in invoke(trigger, *line, "--below", "1900", "1880", "--rest")
    assert "follows the price" in invoke(trail, *line, "--by", "2", "--percent", "--limit", "1800")
    invoke(iceberg, *line, "--limit", "2010", "--visible", "0.1")
    invoke(schedule, "buy", *line[1:], "--limit", "2050", "--slots", "6", "--every", "60")
    stop, trailing, hidden, timed = asked.calls
    assert (stop.market, stop.side, stop.size, stop.tif) == (1, 1, 5_000, GTC)
    assert (trailing.side, trailing.size) == (1, 5_000)
    assert (hidden.price, hidden.size, hidden.visible) == (201_000, 5_000, 1_000)
    assert (timed.side, timed.slots, timed.interval_ms) == (0, 6, 60_000)
    assert "give --above, --below, or both" in refuse(trigger, *line)
    assert len(asked.calls) == 4


def test_a_session_key_gets_the_budget_that_was_typed(asked: Asked) -> None:
    line = (BOT, "--as", "alice", "--for", "7d", "--market", "WETH-USDX")
    said = invoke(grant, *line, "--total", "5000", "--order-max", "0.5", "--orders", "9")
    assert f"--as {BOT} --account {ALICE}" in said
    assert "in WETH-USDX until 2026-11-21 21:34:38 UTC" in said
    [(key, bounds)] = asked.calls
    assert key == bytes.fromhex(BOT[2:])
    assert bounds == {
        "lifetime_ms": 7 * 86_400_000,
        "markets": [1],
        "notional_cap": 500_000,
        "notional_total": 5_000_000_000,
        "orders_cap": 9,
        "cancel_on_revoke": False,
    }
    assert "one quote asset" in refuse(grant, BOT, "--as", "alice", "--total", "5000")
    assert "one quote asset" in refuse(grant, *line, "--market", "WETH-XOM", "--total", "1")
    assert len(asked.calls) == 1


def test_session_keys_are_listed_with_what_they_have_used(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {
        "key": BOT, "expiry_ms": 1, "markets": [1], "notional_cap": "0", "notional_used": "7500000",
        "notional_total": "5000000000", "orders_cap": 0, "orders_used": 3, "revoked": False,
    }  # fmt: skip
    answers = {f"/v1/accounts/{ALICE}": {"grants": [one]}, "/v1/markets": {"markets": [TERMS]}}
    monkeypatch.setattr(http, "get", lambda _url, path, **_: answers[path])
    said = invoke(grants, "--account", ALICE)
    assert "expired" in said
    assert "7.5 USDX" in said
    assert "5000 USDX" in said


def test_a_transfer_asks_about_contracts_and_never_goes_nowhere(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "sub-account 1" in invoke(transfer, "USDX", "1.5", "--to-sub", "1", "--as", "alice")
    assert asked.calls == [(0, 1_500_000, bytes.fromhex(ALICE[2:]), {"to_sub": 1})]
    assert "name another" in refuse(transfer, "USDX", "1.5", "--as", "alice")
    monkeypatch.setattr(http, "get", lambda *_, **__: {"warning": "a contract"})
    context = Context(data_dir=None, network="devnet", url="http://127.0.0.1:1", yes=True)
    monkeypatch.setattr(Context, "find_address", lambda *_: ALICE)
    line = ["USDX", "1", BOT, "--as", "alice"]
    with pytest.raises(OperatorError, match="refused to transfer"):
        CliRunner().invoke(transfer, line, obj=context, catch_exceptions=False)
    assert len(asked.calls) == 1


def test_orders_and_fills_are_told_in_units_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    fill = {
        "trade": 1, "market": 1, "order": 7, "side": "sell", "price": 190_050, "size": 10,
        "fee": "9",
        "builder_fee": "1", "maker": False, "height": 5, "time_ms": 1_795_296_878_736, "sub": 0,
        "left": 0,
    }  # fmt: skip
    answers = {
        "/v1/orders": {"orders": [WAITING]},
        "/v1/markets": {"markets": [TERMS]},
        f"/v1/accounts/{ALICE}/fills": {"fills": [fill]},
    }
    monkeypatch.setattr(trade_account.http, "get", lambda _url, path, **_: answers[path])
    assert "waits for a trade above 2000" in invoke(orders, "--account", ALICE)
    said = invoke(fills, "--account", ALICE)
    assert "2026-11-21 21:34:38  WETH-USDX  sell  1900.5  0.001  0.00001  USDX  taker" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "open", "expiry_ms": 1_000}, "in the book, until 1970-01-01 00:00:01"),
        ({"status": "pending"}, "in a batch"),
        ({"above": 0, "slots": 3}, "3 parts to come, next 1970-01-01 00:00:00"),
        ({"above": 0, "visible": 5, "part": 8}, "rest of an iceberg; order 8 is its part"),
        ({"below": 100_000}, "waits for a trade below 1000 or above 2000"),
    ],
)
def test_a_live_order_says_where_it_is(change: dict[str, Any], words: str) -> None:
    assert words in describe_state(WAITING | change, TERMS)


@pytest.mark.parametrize(
    ("code", "filled", "words"),
    [
        ("filled", 10, "filled: 0.001 of 0.001 WETH at 1900 USDX on average   sealed in 3"),
        ("partly_filled", 4, "average; the other 0.0006 WETH found nothing and ended"),
        ("ioc_unfilled", 0, "nothing filled: no counterpart at 1900 USDX or better"),
        ("self_trade", 0, "nothing filled: self_trade"),
        ("resting", 4, "average; order 7 rests: 0.0006 WETH at 1900 USDX"),
    ],
)
def test_what_became_of_an_order_is_told_in_words(code: str, filled: int, words: str) -> None:
    result = {
        "order_id": 7, "code": code, "filled": filled, "notional": filled * 190_000,
        "price": 190_000, "size": 10, "commit_height": 3, "height": 5, "elapsed_ms": 400,
    }  # fmt: skip
    assert words in trade._describe(result, TERMS)


def test_taking_ends_or_rests_as_it_was_typed(asked: Asked) -> None:
    class Taking(Asked):
        async def take(self, *what: Any, tif: int) -> Any:
            self.calls.append((*what, tif))
            return SimpleNamespace(
                order_id=7, code="ok", filled=0, notional=0, fee=0, builder_fee=0, fills=(),
                commit_height=3, height=5, elapsed_ms=9,
            )  # fmt: skip

    asked.__class__ = Taking
    buy = trade.trade.commands["buy"]
    line = ("0.5", "WETH-USDX", "--limit", "2000")
    assert "order 7 rests: 0.5 WETH" in invoke(buy, *line, "--rest")
    invoke(buy, *line)
    assert [call[-1] for call in asked.calls] == [GTC, IOC]
    assert "give one of them" in refuse(buy, *line, "--rest", "--maker")


def test_an_order_is_signed_only_for_the_network_of_the_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stop(Exception):
        pass

    def open_node(url: str, **options: Any) -> None:
        assert options == {"network_id": b"n" * 32}, url
        raise Stop

    monkeypatch.setattr("client.node_client.open_node", open_node)
    context: Any = SimpleNamespace(
        find_url=lambda: "http://127.0.0.1:1",
        load_key=lambda *_: SimpleNamespace(address=bytes(20)),
        network_id=b"n" * 32,
    )
    with pytest.raises(Stop):
        trade_options.with_trader(context, trade_options.Signer("alice", None, None, 0), None)


def test_an_answer_of_something_else_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = http.Answer("http://127.0.0.1:1", {"service": "a chain"})
    with pytest.raises(NotRunning, match="no OmniBazaar node"):
        answer["markets"]
    assert answer.get("markets") is None


@pytest.mark.parametrize(
    ("is_covered", "is_paid", "words"),
    [
        (True, True, "paid"),
        (True, False, "can be claimed"),
        (True, None, "can be claimed, if it was not"),
        (False, False, "waits for a checkpoint"),
        (False, None, "waits for a checkpoint"),
    ],
)
def test_a_withdrawal_says_where_it_is(is_covered: bool, is_paid: bool | None, words: str) -> None:
    assert describe_withdrawal(is_covered, is_paid) == words


def test_a_room_is_found_whatever_its_case_and_others_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = {"rooms": [{"name": "lobby"}, {"name": "WETH-USDX"}]}
    monkeypatch.setattr(chat.http, "get", lambda *_: answer)
    assert chat._find_room("", "weth-usdx") == "WETH-USDX"
    with pytest.raises(click.UsageError, match="there are lobby, WETH-USDX"):
        chat._find_room("", "nowhere")


def test_why_a_peer_is_away_is_told_without_names_of_classes() -> None:
    told = shorten_error("SwarmDialAllFailedError: no address of it answers (with exceptions)")
    assert told == "no address of it answers"
    assert len(shorten_error("x" * 500)) == 80
    assert not shorten_error("")


def test_a_password_that_others_can_read_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    context = Context(data_dir=tmp_path, network="devnet", url=None, yes=True)
    file = tmp_path / "password"
    file.write_text("secret\n")
    file.chmod(0o600)
    assert context.ask_password(file) == "secret"
    assert not capsys.readouterr().err
    file.chmod(0o640)
    assert context.ask_password(file) == "secret"
    assert f"chmod go= {file}" in capsys.readouterr().err


def test_a_span_is_a_number_with_its_unit() -> None:
    assert [parse_span(text, "--for") for text in ("30s", "10m", "2h", "7d")] == [
        30, 600, 7_200, 604_800,
    ]  # fmt: skip
    for text in ("", "7", "0d", "-1d", "1w", "1.5h"):
        with pytest.raises(click.UsageError):
            parse_span(text, "--for")


def test_a_proof_waits_until_the_contract_knows_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    import trio

    tries: list[int] = []

    def verify(*_: Any, **__: Any) -> tuple[int, int, int]:
        tries.append(0)
        if len(tries) < 3:
            raise AnchorOutdated("of a later epoch")
        return 9, 5, 0

    for name in ("verify_asset_named", "read_anchor"):
        monkeypatch.setattr(proofs, name, lambda *_: None)
    monkeypatch.setattr(trio, "run", lambda *_: None)
    monkeypatch.setattr(proofs, "verify_proven_balance", verify)
    monkeypatch.setattr(proofs, "EPOCH_POLL_S", 0)
    wanted: Any = (SimpleNamespace(network_id=bytes(32)), "", "", USDX | {"chain_id": 1}, b"", 0)
    assert proofs.verify_ledger_balance(*wanted) == (9, 5, 0)
    monkeypatch.setattr(proofs, "EPOCH_WAIT_S", -1)
    tries.clear()
    with pytest.raises(TransientError, match="after the next checkpoint"):
        proofs.verify_ledger_balance(*wanted)
