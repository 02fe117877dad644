"""Half of the validators lose their keys; the rest goes on as another network, and nobody is paid
twice.

Rule: real processes; the commands are the page's.
Spec: docs/how-to/restart-after-lost-keys.md; docs/spec/restart.md. Deviations: none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.chain.accounts import account_key
from contracts.wallet import Wallet
from devnet.funding import open_wallet
from devnet.plan import DEPLOYER, FIRST_TRADER
from node.keys.keystore import save_key
from node.replica.ledger import Ledger
from node.settlement.escape_replay import load_archive, rebuild
from primitives.address import to_checksum
from storage.car import read_blocks, read_roots
from tests.devnet.local_devnet import LocalDevnet
from tests.devnet.successor import Successor, read_sections
from tests.devnet.test_devnet_escape import open_settlement, pass_time

pytestmark = pytest.mark.processes
DAY = 24 * 3_600
TRADERS = 2
SCRYPT_N = 1 << 12


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--traders", str(TRADERS))
    devnet.until(lambda: has_traded(devnet), "somebody trades")
    height = devnet.final("v0")
    devnet.until(lambda: find_settled(devnet) > height, "trades are settled")
    return devnet


def has_traded(devnet: LocalDevnet, name: str = "v0") -> bool:
    found = devnet.ask(name, "/v1/markets")
    return bool(found and found["markets"][0]["trades"])


def find_settled(devnet: LocalDevnet) -> int:
    """Height of the newest root whose archive v0 keeps."""
    found = devnet.ask("v0", "/v1/settlement") or {"vaults": []}
    return max((one["height"] for one in found["vaults"] if one["archive"]), default=0)


def make_operator(devnet: LocalDevnet, name: str) -> Path:
    """The folder in which an operator types: `old` is the validator's data directory."""
    folder = devnet.root / name
    folder.mkdir()
    (folder / "old").symlink_to(devnet.folder.data(name).root)
    (folder / "password.txt").write_text("pass")
    (folder / "password.txt").chmod(0o600)
    return folder


def make_user(devnet: LocalDevnet, operator: Path, index: int) -> Path:
    """The folder of a trader: network files, a key, and what was published."""
    folder = devnet.root / f"user{index}"
    for name in ("old", "new"):
        (folder / name / "keys").mkdir(mode=0o700, parents=True)
        key = account_key(devnet.record.seed, FIRST_TRADER + index)
        save_key(folder / name / "keys", key, "pass", role="trader")
    shutil.copy(operator / "old" / "network.json", folder / "old")
    shutil.copy(operator / "network.json", folder / "new")
    for name in ("settled.car", "password.txt"):
        shutil.copy(operator / name, folder)
    return folder


def stop_in_order(devnet: LocalDevnet, *names: str) -> None:
    for name in names:
        devnet.folder.processes.ask_to_stop(name)
    for name in names:
        devnet.folder.processes.finish(name)


def load_settled(devnet: LocalDevnet, file: Path) -> Ledger:
    car = file.read_bytes()
    roots, _ = read_roots(car)
    blocks = dict(read_blocks(car)).get
    return rebuild(devnet.plan.network, load_archive(roots[0], blocks), blocks)


def owned(ledger: Ledger, owner: bytes) -> dict[int, int]:
    """Atoms by asset, free and held."""
    account = ledger.state.by_address[owner]
    return {e.asset: e.free + e.held for e in account.entries if e.free + e.held}


def test_a_network_goes_on_without_half_of_its_keys(devnet: LocalDevnet) -> None:
    sections = read_sections()
    successor = Successor(devnet)
    operator, other = make_operator(devnet, "v0"), make_operator(devnet, "v1")

    # Two validators and their keys are gone; nothing becomes final any more.
    devnet.folder.processes.kill("traders")
    devnet.kill("v2", "v3")
    for name in ("v2", "v3"):
        shutil.rmtree(devnet.folder.data(name).root)
    alive = ("v0", "v1")
    devnet.until(lambda: len(set(devnet.finals(alive))) == 1, "they know the same")
    with open_settlement(devnet) as vault:
        found = devnet.until(
            lambda: next(
                (
                    one
                    for one in (devnet.ask("v0", "/v1/settlement") or {"vaults": []})["vaults"]
                    if one["archive"] and one["height"] == vault.status().executed_height
                ),
                None,
            ),
            "the state that is settled last is kept",
        )
    (curl,) = sections["Save what users are paid by"]
    url = devnet.url("v0")
    successor.run(curl, operator, **{"http://127.0.0.1:8640": url, "CID": found["archive"]})
    shutil.copy(operator / "settled.car", other)

    # Both survivors derive the same state.
    stop_in_order(devnet, *alive)
    export, show, balances = sections["Export the last final state"]
    facts = successor.run(export, operator)
    assert successor.run(export, other) == facts
    shutil.copy(operator / "last.car", other / "theirs.car")
    assert successor.run(show, other, **{"last.car": "theirs.car"}) == facts
    assert len(successor.run(balances, operator)) > TRADERS

    # The old vault closes; the users are paid by it, once.
    ledger = load_settled(devnet, operator / "settled.car")
    pass_time(devnet, 7 * DAY)

    # The new network: one deploys, the other checks.
    save_key(
        operator / "old" / "keys",
        account_key(devnet.record.seed, DEPLOYER),
        "pass",
        role="gas",
        scrypt_n=SCRYPT_N,
    )
    successor.write_plan(operator / "plan.json", facts["time_ms"] + 1)
    deploy, derive = sections["Deploy and derive"][:2]
    successor.run(deploy, operator)
    made = successor.run(derive, operator)
    shutil.copy(operator / "network.json", other)
    (verify,) = sections["Deploy and derive"][2:]
    assert successor.run(verify, other) == made
    assert made["network_id"] != facts["network_id"]
    (init,) = sections["Start"]
    assert successor.run(init, other)["genesis"] == made["genesis"]
    successor.start(operator / "network.json")
    _bring_over(devnet, successor, operator, ledger)
    _trade(devnet, successor)


def _bring_over(devnet: LocalDevnet, successor: Successor, operator: Path, ledger: Ledger) -> None:
    prove, escape, _ = read_sections()["Bring the money over"]
    rpc = f" --rpc {devnet.record.rpc}"
    users = [make_user(devnet, operator, index) for index in range(TRADERS)]
    keys = [account_key(devnet.record.seed, FIRST_TRADER + index) for index in range(TRADERS)]
    for user in users:
        successor.run(prove + rpc, user)
    said = successor.run(escape + rpc, users[0], code=7)
    assert "given notice" in said
    devnet.until(
        lambda: (devnet.ask("v0", "/v1/status") or {}).get("final", 0) > 0,
        "the new network finalizes",
    )
    pass_time(devnet, 2 * DAY)
    vault = bytes.fromhex(
        json.loads((operator / "plan.json").read_text())["chains"][0]["vault"][2:]
    )
    tokens = devnet.plan.deployment.tokens
    for user, key in zip(users, keys, strict=True):
        wallet = open_wallet(devnet.record, key)
        before = [wallet.token_balance(token.address) for token in tokens]
        assert {one["state"] for one in successor.run(escape + rpc, user)} == {"done"}
        due = owned(ledger, key.address)
        paid = _rise(wallet, [token.address for token in tokens], before)
        assert paid == due
        for asset, amount in paid.items():
            wallet.deposit(vault, tokens[asset].address, amount)
    again = successor.run(escape + rpc, users[0])
    assert {one["state"] for one in again} == {"already done"}
    for key in keys:
        due = owned(ledger, key.address)
        devnet.until(
            lambda key=key, due=due: _balances(devnet, key.address) == due,  # type: ignore[misc]
            "balances are what they were",
        )


def _rise(wallet: Wallet, tokens: list[bytes], before: list[int]) -> dict[int, int]:
    after = [wallet.token_balance(token) for token in tokens]
    return {i: b - a for i, (a, b) in enumerate(zip(before, after, strict=True)) if b != a}


def _balances(devnet: LocalDevnet, owner: bytes) -> dict[int, int]:
    found = devnet.ask("v0", f"/v1/accounts/{to_checksum(owner)}") or {"balances": []}
    return {
        one["asset"]: int(one["free"]) + int(one["held"])
        for one in found["balances"]
        if int(one["free"]) + int(one["held"])
    }


def _trade(devnet: LocalDevnet, successor: Successor) -> None:
    """No order came over; the users place new ones, which meet."""
    url = devnet.url("v3")
    order = f"omnibazaar -d new --url {url} trade SIDE 10 XOM-USDX --limit 0.1 HOW --as trader"
    for index, side, how in ((0, "buy", "--maker"), (1, "sell", "")):
        folder = devnet.root / f"user{index}"
        line = f"{order} --password-file password.txt"
        assert not devnet.read("v3", f"/v1/accounts/{address_of(devnet, index)}/state")["orders"]
        successor.run(line, folder, SIDE=side, HOW=how)
    devnet.until(lambda: has_traded(devnet, "v2"), "a trade")
    devnet.wait_final(min(devnet.finals()) + 5)


def address_of(devnet: LocalDevnet, index: int) -> str:
    return to_checksum(account_key(devnet.record.seed, FIRST_TRADER + index).address)
