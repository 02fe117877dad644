"""The command line: quick, explained, with stable exit codes and JSON.

Rule: what an operator sees is tested through the real program; the node behind it is the fake one.
Spec: docs/reference/cli.md; docs/reference/exit-codes.md. Deviations: none.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import trio

from client.errors import ConnectionLost, OutcomeUnknown
from node.api.access import Access
from node.cli import exits
from node.cli.context import Context
from node.cli.root import COMMANDS, call, exit_code_of, find_expected, root
from node.cli.show import format_age, format_atoms, show_table
from node.cli.units import count_steps, price_step, show, size_step
from node.datadir import DataDir, write_atomic
from node.keys.keystore import save_key
from node.network_file import dump_network
from node.version import VERSION
from primitives.eip712 import network_domain
from primitives.errors import (
    ConfigError,
    Doppelganger,
    NodeError,
    NotRunning,
    TransientError,
    WouldEquivocate,
    WrongNetwork,
)
from primitives.secp256k1 import PrivateKey
from tests.node.fake_server import serving
from tests.node.fake_service import NETWORK_ID, FakeService
from tests.node.test_network_file import make

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("libp2p", "web3", "trio", "hypercorn", "starlette", "httpx", "eth_account", "rich")
HELP_CPU_S_MAX = 0.25
STATUS_CPU_S_MAX = 0.4
KEY = PrivateKey(bytes(range(1, 33)))


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str
    cpu_s: float


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("OMNIBAZAAR_")}


def run(*arguments: str, stdin: str = "") -> Done:
    """Run the real program and measure the processor time it takes."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "node.cli", *arguments],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    after = os.times()
    cpu_s = after.children_user + after.children_system
    cpu_s -= before.children_user + before.children_system
    return Done(done.returncode, done.stdout, done.stderr, cpu_s)


def loaded_modules(*arguments: str) -> set[str]:
    """Return the heavy modules a command has loaded when it ends."""
    program = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print(*[m for m in {HEAVY!r} if m in sys.modules],"
        " file=sys.stderr))\n"
        f"sys.argv = ['omnibazaar', *{list(arguments)!r}]\n"
        "from node.cli import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    return set(done.stderr.splitlines()[-1].split())


def all_commands(
    group: click.Group = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if name == "devnet":
            continue  # another room's; it has tests of its own
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))


NAMED = list(all_commands())


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    file = tmp_path / "net.json"
    file.write_bytes(dump_network(make()))
    made = DataDir(tmp_path / "node")
    assert call(["-d", str(made.root), "init", "--network", str(file)]) == 0
    return made


# What the program says about itself


def test_the_list_of_commands_is_complete() -> None:
    done = run("--help")
    assert done.code == 0
    assert all(name in done.out for name in COMMANDS)


@pytest.mark.parametrize(("path", "command"), NAMED, ids=lambda item: str(item))
def test_every_command_has_an_example_and_every_leaf_json(
    path: tuple[str, ...], command: click.Command
) -> None:
    assert "Example:" in (command.help or ""), path
    assert f"omnibazaar {path[0]}" in (command.help or "").replace("--data-dir ~/node ", "")
    names = {name for parameter in command.params for name in parameter.opts}
    is_leaf = not isinstance(command, click.Group) and path != ("run",)
    assert not is_leaf or "--json" in names, path


@pytest.mark.parametrize(("path", "command"), NAMED, ids=lambda item: str(item))
def test_help_of_every_command_works(path: tuple[str, ...], command: click.Command) -> None:
    with click.Context(command, info_name=" ".join(path)) as context:
        assert "Usage:" in command.get_help(context)


def test_options_of_run_are_few() -> None:
    run_command = dict(NAMED)[("run",)]
    assert len(run_command.params) <= 40


def test_help_and_status_load_nothing_heavy() -> None:
    assert loaded_modules("--help") == set()
    assert loaded_modules("status") == set()
    assert loaded_modules("config", "explain") == set()
    assert loaded_modules("keys", "list") == set()


def test_help_is_quick() -> None:
    best = min(run("--help").cpu_s for _ in range(3))
    assert best < HELP_CPU_S_MAX


def test_the_version_is_that_of_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{VERSION}"' in text
    done = run("version", "--json")
    assert json.loads(done.out)["version"] == VERSION
    assert json.loads(done.out)["exchange"] in ("interpreted", "compiled")


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    for code, meaning in exits.MEANINGS.items():
        assert f"| {code} | {meaning} |" in page


def test_every_command_is_in_the_reference() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    for path, _ in NAMED:
        assert path[-1] in page, path


# Exit codes


def test_usage_errors_end_with_2_and_a_hint() -> None:
    done = run("stauts")
    assert done.code == exits.USAGE
    assert "Did you mean 'status'" in done.err
    assert run("config", "get").code == exits.USAGE


def test_without_a_daemon_status_ends_with_5(tmp_path: Path) -> None:
    done = run("-d", str(tmp_path), "status")
    assert done.code == exits.NOT_RUNNING
    for part in ("Error:", "  do ", "RUN001"):
        assert part in done.err
    assert done.out == ""


def test_a_devnet_in_this_folder_is_pointed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OMNIBAZAAR_URL", raising=False)
    context = Context(data_dir=None, network="devnet", url=None, yes=True)
    with pytest.raises(NotRunning) as alone:
        context.find_url()
    assert "-d .devnet/v0" not in alone.value.fix
    (tmp_path / ".devnet/v0").mkdir(parents=True)
    with pytest.raises(NotRunning) as beside:
        context.find_url()
    assert "-d .devnet/v0" in beside.value.fix


def test_a_bad_configuration_ends_with_3(data: DataDir) -> None:
    data.config_file.write_text("[api]\nlistn = 3\n")
    for command in (["run"], ["config", "check"], ["doctor"]):
        done = run("-d", str(data.root), *command)
        assert done.code == exits.CONFIG, command
        assert "api.listen" in done.err


def test_a_missing_key_ends_with_10(data: DataDir) -> None:
    done = run("-d", str(data.root), "run")
    assert done.code == exits.KEY
    assert "keys new" in done.err


def test_a_nearly_full_disk_ends_with_15(
    data: DataDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = SimpleNamespace(free=3 << 20)
    monkeypatch.setattr("node.cli.run.shutil.disk_usage", lambda place: usage)
    assert call(["-d", str(data.root), "run"]) == exits.UNSAFE_HOST
    assert "DSK002" in capsys.readouterr().err


def test_a_held_directory_ends_with_4(data: DataDir) -> None:
    with data.lock():
        done = run("-d", str(data.root), "run")
    assert done.code == exits.IN_USE
    assert str(os.getpid()) in done.err


def test_another_network_ends_with_14(data: DataDir, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(dump_network(make(name="othernet")))
    assert run("-d", str(data.root), "init", "--network", str(other)).code == exits.WRONG_NETWORK


def test_a_newer_layout_ends_with_13(data: DataDir) -> None:
    text = data.layout_file.read_text().replace("layout = 1", "layout = 9")
    data.layout_file.write_text(text)
    assert run("-d", str(data.root), "run").code == exits.SCHEMA


def test_errors_of_safety_have_their_own_codes() -> None:
    assert exit_code_of(Doppelganger("x")) == exits.DOPPELGANGER
    assert exit_code_of(WouldEquivocate("x")) == exits.GUARD
    assert exit_code_of(TransientError("x")) == exits.ERROR
    assert exit_code_of(WrongNetwork("x")) == exits.WRONG_NETWORK
    assert exit_code_of(OutcomeUnknown(bytes(32), "no word")) == exits.TIMED_OUT
    assert exit_code_of(ConnectionLost("away")) == exits.NOT_RUNNING


def test_an_expected_error_is_found_in_a_group_but_a_bug_is_not_hidden() -> None:
    expected = TransientError("x")
    assert find_expected(ExceptionGroup("g", [ExceptionGroup("h", [expected])])) is expected
    assert find_expected(ExceptionGroup("g", [expected, RuntimeError("bug")])) is None


# init, keys, config, doctor, logs


def test_init_makes_and_then_finds(data: DataDir) -> None:
    before = data.node_key_file.read_text()
    done = run("-d", str(data.root), "init", "--json")
    facts = json.loads(done.out)
    assert facts["created"] is False
    assert facts["genesis"] == "0x" + make().genesis_hash.hex()
    assert data.node_key_file.read_text() == before
    assert run("-d", str(data.root), "config", "check").code == 0


def test_init_without_a_network_says_what_to_do(tmp_path: Path) -> None:
    done = run("-d", str(tmp_path / "x"), "init")
    assert done.code == exits.CONFIG
    assert "devnet up" in done.err


def test_a_key_is_imported_from_standard_input_listed_and_exported(
    data: DataDir, tmp_path: Path
) -> None:
    password = tmp_path / "pw"
    password.write_text("pw\n")
    base = ("-d", str(data.root), "keys")
    done = run(
        *base, "import", "-", "--secret", "--role", "trader", "--password-file", str(password),
        "--json", stdin=KEY.secret.hex(),
    )  # fmt: skip
    assert done.code == 0, done.err
    address = json.loads(done.out)["address"]
    assert bytes.fromhex(address[2:]) == KEY.address
    assert [key["address"] for key in json.loads(run(*base, "list", "--json").out)] == [address]
    copy = tmp_path / "copy.json"
    assert run(*base, "export", "trader", str(copy)).code == 0
    assert copy.stat().st_mode & 0o077 == 0
    assert run(*base, "export", "trader", str(copy)).code == exits.KEY  # never overwritten
    assert KEY.secret.hex() not in done.out + done.err + copy.read_text()


def test_nothing_is_asked_without_a_terminal(data: DataDir) -> None:
    done = run("-d", str(data.root), "keys", "new")
    assert done.code == exits.KEY
    assert "--password-file" in done.err


def test_config_set_changes_one_line_and_keeps_comments(data: DataDir) -> None:
    before = data.config_file.read_text()
    assert run("-d", str(data.root), "config", "set", "storage.chain_gb", "12").code == 0
    after = data.config_file.read_text()
    assert "# omnibazaar settings" in after
    assert "chain_gb = 12" in after
    assert (data.root / "config.toml.bak").read_text() == before
    assert run("-d", str(data.root), "config", "get", "storage.chain_gb").out == "12\n"
    for key, value in (("storage.chain_gb", "0"), ("storage.chaingb", "1"), ("api.listen", "x")):
        assert run("-d", str(data.root), "config", "set", key, value).code == exits.CONFIG
    assert data.config_file.read_text() == after


def test_config_show_names_the_origin(data: DataDir) -> None:
    shown = json.loads(run("-d", str(data.root), "config", "show", "--json").out)
    assert shown["profile"] == {"value": "home", "origin": "file"}
    assert shown["storage.archive"]["origin"] == "default"


def test_doctor_checks_and_changes_nothing(
    data: DataDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("node.doctor.measure_clock_offset_ms", lambda server: 12)
    monkeypatch.setattr("node.doctor._chain_id", lambda url: 31337)
    save_key(data.keys, KEY, "pw", role="validator", scrypt_n=2)
    names = set(data.root.rglob("*"))
    capsys.readouterr()
    call(["-d", str(data.root), "doctor", "--json"])
    checks = {c["name"]: c["outcome"] for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["network file"] == checks["EVM"] == checks["clock"] == "ok"
    assert checks["keys"] == "fail", "it would not run"
    (data.root / "config.toml").write_text('[validator]\nkey = "validator"\n')
    assert call(["-d", str(data.root), "doctor"]) == exits.OK, "a key without a seat is a warning"
    assert set(data.root.rglob("*")) == names
    monkeypatch.setattr("node.doctor.measure_clock_offset_ms", lambda server: 99_999)
    assert call(["-d", str(data.root), "doctor"]) == exits.ERROR


def test_logs_are_shown_while_the_daemon_is_down(data: DataDir) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    rows = [
        {"ts": f"{stamp}.000Z", "level": level, "sub": "head", "msg": f"a {level} of 50%"}
        for level in ("debug", "info", "error")
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows) + "not json\n"
    write_atomic(data.log_file, text)
    shown = run("-d", str(data.root), "logs").out.splitlines()
    assert len(shown) == 3
    assert shown[0].endswith("a info of 50%")
    assert shown[2] == "not json"
    assert (
        len(run("-d", str(data.root), "logs", "--level", "error", "--json").out.splitlines()) == 2
    )
    assert run("-d", str(data.root), "logs", "--since", "soon").code == exits.USAGE


# Against a running node


@pytest.fixture
async def url() -> Any:
    async with serving(FakeService(blocks=130), Access(token="t" * 43)) as url:
        yield url


async def run_against(url: str, *arguments: str) -> Done:
    return await trio.to_thread.run_sync(lambda: run("--url", url, *arguments))


async def test_status_is_one_quick_screen(url: str) -> None:
    done = await run_against(url, "status")
    assert done.code == 0, done.err
    assert done.out.startswith("READY   fakenet")
    assert len(done.out.splitlines()) <= 24
    best = min([(await run_against(url, "status")).cpu_s for _ in range(2)] + [done.cpu_s])
    assert best < STATUS_CPU_S_MAX


async def test_status_json_is_what_the_node_said(url: str) -> None:
    found = json.loads((await run_against(url, "status", "--json")).out)
    assert found["final"] == 130


async def test_a_node_that_is_not_ready_ends_with_7() -> None:
    async with serving(FakeService(blocks=0)) as url:
        done = await run_against(url, "status")
        assert done.code == exits.NOT_READY
        assert "NOT READY" in done.out
        assert "waits for  a first block" in done.out
        assert "RUN002" in done.out
        assert (await run_against(url, "status", "--live")).code == 0


async def test_books_orders_balances_and_rooms_are_shown(url: str) -> None:
    account = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    book = (await run_against(url, "trade", "book", "weth-usdx", "--depth", "3")).out
    assert [line.split()[0] for line in book.splitlines()] == ["side"] + ["ask"] * 3 + ["bid"] * 3
    orders = (await run_against(url, "trade", "orders", "--account", account)).out
    assert "WETH-USDX" in orders
    assert "2000" in orders
    balance = (await run_against(url, "wallet", "balance", "--account", account)).out
    assert "USDX" in balance
    listed = (await run_against(url, "wallet", "withdrawals", "--account", account, "--json")).out
    assert [row["index"] for row in json.loads(listed)["withdrawals"]] == [2, 1, 0]
    assert "lobby" in (await run_against(url, "chat", "rooms")).out
    assert "who runs v2" in (await run_against(url, "chat", "read", "lobby")).out


async def test_a_statement_is_csv_and_json_with_exact_decimals(url: str) -> None:
    account = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    terms = ("wallet", "statement", "--account", account, "--from", "2020-01-01")
    done = await run_against(url, *terms)
    assert done.code == 0, done.err
    header, *rows = csv.reader(done.out.splitlines())
    assert header[:7] == ["time", "height", "type", "sub", "asset", "amount", "balance"]
    shown = json.loads((await run_against(url, *terms, "--format", "json")).out)
    assert len(shown["rows"]) == len(rows)
    for row in rows:
        assert all(re.fullmatch(r"(-?[0-9]+(\.[0-9]+)?)?", cell) for cell in row[5:7])
    earned = await run_against(url, "wallet", "earnings", "--account", account, "--json")
    assert json.loads(earned.out)["days"] == 30
    done = await run_against(url, *terms, "--to", "2019-01-01")
    assert done.code == exits.USAGE


def test_what_if_states_its_assumptions_and_needs_no_node() -> None:
    terms = ("wallet", "earnings", "--what-if", "--volume", "1000000", "--xom-price", "0.01")
    text = run(*terms, "--costs", "20").out
    for name in ("fee-percent", "network-weight", "xom-supply", "stake", "no more than 2"):
        assert name in text
    shown = json.loads(run(*terms, "--costs", "20", "--json").out)
    assert shown["assumed"]["volume"] == "1000000"
    assert shown["year"]["profit"] == "81490"
    assert run(*terms, "--score", "101").code == exits.USAGE
    assert run(*terms, "--costs", "1e3").code == exits.USAGE


async def test_what_is_not_there_is_named(url: str) -> None:
    done = await run_against(url, "trade", "book", "XYZ")
    assert done.code == exits.USAGE
    assert "WETH-USDX" in done.err
    done = await run_against(url, "wallet", "balance", "--account", "0x" + "00" * 20)
    assert done.code == exits.ERROR
    assert "Deposit first" in done.err


async def test_nothing_is_signed_for_a_node_of_another_network(url: str, data: DataDir) -> None:
    here = Context(data_dir=data.root, network="", url=url, yes=True)
    with pytest.raises(WrongNetwork) as refused:
        await trio.to_thread.run_sync(here.find_domain, url)
    assert refused.value.exit_code == 14
    nowhere = Context(data_dir=data.root / "empty", network="", url=url, yes=True)
    domain = await trio.to_thread.run_sync(nowhere.find_domain, url)
    assert domain == network_domain(NETWORK_ID), "without a file the node's word is all there is"


async def test_peers_need_the_token_of_the_same_machine(url: str, data: DataDir) -> None:
    refused = await run_against(url, "-d", str(data.root), "peers", "list")
    assert refused.code == exits.NOT_RUNNING
    write_atomic(data.token_file, "t" * 43)
    listed = await run_against(url, "-d", str(data.root), "peers", "list", "--json")
    assert json.loads(listed.out)["peers"][0]["connected"] is True
    table = await run_against(url, "-d", str(data.root), "peers", "list")
    for text in ("v1", "both", "123.5 KB", "7.7 MB", "/ip4/127.0.0.1/tcp/30303"):
        assert text in table.out
    banned = await run_against(url, "-d", str(data.root), "peers", "ban", "12D3KooWFake")
    assert banned.code == 0
    wrong = await run_against(url, "-d", str(data.root), "peers", "add", "nonsense")
    assert wrong.code == exits.ERROR
    assert "multiaddr" in wrong.err


async def test_validators_and_scores_are_shown(url: str) -> None:
    listed = await run_against(url, "validator", "list", "--json")
    address = json.loads(listed.out)["validators"][2]["address"]
    shown = await run_against(url, "validator", "score", address)
    assert shown.code == 0
    assert "50.0000 of 100" in shown.out
    assert "production" in shown.out
    assert "left out" in shown.out
    assert "nothing is asked before the first snapshot" in shown.out
    unknown = await run_against(url, "validator", "score", "0x" + "00" * 20)
    assert unknown.code == exits.ERROR
    assert "registered" in unknown.err


async def test_something_that_is_no_node_is_told_apart() -> None:
    for url in ("http://127.0.0.1:1", "ftp://x", "nonsense"):
        done = await run_against(url, "status")
        assert done.code in (exits.NOT_RUNNING, exits.USAGE)


# Units


def test_prices_and_sizes_are_exact() -> None:
    step = price_step(tick=100, lot=10**16, base_decimals=18, quote_decimals=6)
    assert step == Fraction(1, 100)
    assert count_steps("2000.01", step, "price") == 200_001
    with pytest.raises(click.UsageError) as refused:
        count_steps("2000.005", step, "price")
    assert "2000 or 2000.01" in refused.value.message
    assert count_steps("0.5", size_step(lot=10**16, base_decimals=18), "size") == 50
    for text in ("-1", "1e3", "0", "", "١", "1" * 40, "1.", "0x1", "inf"):
        with pytest.raises(click.UsageError):
            count_steps(text, step, "price")


def test_numbers_are_shown_without_noise() -> None:
    assert show(Fraction(5, 100)) == "0.05"
    assert format_atoms(10**18, 18) == "1"
    assert format_atoms(1, 6) == "0.000001"
    assert [format_age(ms) for ms in (-5, 1_500, 600_000, 7_200_000, 400_000_000)] == [
        "0.0 s",
        "1.5 s",
        "10 min",
        "2 h",
        "5 days",
    ]


def test_a_bug_is_not_dressed_up_as_an_expected_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise NodeError("expected") from None

    monkeypatch.setattr("node.cli.status.http.get", broken)
    assert call(["--url", "http://127.0.0.1:1", "status"]) == exits.ERROR


def test_the_operators_token_goes_to_no_other_machine(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.token()
    for url in ("http://203.0.113.7:9000", "https://127.0.0.1.example.org", "http://evil"):
        context = Context(data_dir=tmp_path, network="devnet", url=url, yes=True)
        with pytest.raises(ConfigError, match="is not sent to"):
            context.find_token()
    for url in ("http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:1"):
        context = Context(data_dir=tmp_path, network="devnet", url=url, yes=True)
        assert context.find_token() == data.token()


def test_numbers_stand_with_their_points_under_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_table(("side", "price", "n"), [("ask", "0.100008", 1), ("bid", "1,650.5", 10)])
    show_table(("asset", "free"), [("XOM", "-"), ("WETH", "12")])
    assert capsys.readouterr().out.splitlines() == [
        "side         price   n",
        "ask       0.100008   1",
        "bid   1,650.5       10",
        "asset  free",
        "XOM       -",
        "WETH     12",
    ]
