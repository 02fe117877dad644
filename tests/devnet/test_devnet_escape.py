"""A network that dies entirely still pays everybody, by an archive and the contract alone.

Rule: the commands as a user types them; the archive is fetched while a node lives, the proofs
are made and brought when none does; only the EVM chain goes on.
Spec: docs/how-to/escape.md; docs/spec/settlement.md §6. Deviations: none.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts.chain.accounts import account_key
from contracts.rpc import HttpRpc
from contracts.settlement_client import SettlementClient
from devnet.funding import open_wallet
from devnet.plan import FIRST_TRADER, TOKENS, USDX
from node.keys.keystore import save_key
from node.settlement.escape_replay import load_archive
from primitives.address import to_checksum
from primitives.cid import Cid
from storage.car import read_blocks, read_roots
from tests.devnet.commands import run_program
from tests.devnet.local_devnet import LocalDevnet

pytestmark = pytest.mark.processes
DAY = 24 * 3_600
SNAPSHOT_BELOW = 24  # height of the first snapshot


def make_home(devnet: LocalDevnet, folder: Path) -> Path:
    """A data directory with the network file and a trader's key, and no node."""
    folder.mkdir(mode=0o700)
    shutil.copy(devnet.folder.data("v0").network_file, folder / "network.json")
    key = account_key(devnet.record.seed, FIRST_TRADER)
    (folder / "keys").mkdir(mode=0o700)
    save_key(folder / "keys", key, "pass", role="trader")
    (folder / "password").write_text("pass")
    (folder / "password").chmod(0o600)
    return folder


def run(home: Path, *arguments: str, url: str = "", code: int = 0) -> Any:
    """Run one command; return its JSON."""
    place = ("-y", "-d", str(home), *(("--url", url) if url else ()))
    done = run_program([sys.executable, "-m", "node.cli", *place, "wallet", *arguments, "--json"])
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def wait_funded(devnet: LocalDevnet) -> int:
    """Return a height at which the first trader has every token."""
    trader = to_checksum(account_key(devnet.record.seed, FIRST_TRADER).address)

    def has_all() -> bool:
        found = devnet.ask("v0", f"/v1/accounts/{trader}") or {"balances": ()}
        return len(found["balances"]) == len(TOKENS)

    devnet.until(has_all, "a trader has deposited every token")
    return devnet.final("v0")


def take_archive(devnet: LocalDevnet, file: Path, above: int) -> None:
    """Save the archive of the vault's very last root and leave nobody alive who could move it."""
    with open_settlement(devnet) as vault:
        while True:
            found = devnet.until(
                lambda: next(
                    (
                        vault
                        for vault in devnet.read("v0", "/v1/settlement")["vaults"]
                        if vault["archive"] and vault["height"] > max(above, SNAPSHOT_BELOW)
                    ),
                    None,
                ),
                "a checkpoint whose state is kept, with a snapshot below it",
            )
            status, car = devnet.fetch("v0", f"/ipfs/{found['archive']}?format=car")
            devnet.kill("v0")
            settled = vault.status().state_root
            if status == 200 and load_archive(*_in_car(car)).state_root == settled:
                file.write_bytes(car)
                return
            devnet.start("v0")  # a checkpoint came between
            devnet.wait_final(found["height"] + 8)


def _in_car(car: bytes) -> tuple[Cid, Callable[[Cid], bytes | None]]:
    roots, _ = read_roots(car)
    return roots[0], dict(read_blocks(car)).get


@contextmanager
def open_settlement(devnet: LocalDevnet) -> Iterator[SettlementClient]:
    with closing(HttpRpc(devnet.record.rpc)) as rpc:
        yield SettlementClient(
            rpc,
            chain_id=devnet.record.chain_id,
            vault=devnet.plan.deployment.vault,
            network_id=devnet.plan.network_id,
        )


def pass_time(devnet: LocalDevnet, seconds: int) -> None:
    with closing(HttpRpc(devnet.record.rpc)) as rpc:
        rpc.call("evm_increaseTime", hex(seconds))
        rpc.call("evm_mine")


def test_everybody_is_paid_when_every_node_is_dead(
    new_devnet: Callable[[], LocalDevnet], tmp_path: Path
) -> None:
    devnet = new_devnet()
    devnet.up("--validators", "1", "--traders", "2")
    home = make_home(devnet, tmp_path / "home")
    car, proofs = tmp_path / "settled.car", tmp_path / "mine.json"
    take_archive(devnet, car, wait_funded(devnet))
    devnet.folder.processes.kill("traders")
    key = account_key(devnet.record.seed, FIRST_TRADER)
    wallet = open_wallet(devnet.record, key)
    wallet.mint(usdx(devnet), key.address, 10**6)
    deposit = wallet.deposit(devnet.plan.deployment.vault, usdx(devnet), 10**6)  # never credited

    rpc = ("--rpc", devnet.record.rpc)
    made = run(home, "escape-proof", str(proofs), "--from", str(car), *rpc)
    owed = {(p["kind"], p["asset"]): int(p["amount"]) for p in made["payments"]}
    assert owed["refund", "USDX"] == 10**6
    assert owed["balance", "USDX"] > 0
    assert len(owed) == 5

    assert "still settles" in run(home, "escape", str(proofs), *rpc, *password(home), code=7)
    pass_time(devnet, 7 * DAY)
    assert "given notice" in run(home, "escape", str(proofs), *rpc, *password(home), code=7)
    pass_time(devnet, 2 * DAY)
    before = wallet.token_balance(usdx(devnet))
    done = run(home, "escape", str(proofs), *rpc, *password(home))
    assert {one["state"] for one in done} == {"done"}
    paid = wallet.token_balance(usdx(devnet)) - before
    assert paid == owed["balance", "USDX"] + owed["refund", "USDX"]
    assert deposit in {one["number"] for one in done if one["kind"] == "refund"}
    again = run(home, "escape", str(proofs), *rpc, *password(home))
    assert {one["state"] for one in again} == {"already done"}
    assert wallet.token_balance(usdx(devnet)) - before == paid

    damaged = tmp_path / "damaged.car"
    data = bytearray(car.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    run(home, "escape-proof", str(proofs), "--from", str(damaged), *rpc, code=1)


def usdx(devnet: LocalDevnet) -> bytes:
    return devnet.plan.deployment.tokens[USDX].address


def password(home: Path) -> tuple[str, str]:
    return "--password-file", str(home / "password")
