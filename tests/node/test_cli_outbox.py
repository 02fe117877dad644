"""What waits in the outbox is shown and can be dropped; who deploys has the account for itself."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from contracts.artifact import selectors
from contracts.errors import GasAccountEmpty
from contracts.outbox import open_outbox
from contracts.transactor import Transactor
from node.cli import outbox as outbox_commands
from node.cli.context import Context
from node.cli.outbox import outbox
from node.cli.restart_deploy import _begin
from node.cli.wallet_options import hold_account
from primitives.address import to_checksum
from primitives.errors import ConfigError, TransientError
from primitives.secp256k1 import PrivateKey
from tests.contracts.fake_rpc import FakeRpc

CHAIN = 31337
KEY = PrivateKey(b"\5" * 32)
VAULT = b"\x22" * 20
PAYLOAD = selectors("Settlement")["depositFor"] + bytes(96)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(data_dir=tmp_path, network="devnet", url=None, yes=True)


def refuse(context: Context) -> None:
    """Leave a deposit that no node takes."""
    box = open_outbox(context.data.outbox("wallet"), CHAIN, KEY.address)
    sender = Transactor(
        FakeRpc(chain_id=CHAIN, refuse_sending=["insufficient funds"]),
        KEY,
        chain_id=CHAIN,
        outbox=box,
    )
    with pytest.raises(GasAccountEmpty):
        sender.send(VAULT, PAYLOAD, gas=100_000)


def run(context: Context, *arguments: str) -> Any:
    done = CliRunner().invoke(outbox, [*arguments, "--json"], obj=context)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_what_is_left_is_listed_with_what_will_become_of_it(context: Context) -> None:
    assert run(context, "list") == {"transactions": []}
    refuse(context)
    (one,) = run(context, "list")["transactions"]
    assert (one["of"], one["chain_id"], one["nonce"]) == ("wallet", CHAIN, 0)
    assert (one["does"], one["to"]) == ("depositFor", to_checksum(VAULT))
    assert one["account"] == to_checksum(KEY.address)
    assert one["state"] == outbox_commands.REFUSED


def test_what_is_left_can_be_dropped(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(context)
    rpc = FakeRpc(chain_id=CHAIN)
    monkeypatch.setattr(outbox_commands, "find_rpc_url", lambda *_: "http://evm")
    monkeypatch.setattr("contracts.rpc.HttpRpc", lambda _: rpc)
    monkeypatch.setattr(Context, "load_key", lambda *_: KEY)
    network = SimpleNamespace(name="test", chains=(SimpleNamespace(chain_id=CHAIN),))
    monkeypatch.setattr("node.network_file.load_network", lambda _: network)
    assert run(context, "drop")["result"] == "NEVER_SENT"
    assert run(context, "drop")["result"] is None
    assert rpc.sent == []


def test_a_contract_is_created_by_what_names_nobody() -> None:
    left = SimpleNamespace(to=b"", payload=b"\1", wei=0)
    assert outbox_commands.name_call(left) == "create a contract"  # type: ignore[arg-type]


def test_who_holds_an_account_holds_it_alone(context: Context) -> None:
    refuse(context)  # and goes out neither now nor by what is held for
    stopped = threading.Event()
    stopped.set()
    rpc = FakeRpc(chain_id=CHAIN)
    other = Transactor(
        rpc,
        KEY,
        chain_id=CHAIN,
        outbox=open_outbox(context.data.outbox("node"), CHAIN, KEY.address),
        stop=stopped,
    )
    with hold_account(context, rpc, CHAIN, KEY), pytest.raises(TransientError, match="stopped"):
        other.send(VAULT, b"", gas=21_000)
    assert rpc.sent == []


class Chain:
    """What web3 tells of an account."""

    def __init__(self) -> None:
        self.eth = self
        self.nonce, self.block_number = 7, 100

    def get_transaction_count(self, _name: str, _at: str) -> int:
        return self.nonce


def test_a_deployment_that_broke_off_goes_on_where_it_began(tmp_path: Path) -> None:
    note, chain = tmp_path / "plan.json.1.begun", Chain()
    first = _begin(note, chain, KEY.address)
    chain.nonce, chain.block_number = 11, 140
    assert _begin(note, chain, KEY.address) == first
    assert (first.nonce, first.first_block) == (7, 100)
    with pytest.raises(ConfigError, match="begun with"):
        _begin(note, chain, b"another account's 20"[:20])
    note.write_bytes(msgspec.json.encode({"nonce": 7}))
    with pytest.raises(ConfigError, match="damaged"):
        _begin(note, chain, KEY.address)
